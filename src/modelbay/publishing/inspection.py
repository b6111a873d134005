"""Checking what a provider publishes: the documents, the addresses that they name, and a call with a key."""

from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.catalog.formats import manifest as reading
from modelbay.catalog.models_dev.live import Exchange, ModelsDev
from modelbay.config.schema import Config, ProviderEntry
from modelbay.conversation import Extra
from modelbay.credentials.network import transport_of
from modelbay.errors import (
    AuthenticationFailed,
    ConfigError,
    MalformedReply,
    ModelbayError,
    NotFound,
    PermissionDenied,
    Redirected,
    TimedOut,
)
from modelbay.events import Event, Warned, collect
from modelbay.hub import Hub
from modelbay.line import USER_AGENT
from modelbay.origin import Origin, origin
from modelbay.protocols.failures import summary, text_of
from modelbay.providers import urls
from modelbay.publishing.documents import Document, read_list, read_manifest, read_models
from modelbay.publishing.manifests import is_local
from modelbay.publishing.rules import SEVERITIES, Finding, Severity, broken
from modelbay.secrecy import masked_url, redact, register
from modelbay.transport import Fetching, Limits, Request, Transport, check_online, fetch

QUICK = 2.0
"""Seconds that an answer may take."""
LIMITS = Limits(connect=10.0, first_byte=10.0, idle=10.0, reply_bytes=16 * 2**20)
SECONDS = 20.0
"""For one answer, however steadily it comes."""
HOPS = 5
WORD = "Answer with the word: ready"
LONGEST = 1024
"""Tokens that an answer may have, thinking included."""
ID = "checked"
"""What the provider is called while it is asked."""


class Answer(Struct):
    """What came of one address."""

    what: str
    url: str
    status: int | None = None
    seconds: float = 0.0
    bytes: int = 0
    about: str = ""


class Report(Struct):
    """All that there is to say of what a provider publishes; the worst first."""

    subject: str
    answers: list[Answer] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def add(self, findings: list[Finding], where: str = "") -> None:
        """Takes findings in; those of an answer with its address in front."""
        for one in findings:
            shown = where if not one.where else f"{where} {one.where}" if where else one.where
            finding = Finding(one.rule, one.severity, redact(shown), redact(one.message), one.change)
            if finding not in self.findings:
                self.findings.append(finding)


class Call(Struct):
    """The call to try, where there is a key. `agreed`: it may go wherever the manifest says that calls go."""

    key: str | None = None
    model: str | None = None
    agreed: bool = False


NOWHERE = Config(path=Path("config.toml"))
"""A configuration of which nothing is set."""


async def check_hosted(
    url: str, call: Call, models_dev: ModelsDev | None = None, *, config: Config = NOWHERE
) -> Report:
    """The report on a manifest at an address.

    Raises:
        ConfigError: that is no address.
    """
    try:
        typed = origin(url)
    except ValueError as error:
        raise ConfigError(f"{masked_url(url)} cannot be checked: {error}", hint="name an address, or a file") from None
    async with transport_of(config) as transport:
        inspection = _Inspection(Report(masked_url(url)), transport, call, models_dev or ModelsDev(), typed, config)
        await inspection.hosted(url)
    return inspection.done()


async def check_files(
    manifest: bytes, models: bytes | None, subject: str, call: Call, models_dev: ModelsDev | None = None,
    *, offline: bool = False, config: Config = NOWHERE,
) -> Report:  # fmt: skip
    """The report on an embedded array, or on a manifest that is not hosted yet and its extended models."""
    async with transport_of(config) as transport:
        inspection = _Inspection(Report(subject), transport, call, models_dev or ModelsDev(), None, config)
        await inspection.written(manifest, models, offline=offline)
    return inspection.done()


def files_of(path: Path) -> tuple[bytes, bytes | None]:
    """A manifest's file, or the one in a folder, and the extended models beside it.

    Raises:
        OSError: the manifest cannot be read.
    """
    if path.is_dir():
        path = path / "manifest.json"
    beside = path.with_name("models.json")
    return path.read_bytes(), beside.read_bytes() if beside != path and beside.is_file() else None


class _Page(Struct):
    """An answer with 200, and how it came."""

    url: str
    body: bytes


class _Inspection:
    def __init__(
        self,
        report: Report,
        transport: Transport,
        call: Call,
        models_dev: ModelsDev,
        typed: Origin | None,
        config: Config,
    ) -> None:
        if call.key:
            register(call.key)
        self._report = report
        self._transport = transport
        self._config = config
        self._call = call
        self._models_dev = models_dev
        self._typed = typed
        """Where the user said that the manifest is; None for a file."""

    async def hosted(self, url: str) -> None:
        assert self._typed is not None
        if self._typed.scheme == "http" and not self._typed.loopback:
            severity: Severity = "warning" if is_local(self._typed) else "error"
            self._report.add([broken("manifest-http", masked_url(url), "it is http://", severity)])
        if "provider=true" not in urlsplit(url).query.split("&"):
            self._report.add([broken("manifest-address", masked_url(url), "it does not end with ?provider=true")])
        page = await self._get("manifest", url, key=False)
        if page is None:
            return
        local: Severity = "advice" if is_local(self._typed) else "error"
        document = read_manifest(page.body, local=local, key=self._call.key)
        self._report.add(document.findings)
        base = document.base_url
        if base is None or not _usable(base):
            return
        there = origin(base)
        if there != self._typed:
            what = f"{there} is not where the manifest is"
            self._report.add([broken("base-url-elsewhere", "baseUrl", what)])
            if is_local(there):
                return
        ids = await self._models(document, base)
        await self._served(base, ids)

    async def written(self, content: bytes, models: bytes | None, *, offline: bool) -> None:
        pasted = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
        document = read_manifest(content, pasted=pasted, local="warning", key=self._call.key)
        if models is not None and not pasted:
            more = read_models(models, key=self._call.key)
            self._report.add(more.findings, "models.json")
            document.models = more.models
        self._report.add(document.findings)
        base = document.base_url
        if document.manifest is not None and document.manifest.get("models_data_source") == "models_dev":
            document.models = await self._at_models_dev(document.manifest, online=not offline)
        if offline or base is None or not _usable(base):
            return
        there = origin(base)
        if is_local(there) and not there.loopback:
            return
        await self._served(base, list(document.models or ()))

    def done(self) -> Report:
        self._report.findings.sort(key=lambda one: SEVERITIES.index(one.severity))
        return self._report

    # --- models ---

    async def _models(self, document: Document, base: str) -> list[str]:
        """The ids of a hosted manifest's models, from wherever it says that they are."""
        assert document.manifest is not None
        source = document.manifest.get("models_data_source")
        if source == "models_dev":
            return list(await self._at_models_dev(document.manifest, online=True) or ())
        if source != "endpoint":
            return []
        url = reading.Manifest(name="", base_url=base, source="endpoint").models_url
        page = await self._get("models", url, key=True)
        if page is None:
            return []
        found = read_models(page.body, key=self._call.key)
        self._report.add(found.findings, masked_url(url))
        self._report.answers[-1].about = _counted(len(found.models or ()))
        return [key for key in found.models or () if key.strip()]

    async def _at_models_dev(self, manifest: Extra, *, online: bool) -> Extra | None:
        id = manifest.get("models_dev_provider_id")
        if not isinstance(id, str) or not id.strip():
            return None
        id = id.strip()
        entry = self._models_dev.providers.get(id)
        if entry is None and online:
            await self._models_dev.refresh(self._exchange())
            entry = self._models_dev.providers.get(id)
        if entry is None:
            from difflib import get_close_matches

            near = get_close_matches(id.lower(), self._models_dev.providers, n=1)
            meant = f'; "{near[0]}" is' if near else ""
            what = f'"{id[:50]}" is not in the list of models.dev of {self._models_dev.date}{meant}'
            self._report.add([broken("models-dev-unknown", "models_dev_provider_id", what)])
            return None
        models: Extra = entry["models"]
        if not models:
            what = f'"{id}" has no models at models.dev'
            self._report.add([broken("models-empty", "models_dev_provider_id", what)])
        return models

    def _exchange(self) -> Exchange:
        async def exchange(
            method: str, url: str, headers: dict[str, str], body: bytes | None
        ) -> tuple[int, dict[str, str], bytes]:
            check_online(self._transport, url)
            request = Request(method, url, {"User-Agent": USER_AGENT, **headers}, body, LIMITS)
            async with await self._transport.send(request) as response:
                return response.status, response.headers, await response.read()

        return exchange

    # --- the base URL ---

    async def _served(self, base: str, ids: list[str]) -> None:
        """What answers at the base URL: the plain list, and a call."""
        url = urls.models_url(base, "openai_chat")
        page = await self._get("list", url, key=True)
        listed: list[str] = []
        if page is not None:
            listed, findings = read_list(page.body)
            self._report.add(findings, masked_url(url))
            self._report.answers[-1].about = _counted(len(listed))
            if listed and ids:
                self._compare(ids, listed, masked_url(url))
        reached = self._report.answers[-1].status is not None
        if reached or self._is_trusted(origin(base)):  # else it may be nowhere that a key should go
            await self._chat(base, ids or listed)

    def _compare(self, ids: list[str], listed: list[str], where: str) -> None:
        for some, others, what in (
            (ids, listed, "of the extended models are not in it"),
            (listed, ids, "in it are no extended models"),
        ):
            lacking = [id for id in some if id not in others]
            if lacking:
                named = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
                self._report.add([broken("list-differs", where, f"{len(lacking)} {what}: {named}")])

    async def _chat(self, base: str, ids: list[str]) -> None:
        """A real call, streamed as most applications have it."""
        model = self._call.model or next(iter(ids), None)
        if not self._call.key or model is None:
            return
        where = masked_url(urls.append(urls.base_of(base), "/chat/completions"))
        if not self._may_have_key(origin(base)):
            what = f"no call was made: the key was not given for {origin(base)}"
            self._report.add([broken("chat-untried", where, what)])
            return
        entry = ProviderEntry(id=ID, type="openai", base_url=base, api_key=self._call.key)
        events: list[Event] = []
        start = perf_counter()
        async with Hub(replace(NOWHERE, network=self._config.network, providers={ID: entry})) as hub:
            try:
                async for event in hub.stream(WORD, model=f"{ID}/{model}", max_tokens=LONGEST):
                    events.append(event)
                error = collect(events).error
            except ModelbayError as failure:
                error = failure
        answer = Answer("chat", where, error.status if error else 200, perf_counter() - start)
        self._report.answers.append(answer)
        if error is not None:
            self._report.add([broken(_chat_rule(error), where, f"{model}: {error.message}")])
            return
        answer.about = f"{model} answered"
        warned = [event for event in events if isinstance(event, Warned)]
        rules = ["chat-differs" if event.setting else "chat-again" for event in warned]
        self._report.add([broken(rule, where, event.message) for rule, event in zip(rules, warned, strict=True)])

    def _may_have_key(self, there: Origin) -> bool:
        """Whether the key may go somewhere: where the user typed, to this machine, or wherever they agreed to."""
        return self._call.agreed or there == self._typed or (self._typed is None and there.loopback)

    # --- fetching ---

    async def _get(self, what: str, url: str, *, key: bool) -> _Page | None:
        """The answer at an address, to somebody without a key. `key`: the one that there is may be tried after that."""
        page, status = await self._fetched(what, url, {})
        if page is None and status in (401, 403):
            where = masked_url(url)
            if what == "list":
                if key and self._call.key and self._may_have_key(origin(url)):
                    page, _ = await self._fetched(what, url, {"Authorization": f"Bearer {self._call.key}"}, again=True)
                else:
                    self._report.add([broken("list-unseen", where, f"it answered {status} to a call without a key")])
            else:
                self._report.add([broken("needs-key", where, f"it answered {status} to a call without a key")])
        return page

    async def _fetched(
        self, what: str, url: str, headers: dict[str, str], *, again: bool = False
    ) -> tuple[_Page | None, int | None]:
        """The page at an address, redirects followed, with the findings on how it came; and its status."""
        where, trail, found = masked_url(url), list[str](), None
        answer = Answer(what, where)
        if again:
            self._report.answers.pop()
        self._report.answers.append(answer)
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json", **headers}
        how = Fetching(trusted=self._trusted(url), seconds=SECONDS, redirects=0 if headers else HOPS)
        start = perf_counter()
        try:
            found = await fetch(self._transport, Request("GET", url, sent, None, LIMITS), how, trail)
        except Redirected as redirect:
            answer.status = redirect.status
            if not headers:
                self._report.add([broken("unreachable", where, f"{redirect.message}: {redirect.hint}")])
        except ModelbayError as error:
            answer.seconds = perf_counter() - start
            self._report.add([broken(_failure_rule(error), where, error.message)])
        if trail:
            rule = "manifest-redirects" if what == "manifest" else "redirects"
            self._report.add([broken(rule, where, f"it points to {masked_url(trail[0]) or 'nowhere'}")])
        if found is None:
            return None, answer.status
        answer.status, answer.seconds, answer.bytes = found.status, perf_counter() - start, len(found.body)
        if answer.seconds > QUICK:
            self._report.add([broken("slow", where, f"it took {answer.seconds:.1f} s")])
        if findings := _answered(found.status, found.headers.get("content-type", ""), found.body, where):
            if found.status in (401, 403):
                return None, found.status  # whoever asked says what that means
            self._report.add(findings)
            if any(one.severity == "error" for one in findings):
                return None, found.status
        return _Page(found.url, found.body), found.status

    def _trusted(self, url: str) -> list[Origin]:
        """The origins that are the user's own choice."""
        there = [] if self._typed is None else [self._typed]
        return [*there, *([origin(url)] if self._is_trusted(origin(url)) else [])]

    def _is_trusted(self, there: Origin) -> bool:
        """Whether an address is the user's own choice: it was typed, or their file names this machine."""
        return there == self._typed or (self._typed is None and there.loopback)


def _answered(status: int, kind: str, body: bytes, where: str) -> list[Finding]:
    """What is wrong with an answer as such."""
    kind = kind.partition(";")[0].strip().lower()
    is_page = kind in ("text/html", "application/xhtml+xml") or body.lstrip()[:1] == b"<"
    if is_page and status not in (401, 403):
        what = f"it answered {status} with {summary(text_of(body[:5000]))}"
        return [broken("web-page", where, what)]
    if status != 200:
        return [broken("status", where, f"it answered {status}: {summary(text_of(body[:5000]))}")]
    if kind != "application/json" and not kind.endswith("+json"):
        return [broken("content-type", where, f"it is {kind[:50] or 'missing'}")]
    return []


def _failure_rule(error: ModelbayError) -> str:
    if isinstance(error, TimedOut) and error.stage != "connect":
        return "too-late"
    return "too-large" if isinstance(error, MalformedReply) and "more than" in error.message else "unreachable"


def _chat_rule(error: ModelbayError) -> str:
    if isinstance(error, AuthenticationFailed | PermissionDenied):
        return "chat-refused"
    return "chat-not-found" if isinstance(error, NotFound) else "chat-failed"


def _usable(url: str) -> bool:
    try:
        origin(url)
    except ValueError:
        return False
    return not urls.without_user(url)[1]


def _counted(number: int) -> str:
    return f"{number:,} model" if number == 1 else f"{number:,} models"
