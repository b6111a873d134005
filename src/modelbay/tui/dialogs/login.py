"""Login by device code, API key or Google's credentials, and logout."""

from asyncio import to_thread
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from msgspec import Struct
from textual.app import App
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from modelbay.catalog.summary import counted
from modelbay.credentials.approval import typed
from modelbay.credentials.oauth import Code
from modelbay.draft import model_tables, vertex_draft
from modelbay.onboarding import add as adding
from modelbay.onboarding import remove as removal
from modelbay.onboarding.login import device as logging_in
from modelbay.onboarding.login import key as key_login
from modelbay.onboarding.login.device import Google, LoggedIn, Platform
from modelbay.onboarding.probe import detect
from modelbay.providers import logins
from modelbay.providers.vendor import LoginMethod
from modelbay.secrecy import register
from modelbay.tui.dialogs.confirm import Confirm
from modelbay.tui.dialogs.dialog import Dialog
from modelbay.tui.dialogs.form import Field, Form, key_field
from modelbay.tui.dialogs.menu import Menu, choose
from modelbay.tui.dialogs.progress import Progress
from modelbay.tui.dialogs.steps import Added
from modelbay.tui.state import AppState
from modelbay.tui.widgets.virtual_list import ListRow


async def log_in(app: App[Any], state: AppState, name: str = "") -> Added | None:
    """Ask for a platform, unless `name` is one, and log in to it."""
    platforms = logging_in.platforms(state.config)
    platform = next((one for one in platforms if one.id == name), None)
    if platform is not None:
        return await _log_in_to(app, state, platform)
    like = next((one for one in platforms if name and name in one.id), None)
    heading = f'Unknown platform "{name}": select one' if name else "Select a platform"
    return await choose(app, Menu(heading, platforms, _row, at=like), partial(_log_in_to, app, state))


async def _log_in_to(app: App[Any], state: AppState, platform: Platform) -> Added | None:
    login = logins.by_id(platform.id)
    if platform.by == "key" and login is not None:
        return await app.push_screen_wait(KeyLogin(state, login))
    if platform.by == "adc":
        return await _by_google(app, state)
    done = await app.push_screen_wait(DeviceLogin(state, platform))
    if done is None:
        return None
    models = f": {counted(len(done.written.models), 'model')}" if done.written else ""
    state.say(
        f"Logged in to {platform.title}{models}" if done.new else f"Already logged in to {platform.title}{models}"
    )
    return Added([logging_in.target(state.config, platform.id).entry.id])


def _row(platform: Platform) -> ListRow:
    how = {"device": "device code", "key": "API key", "adc": "Google's credentials"}
    return ListRow(platform.title, how[platform.by])


class DeviceLogin(Dialog[LoggedIn]):
    """Shows the device code and the URL, and waits until the user approves the code there."""

    keys = "Enter open in browser, or retry · Esc cancel"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", show=False)]

    def __init__(self, state: AppState, platform: Platform) -> None:
        super().__init__()
        self._state, self._platform = state, platform
        self._page = ""
        self.heading = f"Log in to {platform.title}"

    def content(self) -> Iterable[Widget]:
        yield Static(id="code", classes="about")

    def on_mount(self) -> None:
        self.during("waiting for approval", self._log_in)

    async def _log_in(self) -> None:
        to = await to_thread(logging_in.target, self._state.config, self._platform.id)
        try:
            done = await logging_in.log_in(self._state.config, to, self._show)
        finally:  # hide the code, because it may be denied or expired
            self._page = ""
            self.query_one("#code", Static).update("")
        self.dismiss(done)

    def _show(self, code: Code) -> None:
        self._page = code.uri_complete or code.uri
        words = Content.assemble(
            "Open\n  ", (self._page, "bold"), "\nand approve the code\n  ", (code.user_code, "bold")
        )
        self.query_one("#code", Static).update(words)

    def action_open(self) -> None:
        if self._page:
            self.app.open_url(self._page)
        elif not self.busy:
            self.on_mount()


class KeyLogin(Form[Added]):
    working = "testing the API key"

    def __init__(self, state: AppState, platform: LoginMethod) -> None:
        super().__init__()
        self._state, self._platform = state, platform
        self.heading = platform.title

    def fields(self) -> Iterable[Widget]:
        yield Static(Content(f"Get an API key at {self._platform.key_url}"), classes="about")
        yield key_field()

    def problems(self) -> dict[str, str]:
        return {} if self.value("api_key") else {"api_key": "API key cannot be empty."}

    async def finish(self) -> None:
        key, config = self.value("api_key"), self._state.config
        register(key)
        typed(key)
        detected = await key_login.try_key(config, self._platform, key)
        tables = model_tables(config, detected.draft.id, [(model.id, model.name) for model in detected.models])
        edited = await to_thread(key_login.write, config, detected, tables)
        self.dismiss(Added([detected.draft.id], list(edited.notes)))


async def _by_google(app: App[Any], state: AppState) -> Added | None:
    found: Google | None = await app.push_screen_wait(
        Progress("Requesting a token from Google", partial(logging_in.check_google, state.config))
    )
    if found is None:
        return None
    if found.provider is not None:
        state.say(f"Google accepts {found.account or found.kind}; {found.provider} is ready to use")
        return Added([found.provider])
    return await app.push_screen_wait(VertexForm(state, found))


class VertexForm(Form[Added]):
    heading = "Vertex AI"
    working = "adding the provider"

    def __init__(self, state: AppState, found: Google) -> None:
        super().__init__()
        self._state, self._found = state, found

    def fields(self) -> Iterable[Widget]:
        found = self._found
        words = f"Google accepts {found.account or found.kind} (from {found.where})"
        yield Static(Content(words), classes="about")
        yield Field("project", "Project", value=found.project or "")
        yield Field("location", "Location", value=found.location or "global")

    def problems(self) -> dict[str, str]:
        return {name: "Required" for name in ("project", "location") if not self.value(name)}

    async def finish(self) -> None:
        config = self._state.config
        made = vertex_draft("vertexai", self.value("project"), self.value("location"))
        detected = await detect(config, made, [])
        if not detected.models and detected.error is not None:
            raise detected.error
        tables = model_tables(config, made.id, [(model.id, None) for model in detected.models])
        await to_thread(adding.add, config, detected, tables)
        self.dismiss(Added([made.id]))


class _Account(Struct):
    """A login, or a provider with an API key, that the user can remove."""

    provider: str
    title: str
    by: str


async def log_out(app: App[Any], state: AppState) -> None:
    """Ask for a login or a provider with an API key, and remove it."""
    accounts = []
    for entry in state.config.providers.values():
        vendor = logins.managing(entry)
        title = vendor.title if vendor else entry.name or entry.id
        if entry.oauth:
            accounts.append(_Account(entry.id, title, "login"))
        elif entry.api_key:
            accounts.append(_Account(entry.id, title, f"API key · {entry.base_url or entry.type}"))
    if not accounts:
        state.say("There is no login or API key to remove")
        return
    current = next((one for one in accounts if one.provider == state.provider), None)
    menu = Menu("Log out of", accounts, lambda one: ListRow(one.title, one.by), at=current)
    await choose(app, menu, partial(_log_out_of, app, state))


async def _log_out_of(app: App[Any], state: AppState, chosen: _Account) -> bool | None:
    """Remove an account after a confirmation. False: the user declined; None: by Esc."""
    about = [("Provider", chosen.provider), ("Removed", "login or API key, and models, from config.toml")]
    sure: bool | None = await app.push_screen_wait(Confirm(f"Log out of {chosen.title}", about, "Log out?"))
    if not sure:
        return sure
    problem = None
    if state.config.providers[chosen.provider].oauth:
        problem = (await logging_in.log_out(state.config, chosen.provider)).ended.problem
    else:
        await to_thread(removal.remove, state.config.path, [chosen.provider])
    await state.reload()
    also = f"; the server did not revoke the tokens: {problem}" if problem else ""
    state.say(f"Logged out of {chosen.title}{also}")
    return True
