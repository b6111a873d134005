"""Checks the documents that a provider publishes, the URLs in them, and a call with a key."""

from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from modelbay.calling.network_client import USER_AGENT
from modelbay.catalog.formats import manifest as manifest_format
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
    ReplyError,
    TimedOut,
)
from modelbay.events import Event, Warned, collect
from modelbay.hub import Hub
from modelbay.origin import Origin, origin
from modelbay.protocols.failures import summary, text_of
from modelbay.providers import urls
from modelbay.publishing.document_check import PublishedDocument, read_list, read_manifest, read_models
from modelbay.publishing.manifest_rules import is_local
from modelbay.publishing.rules import SEVERITIES, RuleFinding, Severity, broken
from modelbay.secrecy import masked_url, redact, register
from modelbay.transport import Fetching, Limits, Request, Transport, check_online, fetch

QUICK = 2.0
"""Seconds that a response may take without a warning."""
LIMITS = Limits(connect=10.0, first_byte=10.0, idle=10.0, reply_bytes=16 * 2**20)
SECONDS = 20.0
"""The time limit for a whole response."""
MAX_REDIRECTS = 5
PROMPT = "Answer with the word: ready"
MAX_TOKENS = 1024
"""Maximum output tokens of the call, reasoning included."""
ID = "checked"
"""The ID of the provider during the check."""


class CheckedResponse(Struct):
    """The response of one URL, as `manifest check --json` prints it. `what`: "manifest", "models", "list" or "chat"."""

    what: str
    url: str
    status: int | None = None
    seconds: float = 0.0
    bytes: int = 0
    about: str = ""


class ManifestReport(Struct):
    """The result of a check. Findings are sorted by severity, errors first."""

    subject: str
    answers: list[CheckedResponse] = field(default_factory=list)
    findings: list[RuleFinding] = field(default_factory=list)

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def add(self, findings: list[RuleFinding], where: str = "") -> None:
        """Add findings without duplicates. `where`: the URL of the response, which is put before the path of each finding."""
        for one in findings:
            shown = where if not one.where else f"{where} {one.where}" if where else one.where
            finding = RuleFinding(one.rule, one.severity, redact(shown), redact(one.message), one.change)
            if finding not in self.findings:
                self.findings.append(finding)


class ChatCheck(Struct):
    """The call to make, if there is a key. `any_origin`: the key may be sent to the manifest's base URL at any origin."""

    key: str | None = None
    model: str | None = None
    any_origin: bool = False


EMPTY_CONFIG = Config(path=Path("config.toml"))
"""A configuration without settings."""


async def check_hosted(
    url: str, call: ChatCheck, models_dev: ModelsDev | None = None, *, config: Config = EMPTY_CONFIG
) -> ManifestReport:
    """The report on the manifest at a URL.

    Raises:
        ConfigError: the URL is not valid.
    """
    try:
        typed_origin = origin(url)
    except ValueError as error:
        raise ConfigError(f"{masked_url(url)} cannot be checked: {error}", hint="name a URL or a file") from None
    async with transport_of(config) as transport:
        inspection = _Inspection(
            ManifestReport(masked_url(url)), transport, call, models_dev or ModelsDev(), typed_origin, config
        )
        await inspection.check_hosted(url)
    return inspection.done()


async def check_files(
    manifest: bytes, models: bytes | None, subject: str, call: ChatCheck, models_dev: ModelsDev | None = None,
    *, offline: bool = False, config: Config = EMPTY_CONFIG,
) -> ManifestReport:  # fmt: skip
    """The report on embedded JSON, or on the files of a manifest and its extended models."""
    async with transport_of(config) as transport:
        inspection = _Inspection(ManifestReport(subject), transport, call, models_dev or ModelsDev(), None, config)
        await inspection.check_files(manifest, models, offline=offline)
    return inspection.done()


def files_of(path: Path) -> tuple[bytes, bytes | None]:
    """The content of a manifest's file, and of `models.json` next to it. `path` may also be their folder.

    Raises:
        OSError: a file cannot be read.
    """
    if path.is_dir():
        path = path / "manifest.json"
    beside = path.with_name("models.json")
    return path.read_bytes(), beside.read_bytes() if beside != path and beside.is_file() else None


class _Page(Struct):
    """The body of a response with status 200. `url`: the URL after redirects."""

    url: str
    body: bytes


class _Inspection:
    def __init__(
        self,
        report: ManifestReport,
        transport: Transport,
        call: ChatCheck,
        models_dev: ModelsDev,
        typed_origin: Origin | None,
        config: Config,
    ) -> None:
        if call.key:
            register(call.key)
        self._report = report
        self._transport = transport
        self._config = config
        self._chat_check = call
        self._models_dev = models_dev
        self._typed_origin = typed_origin
        """The origin of the URL that the user typed; None for a file."""

    async def check_hosted(self, url: str) -> None:
        assert self._typed_origin is not None
        if self._typed_origin.scheme == "http" and not self._typed_origin.loopback:
            severity: Severity = "warning" if is_local(self._typed_origin) else "error"
            self._report.add([broken("manifest-http", masked_url(url), "the URL begins with http://", severity)])
        if "provider=true" not in urlsplit(url).query.split("&"):
            self._report.add([broken("manifest-address", masked_url(url), "the URL does not end with ?provider=true")])
        page = await self._get("manifest", url, key=False)
        if page is None:
            return
        local: Severity = "advice" if is_local(self._typed_origin) else "error"
        document = read_manifest(page.body, local=local, key=self._chat_check.key)
        asked = "provider=true" in urlsplit(url).query
        self._report.add(
            document.findings if asked else _unasked(document.findings, "manifest-address", masked_url(url))
        )
        base = document.base_url
        if base is None or not _is_usable(base):
            return
        target = origin(base)
        if target != self._typed_origin:
            what = f"{target} is not the host of the manifest"
            self._report.add([broken("base-url-elsewhere", "baseUrl", what)])
            if is_local(target):
                return
        ids = await self._models(document, base)
        await self._served(base, ids)

    async def check_files(self, content: bytes, models: bytes | None, *, offline: bool) -> None:
        pasted = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"["
        document = read_manifest(content, pasted=pasted, local="warning", key=self._chat_check.key)
        if models is not None and not pasted:
            more = read_models(models, key=self._chat_check.key)
            self._report.add(more.findings, "models.json")
            document.models = more.models
        self._report.add(_unasked(document.findings, "shape", ""))
        base = document.base_url
        if document.manifest is not None and document.manifest.get("models_data_source") == "models_dev":
            document.models = await self._at_models_dev(document.manifest, online=not offline)
        if offline or base is None or not _is_usable(base):
            return
        target = origin(base)
        if is_local(target) and not target.loopback:
            return
        await self._served(base, document.ids)

    def done(self) -> ManifestReport:
        self._report.findings.sort(key=lambda one: SEVERITIES.index(one.severity))
        return self._report

    # --- models ---

    async def _models(self, document: PublishedDocument, base: str) -> list[str]:
        """The IDs of a hosted manifest's models, from its data source."""
        assert document.manifest is not None
        source = document.manifest.get("models_data_source")
        if source == "models_dev":
            return list(await self._at_models_dev(document.manifest, online=True) or ())
        if source != "endpoint":
            return []
        url = manifest_format.Manifest(name="", base_url=base, source="endpoint").models_url
        page = await self._get("models", url, key=True)
        if page is None:
            return []
        found = read_models(page.body, key=self._chat_check.key)
        self._report.add(found.findings, masked_url(url))
        self._report.answers[-1].about = _counted(len(found.models or ()))
        return found.ids

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
            similar = f'; did you mean "{near[0]}"?' if near else ""
            what = f'"{id[:50]}" is not in the models.dev list of {self._models_dev.date}{similar}'
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
        """Check the plain list and a call at the base URL."""
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
        if reached or self._is_trusted(origin(base)):  # otherwise the host may not be one that a key should be sent to
            await self._chat(base, ids or listed)

    def _compare(self, ids: list[str], listed: list[str], where: str) -> None:
        for some, others, place in (
            (ids, listed, "the extended models"),
            (listed, ids, "the list"),
        ):
            lacking = [id for id in some if id not in others]
            if lacking:
                named = ", ".join(lacking[:3]) + (", …" if len(lacking) > 3 else "")
                self._report.add([broken("list-differs", where, f"{_counted(len(lacking))} only in {place}: {named}")])

    async def _chat(self, base: str, ids: list[str]) -> None:
        """Make a real call, streamed as by most applications."""
        model = self._chat_check.model or next(iter(ids), None)
        if not self._chat_check.key or model is None:
            return
        where = masked_url(urls.append(urls.base_of(base), "/chat/completions"))
        if not self._may_have_key(origin(base)):
            what = f"no call was made, because the key may be for another host than {origin(base)}"
            self._report.add([broken("chat-untried", where, what)])
            return
        entry = ProviderEntry(id=ID, type="openai", base_url=base, api_key=self._chat_check.key)
        events: list[Event] = []
        start = perf_counter()
        async with Hub(replace(EMPTY_CONFIG, network=self._config.network, providers={ID: entry})) as hub:
            try:
                async for event in hub.stream(PROMPT, model=f"{ID}/{model}", max_tokens=MAX_TOKENS):
                    events.append(event)
                error = collect(events).error
            except ModelbayError as failure:
                error = failure
        response = CheckedResponse("chat", where, error.status if error else 200, perf_counter() - start)
        self._report.answers.append(response)
        if error is not None:
            self._report.add([broken(_chat_rule(error), where, f"{model}: {error.message}")])
            return
        response.about = f"{model} answered"
        warned = [event for event in events if isinstance(event, Warned)]
        rules = ["chat-again" if event.retry else "chat-differs" for event in warned]
        self._report.add([broken(rule, where, event.message) for rule, event in zip(rules, warned, strict=True)])

    def _may_have_key(self, target: Origin) -> bool:
        """Whether the key may be sent to an origin: the one that the user typed, this machine, or any with consent."""
        return (
            self._chat_check.any_origin
            or target == self._typed_origin
            or (self._typed_origin is None and target.loopback)
        )

    # --- fetching ---

    async def _get(self, what: str, url: str, *, key: bool) -> _Page | None:
        """The page at a URL, requested without a key. `key`: if a key is required, try again with the user's key."""
        page, status = await self._fetched(what, url, {})
        if page is None and status in (401, 403):
            where = masked_url(url)
            if what == "list":
                if key and self._chat_check.key and self._may_have_key(origin(url)):
                    page, _ = await self._fetched(
                        what, url, {"Authorization": f"Bearer {self._chat_check.key}"}, again=True
                    )
                else:
                    self._report.add([broken("list-unseen", where, f"status {status} without a key")])
            else:
                self._report.add([broken("needs-key", where, f"status {status} without a key")])
        return page

    async def _fetched(
        self, what: str, url: str, headers: dict[str, str], *, again: bool = False
    ) -> tuple[_Page | None, int | None]:
        """The page at a URL after redirects, and its status. Adds the findings for the response."""
        where, trail, found = masked_url(url), list[str](), None
        response = CheckedResponse(what, where)
        if again:
            self._report.answers.pop()
        self._report.answers.append(response)
        sent = {"User-Agent": USER_AGENT, "Accept": "application/json", **headers}
        how = Fetching(trusted=self._trusted(url), seconds=SECONDS, redirects=0 if headers else MAX_REDIRECTS)
        start = perf_counter()
        try:
            found = await fetch(self._transport, Request("GET", url, sent, None, LIMITS), how, trail)
        except Redirected as redirect:
            response.status = redirect.status
            if not headers:
                self._report.add([broken("redirects", where, f"{redirect.message}: {redirect.hint}")])
        except ModelbayError as error:
            response.seconds = perf_counter() - start
            self._report.add([broken(_failure_rule(error), where, error.message)])
        if trail:
            rule = "manifest-redirects" if what == "manifest" else "redirects"
            self._report.add([broken(rule, where, f"redirect to {masked_url(trail[0]) or 'an empty URL'}")])
        if found is None:
            return None, response.status
        response.status, response.seconds, response.bytes = found.status, perf_counter() - start, len(found.body)
        if response.seconds > QUICK:
            self._report.add([broken("slow", where, f"the response took {response.seconds:.1f} s")])
        if findings := _response_findings(found.status, found.headers.get("content-type", ""), found.body, where):
            if found.status in (401, 403):
                return None, found.status  # the caller adds the finding
            self._report.add(findings)
            if any(one.severity == "error" for one in findings):
                return None, found.status
        return _Page(found.url, found.body), found.status

    def _trusted(self, url: str) -> list[Origin]:
        """The origins that the user chose."""
        chosen = [] if self._typed_origin is None else [self._typed_origin]
        return [*chosen, *([origin(url)] if self._is_trusted(origin(url)) else [])]

    def _is_trusted(self, target: Origin) -> bool:
        """Whether the user chose an origin: they typed it, or their file names this machine."""
        return target == self._typed_origin or (self._typed_origin is None and target.loopback)


def _unasked(findings: list[RuleFinding], rule: str, where: str) -> list[RuleFinding]:
    """The findings about a document that was read without a query, so that the server cannot have ignored it."""
    return [
        broken(rule, where, f"{one.message}, not the manifest", "error") if one.rule == "query-ignored" else one
        for one in findings
    ]


def _response_findings(status: int, kind: str, body: bytes, where: str) -> list[RuleFinding]:
    """The findings for the status and type of a response."""
    kind = kind.partition(";")[0].strip().lower()
    is_json = body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"[")
    is_page = body.lstrip()[:1] == b"<" or (kind in ("text/html", "application/xhtml+xml") and not is_json)
    if is_page and status not in (401, 403):
        what = f"status {status}: {summary(text_of(body[:5000]))}"
        return [broken("web-page", where, what)]
    if status != 200:
        return [broken("status", where, f"status {status}: {summary(text_of(body[:5000]))}")]
    if kind != "application/json" and not kind.endswith("+json"):
        return [broken("content-type", where, f"Content-Type is {kind[:50] or 'missing'}")]
    return []


def _failure_rule(error: ModelbayError) -> str:
    if isinstance(error, TimedOut) and error.stage != "connect":
        return "too-late"
    if isinstance(error, MalformedReply) and error.too_large:
        return "too-large"
    return "transfer" if isinstance(error, ReplyError) else "unreachable"


def _chat_rule(error: ModelbayError) -> str:
    if isinstance(error, AuthenticationFailed | PermissionDenied):
        return "chat-refused"
    return "chat-not-found" if isinstance(error, NotFound) else "chat-failed"


def _is_usable(url: str) -> bool:
    try:
        origin(url)
    except ValueError:
        return False
    return not urls.without_user(url)[1]


def _counted(number: int) -> str:
    return f"{number:,} model" if number == 1 else f"{number:,} models"
