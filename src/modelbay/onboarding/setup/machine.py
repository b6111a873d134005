"""Adding or editing a provider step by step, for every face (command line, app).

    setup = Setup(config)
    step = await setup.start("https://api.acme.example/v1", Given(id="acme"))
    while not isinstance(step, Result):
        step = await setup.answer(...)  # text for a question; no argument confirms a preview and writes it

A step is a question, a preview of the changes, or the result. After a wrong answer the same question is asked again, with
the problem. Nothing is written before a preview is confirmed. A step that fails or is cancelled changes nothing.
"""

import os.path
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from msgspec.structs import replace

from modelbay import recognition
from modelbay.config.schema import Config
from modelbay.errors import ConfigError, UnreadableFile
from modelbay.onboarding.setup.by_address import by_address, custom, local, recognized_by_content, with_listed_models
from modelbay.onboarding.setup.by_source import by_catalog, by_manifest, by_registry
from modelbay.onboarding.setup.editing import editing
from modelbay.onboarding.setup.run import MissingAnswer, SetupRun
from modelbay.onboarding.setup.steps import Given, Preview, Result, SetupNote, SetupQuestion, Step
from modelbay.onboarding.sources import documents
from modelbay.onboarding.sources.registries import urls_of
from modelbay.providers import presets
from modelbay.recognition import Recognized, recognize, recognize_text
from modelbay.secrecy import masked_url
from modelbay.storage.paths import expanded


class Plan(Protocol):
    """The changes that a flow has prepared."""

    def choose(self, ids: list[str]) -> None: ...

    def preview(self) -> Preview: ...

    def write(self) -> Result: ...


class Setup:
    """`doing` is called with a status message before each network access."""

    def __init__(self, config: Config, doing: Callable[[str], object] = lambda words: None) -> None:
        self._config = config
        self._doing = doing
        self._run = SetupRun(config, Given(), doing)
        self._flow: Callable[[], Coroutine[Any, Any, Plan]] | None = None
        self._plan: Plan | None = None
        self._step: Step | None = None

    @property
    def notes(self) -> list[SetupNote]:
        """The notes so far, even after a failed step."""
        return list(self._run.notes)

    async def start(self, what: str, given: Given | None = None) -> Step:
        """Begin with a vendor's name, a URL, a file or the text of a document.

        Raises:
            ModelbayError: `what` is not recognized, or it cannot be read.
        """
        return await self._begin(given, lambda: _added(self._run, what.strip()))

    async def custom(self, given: Given | None = None) -> Step:
        """Begin with a provider's fields: ID, display name and base URL."""
        return await self._begin(given, lambda: custom(self._run))

    async def edit(self, id: str, given: Given | None = None) -> Step:
        """Begin with a configured provider. Fields that are not given do not change.

        Raises:
            UnknownProvider: there is no such provider.
        """
        return await self._begin(given, lambda: editing(self._run, id))

    async def list_models(self, what: str, given: Given | None = None) -> Step:
        """Show models without adding anything: begins like `start` or with a configured provider. The preview is for display
        only.
        """
        if what in self._config.providers:
            return await self._begin(given, lambda: with_listed_models(self._run, what))
        bare = replace(self._config, providers={}, models={}, default_model=None, default_provider=None)
        return await self._begin(given, lambda: _added(self._run, what.strip()), bare)

    async def list_custom_models(self, given: Given) -> Step:
        """Show models without adding anything: begins like `custom`. The preview is for display only."""
        bare = replace(self._config, providers={}, models={}, default_model=None, default_provider=None)
        return await self._begin(given, lambda: custom(self._run), bare)

    async def answer(self, value: str | None = None) -> Step:
        """Answer the current question, or confirm the current preview and write it.

        Raises:
            ModelbayError: the next step failed; the question is still open.
        """
        step = self._step
        if isinstance(step, Preview) and self._plan is not None:
            from asyncio import to_thread

            self._step = await to_thread(self._plan.write)
            return self._step
        if not isinstance(step, SetupQuestion):
            raise ConfigError("there is no question to answer", hint="begin again")
        before = dict(self._run.answers)
        self._run.answers[step.field] = step.suggestion if value is None else value
        return await self._next(before)

    async def choose(self, ids: list[str]) -> Preview:
        """The preview with other models chosen.

        Raises:
            SourceError: there is no such model.
        """
        assert self._plan is not None
        self._plan.choose(ids)
        self._step = self._shown(self._plan)
        return self._step

    async def back(self) -> Step | None:
        """Return to the previous question; None at the first one."""
        before = dict(self._run.answers)
        if not before:
            return None
        field, value = self._run.answers.popitem()
        step = await self._next(before)
        if isinstance(step, SetupQuestion) and step.field == field and not step.secret:
            step.suggestion = value
        return step

    async def _begin(
        self, given: Given | None, flow: Callable[[], Coroutine[Any, Any, Plan]], config: Config | None = None
    ) -> Step:
        self._run = SetupRun(config or self._config, given or Given(), self._doing)
        self._flow, self._plan, self._step = flow, None, None
        return await self._next({})

    async def _next(self, before: dict[str, str]) -> Step:
        """Run the flow with the answers so far. If it fails, the answers of `before` are restored."""
        assert self._flow is not None
        self._run.notes.clear()
        try:
            plan = await self._flow()
        except MissingAnswer as missing:
            missing.question.notes = list(self._run.notes)
            self._step = missing.question
        except BaseException:
            self._run.answers = before
            raise
        else:
            self._plan = plan
            self._step = self._shown(plan)
        return self._step

    def _shown(self, plan: Plan) -> Preview:
        preview = plan.preview()
        preview.notes = list(self._run.notes)
        return preview


async def _added(run: SetupRun, what: str) -> Plan:
    """Choose the flow for `what` and run it."""
    given = run.given
    if given.kind == "catalog":
        return await by_catalog(run, what)
    if given.kind == "manifest":
        content = given.content
        if content is None and "://" not in what and os.path.isfile(expanded(what)):  # also for too long a text
            content = _content(what, expanded(what))
        return await by_manifest(run, what if content is None else None, content)
    known = what in urls_of(run.config)
    found = _recognized(run, what, "registry" if given.kind is None and known else given.kind)
    if found.kind == "local":
        found = await local(run)
    if found.kind == "catalog":
        return await by_catalog(run, str(found.url))
    if found.kind == "registry":
        return await by_registry(run, found.document, found.content)
    if found.kind == "manifest" or await _leads_to_manifest(run, found):
        run.note(f"{masked_url(what)} is {recognition.TITLES['manifest']}")
        return await by_manifest(run, found.document, found.content)
    if found.document is None or found.kind in recognition.NATIVE:
        run.note(f"{masked_url(what)} is {found.title}")
    else:
        found = await recognized_by_content(run, found)
        if found.kind == "registry":
            return await by_registry(run, what, found.content)
        if found.kind == "manifest":  # the server returned it for the key only, which is not sent for a manifest
            return await by_manifest(run, what, None)
    return await by_address(run, what, found)


async def _leads_to_manifest(run: SetupRun, found: Recognized) -> bool:
    """Whether a URL returns a manifest. The API key is not sent, because the manifest's provider may be on another server."""
    document = found.document
    if document is None or found.kind != "list":
        return False
    words = f"Reading {masked_url(document)}"
    content = await run.once(("open", document), words, lambda: documents.without_key(run.config, document))
    return content is not None and recognition.kind_of(content) == "manifest"


def _recognized(run: SetupRun, what: str, kind: recognition.Kind | None) -> Recognized:
    if kind == "local" or (kind is None and what == "local"):
        return Recognized("local")
    if run.given.content is not None:
        return recognize_text(run.given.content, what, kind)
    if what.startswith(("{", "[")):
        return recognize_text(what.encode(), "the text", kind)
    path = expanded(what)
    by_name = "://" not in what and presets.by_name(what) is not None
    if not by_name and "://" not in what and (os.path.isfile(path) or _looks_like_file(what, path)):
        return recognize_text(_content(what, path), what, kind)
    return recognize(what, kind)


def _looks_like_file(what: str, path: Path) -> bool:
    return what.startswith((".", "~", "/")) or path.suffix == ".json"


def _content(what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise UnreadableFile(f"{what} cannot be read: No such file or directory") from None
    except OSError as error:
        raise UnreadableFile(f"{what} cannot be read: {error.strerror}") from None
