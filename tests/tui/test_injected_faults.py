"""An exception in any function of any widget, dialog or command: the app reports it, stays open and shows no local variables."""

import importlib
import inspect
import pkgutil
import time
from asyncio import Event, sleep
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
from textual.dom import DOMNode
from textual.message_pump import MessagePump
from textual.screen import Screen

from modelbay import tui
from modelbay.catalog.models_dev.live import URL, ModelsDev
from modelbay.onboarding.login.device import Google, platforms
from modelbay.onboarding.setup.steps import Preview, SetupQuestion
from modelbay.onboarding.sources import catalogs
from modelbay.onboarding.sources.catalogs import ProviderCatalog
from modelbay.providers import presets
from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from modelbay.tui.app import ModelbayApp
from modelbay.tui.chat_screen import ChatScreen
from modelbay.tui.conversation_commands import ConversationCommands
from modelbay.tui.dialogs import (
    catalog_provider,
    confirm,
    custom,
    deletable_list,
    dialog,
    form,
    help,
    history_search,
    list_dialog,
    login,
    manifest,
    menu,
    message_picker,
    model_checklist,
    model_picker,
    name_or_url,
    palette,
    progress,
    providers,
    registry,
    resume,
    steps,
    theme_picker,
    welcome,
)  # fmt: skip
from modelbay.tui.error_boundary import MANY, ErrorLog
from modelbay.tui.widgets import controls, line_input, search_box, status, virtual_list
from modelbay.tui.widgets.status import StatusLine
from modelbay.tui.widgets.transcript import EarlierPlaceholder, Transcript
from modelbay.tui.widgets.virtual_list import ListRow, VirtualList
from tests.cli.command import KEY
from tests.tui.sitting import SECONDS, Sitting, sitting

WAYS = ("handler", "timer", "worker")
SECRET = "sk-in-a-local-variable-0123456789"
CONFIG = """
[providers.own]
type = "openai"
base_url = "SIM/coding/v1"
custom_headers = { x-team = "blue" }
oauth = { key = "own", device_url = "SIM/api/oauth/device_authorization", token_url = "SIM/api/oauth/token", client_id = "c" }
"""

MODULES = [importlib.import_module(one.name) for one in pkgutil.walk_packages(tui.__path__, f"{tui.__name__}.")]
KINDS = sorted(
    {
        kind
        for module in MODULES
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, MessagePump) and kind.__module__.startswith(tui.__name__)
    },
    key=lambda kind: f"{kind.__module__} {kind.__name__}",
)
"""Every widget, screen and app class of the app."""
OUTSIDE = {"_handle_exception", "exit", "run_async", "on_unmount", "get_line_filters", "get_theme_variable_defaults"}
"""Functions of the app that are the boundary itself, or run before and after it."""


def functions(kind: type) -> list[str]:
    return [
        name for name, one in vars(kind).items() if isinstance(one, FunctionType) and name not in OUTSIDE | {"__init__"}
    ]


async def nothing() -> None:
    await Event().wait()


def dialogs(app: ModelbayApp, catalog: ProviderCatalog) -> dict[type, Callable[[], Screen[Any]]]:
    """Each dialog with some content."""
    state = app.state
    entry = catalogs.find(catalog, "groq")
    key_login = next(method for _, method in presets.logins() if method.by == "key")
    platform = next(one for one in platforms(state.config) if one.id == "own")
    models = list(state.hub.models())
    preview = Preview(title="Add acme", id="acme", facts=[("Provider ID", "acme")], models=models, make_diff=lambda: "")
    google = Google("user", "the environment", "me@example.com", None)
    saved = state.store.list()
    return {
        name_or_url.NameOrUrlForm: lambda: name_or_url.NameOrUrlForm(state),
        confirm.Confirm: lambda: confirm.Confirm("Sure", [("File", "a.txt")], "Overwrite it?"),
        custom.CustomProvider: lambda: custom.CustomProvider(state),
        custom.EditProvider: lambda: custom.EditProvider(state, "sim"),
        help.HelpDialog: help.HelpDialog,
        history_search.HistorySearch: lambda: history_search.HistorySearch(
            [history_search.HistoryEntry("one", "one")], state.store
        ),
        catalog_provider.CatalogForm: lambda: catalog_provider.CatalogForm(state, catalog, entry),
        login.DeviceLogin: lambda: login.DeviceLogin(state, platform),
        login.KeyLogin: lambda: login.KeyLogin(state, key_login),
        login.VertexForm: lambda: login.VertexForm(state, google),
        manifest.ManifestForm: lambda: manifest.ManifestForm(state),
        menu.Menu: lambda: menu.Menu("Choose", ["one", "two"], ListRow),
        message_picker.MessagePicker: lambda: message_picker.MessagePicker(message_picker.messages(state.chat.turns)),
        model_checklist.ModelChecklist: lambda: model_checklist.ModelChecklist("Models", models),
        model_picker.ModelPicker: lambda: model_picker.ModelPicker(state, models),
        palette.CommandPalette: palette.CommandPalette,
        progress.Progress: lambda: progress.Progress("Waiting", nothing),
        providers.Providers: lambda: providers.Providers(state),
        registry.RegistryForm: lambda: registry.RegistryForm(state),
        resume.ResumeDialog: lambda: resume.ResumeDialog(state.store, saved),
        steps.PreviewDialog: lambda: steps.PreviewDialog(preview),
        steps.QuestionForm: lambda: steps.QuestionForm(SetupQuestion(field="id", label="Provider ID")),
        theme_picker.ThemePicker: lambda: theme_picker.ThemePicker("auto", app.apply_theme),
        welcome.Welcome: lambda: welcome.Welcome(state.config),
    }


HOSTS: dict[type, type] = {
    custom.ProviderForm: custom.CustomProvider,
    deletable_list.DeletableList: providers.Providers,
    dialog.Dialog: help.HelpDialog,
    dialog.ScrollArea: help.HelpDialog,
    dialog.TextDialog: help.HelpDialog,
    form.Field: registry.RegistryForm,
    form.Form: registry.RegistryForm,
    form.KeyInput: registry.RegistryForm,
    line_input.LineInput: registry.RegistryForm,
    list_dialog.ListDialog: menu.Menu,
    controls.ChoiceField: manifest.ManifestForm,
    controls.InputPair: custom.EditProvider,
    controls.LabeledRow: manifest.ManifestForm,
    controls.TextButton: custom.CustomProvider,
    search_box.SearchBox: model_picker.ModelPicker,
    status.StatusLine: help.HelpDialog,
    virtual_list.VirtualList: menu.Menu,
}
"""The dialogs that have a widget, or are of an abstract class. Each other widget is on the main screen."""


@contextmanager
def fails_once(kind: type, name: str) -> Iterator[list[str]]:
    """Make a function raise an exception at its first call. Yields the calls that failed; clear them to have it fail again."""
    original, failed = vars(kind)[name], list[str]()

    @wraps(original)
    def raises(*arguments: Any, **options: Any) -> Any:
        if not failed:
            token = SECRET
            failed.append(name)
            raise KeyError(len(token))
        return original(*arguments, **options)

    async def raises_later(*arguments: Any, **options: Any) -> Any:
        return await raises(*arguments, **options)

    put: Any = wraps(original)(raises_later) if inspect.iscoroutinefunction(original) else raises
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kind, name, put)
        for message, handlers in vars(kind).get("_decorated_handlers", {}).items():
            same = [(put if function is original else function, selectors) for function, selectors in handlers]
            patch.setitem(vars(kind)["_decorated_handlers"], message, same)
        yield failed


async def reported(person: Sitting) -> None:
    """Wait until an internal error is reported, in the transcript or by the dialog whose task failed, and clear it."""
    errors, deadline = person.app.internal_errors, time.monotonic() + SECONDS
    while not errors.seen and "internal error: KeyError" not in person.panel:
        assert time.monotonic() < deadline, f"no error was reported; the screen is\n{person.screen}"
        await sleep(0.001)
    assert not errors.seen or KeyError in {type(error) for error in errors.seen}, errors.seen
    assert not person.app._exit
    assert SECRET not in person.screen
    person.app.internal_errors = ErrorLog()


def found(screen: Screen[Any], kind: type) -> DOMNode | None:
    if issubclass(kind, ModelbayApp | ConversationCommands):
        return screen.app
    nodes: list[DOMNode] = [screen, *screen.query("*")]
    return next((node for node in nodes if isinstance(node, kind)), None)


async def has_something_to_show(person: Sitting) -> None:
    await person.says("Hello")
    await person.sees("You asked: Hello")
    await person.answered()
    await person.app.chat_screen.transcript.mount(EarlierPlaceholder(1))


@pytest.fixture(scope="module")
def catalog() -> ProviderCatalog:
    """The bundled catalog."""
    known = ModelsDev()
    return ProviderCatalog(URL, known.providers, known.date, built_in=True)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
async def test_an_exception_in_a_function_is_reported_and_the_app_stays_open(
    home: Path, configured: str, simulator: Simulator, catalog: ProviderCatalog, kind: type
):
    simulator.provider.logins.behave(LoginBehavior(approve_after=None, interval=1))
    config = configured.replace(f'api_key = "{KEY}"', f'api_key = "{KEY}"\ncustom_headers = {{ x-team = "blue" }}', 1)
    async with sitting(config + CONFIG.replace("SIM", simulator.url), home=home) as person:
        await has_something_to_show(person)
        app = person.app
        new = dialogs(app, catalog).get(HOSTS.get(kind, kind))
        node = found(app.chat_screen, kind) or app
        assert new or isinstance(node, kind), f"no host shows {kind.__name__}: add one to HOSTS"
        for number, name in enumerate(functions(kind)):
            with fails_once(kind, name) as failed:
                if new is not None:
                    await app.push_screen(new())
                    await person.pilot.pause()
                    if failed:
                        await reported(person)
                    node = found(app.screen, kind) or app.screen
                failed.clear()
                run(node, partial(getattr(kind, name), node), WAYS[number % len(WAYS)])
                await reported(person)
            while app.screen is not app.chat_screen:
                await person.presses("escape")
            app.internal_errors = ErrorLog()  # such as of a dialog whose content is missing
        await person.says("Are you there?")
        await person.sees("Are you there? I am")


def run(node: DOMNode, function: Callable[..., Any], way: str) -> None:
    """Call a function as Textual calls handlers, timers and workers."""

    async def call() -> None:
        result = function()
        if inspect.isawaitable(result):
            await result

    match way:
        case "handler":
            node.call_later(call)
        case "timer":
            node.set_timer(0.001, call)
        case "worker":
            node.run_worker(call)  # type: ignore[arg-type]


def always_fails(*_: object, **__: object) -> None:
    token = SECRET
    raise KeyError(len(token))


async def fails_often(person: Sitting) -> None:
    """Wait until there were more errors than a loop of reports may have."""
    while len(person.app.internal_errors.seen) < MANY + 2:
        await person.pilot.pause(0.01)
        assert not person.app._exit
    assert SECRET not in person.screen


async def test_a_timer_that_always_fails_does_not_close_the_app(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    async with sitting(configured, home=home) as person:
        with monkeypatch.context() as patch:
            patch.setattr(StatusLine, "_turn", always_fails)
            patch.setattr("modelbay.tui.widgets.status.TICK", 0.01)
            await person.app.push_screen(progress.Progress("Waiting", nothing))
            await fails_often(person)
            await person.presses("escape")
        await person.sees("internal error: KeyError")
        await person.says("Are you there?")
        await person.sees("Are you there? I am")
        person.app.internal_errors = ErrorLog()


async def test_a_widget_that_cannot_be_drawn_is_blank_and_the_rest_is_drawn(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    async with sitting(configured, home=home) as person:
        with monkeypatch.context() as patch:
            patch.setattr(VirtualList, "render_line", always_fails)
            await person.app.push_screen(menu.Menu("Choose one", ["first", "second"], ListRow))
            while len(person.app.internal_errors.seen) < MANY + 2:
                person.app.screen.query_one(VirtualList).refresh()
                await person.pilot.pause()
                assert not person.app._exit
            screen = await person.sees("Choose one", "Esc cancel")
            assert "first" not in screen and SECRET not in screen
            await person.presses("escape")
        await person.sees("internal error: KeyError")
        await person.says("Are you there?")
        await person.sees("Are you there? I am")
        person.app.internal_errors = ErrorLog()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[(kind, name) for kind in (ModelbayApp, ChatScreen, Transcript) for name in ("compose", "on_mount") if name in vars(kind)],
        (ModelbayApp, "start"),
        (ModelbayApp, "_prepare_store"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)  # fmt: skip
async def test_a_fault_at_the_start_leaves_an_app_that_answers_or_a_message(
    home: Path, configured: str, kind: type, name: str
):
    (home / "config.toml").write_text(configured)
    app = ModelbayApp(home / "config.toml")
    with fails_once(kind, name) as failed:
        async with app.run_test(size=(80, 24)) as pilot:
            person = Sitting(app, pilot)
            while not failed:
                await sleep(0.001)
            if app._exit:
                assert app.return_code == 1
                assert "internal error: KeyError" in "".join(str(one) for one in app._exit_renderables)
                return
            assert SECRET not in await person.sees("internal error: KeyError")
            await person.says("Hello")
            await person.sees("You asked: Hello")
