"""Headers: which of a client's are sent on to a provider, which of a provider's are returned, and the gateway's own.

Both ways, only listed headers pass. Credentials, cookies, hop-by-hop headers, the name of the account that is charged, and
everything about the encoding of a body belong to one connection.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from urllib.parse import quote

from modelbay.calling.target import Target
from modelbay.conversation import Conversation
from modelbay.events import Warned
from modelbay.protocols.member_names import member_passed, member_sent
from modelbay.protocols.pass_rules import PassRules
from modelbay.providers.adaptation import Adaptation
from modelbay.providers.unknown_fields import HEADER as BETA
from modelbay.providers.unknown_fields import PREVIEW, previews, previews_of, without_previews
from modelbay.secrecy import named_secret, redact

Field = tuple[bytes, bytes]

CONSUMED = frozenset(
    ("x-claude-code-session-id", "x-claude-code-agent-id", "x-claude-code-parent-agent-id",
     # the account that is charged is chosen by the provider's entry, not by a client
     "openai-organization", "openai-project", "anthropic-organization-id", "anthropic-workspace-id")
)  # fmt: skip
"""Headers that do not pass, in either direction, although their prefix does."""
RETURNED = (
    "request-id", "x-request-id", "retry-after", "retry-after-ms", "x-should-retry",
    "anthropic-", "openai-", "ratelimit", "ratelimit-", "x-ratelimit-",
)  # fmt: skip
"""Headers of a provider's response that its client gets. A name that ends with a hyphen is a prefix."""
_RETURNED_WITH_TYPE = (*RETURNED, "content-type")
LONGEST = 1000
"""Maximum characters of a value that the gateway makes. Proxies limit all headers together to 4 or 8 KiB."""
_PREFIX = "x-modelbay-"
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
_BLANK = re.compile(r"[\s\0]+")


def sent_on(headers: Mapping[str, str], rules: PassRules, removed: Collection[str] = ()) -> dict[str, str]:
    """The headers of a client that are sent on to a provider of its protocol. Names are in lower case.

    A preview (`anthropic-beta`) and the fields of the body that exist only with it belong together: the previews of
    `removed` fields are removed, too, and previews that are in it (`unknown_fields.PREVIEW`).
    """
    found = {name: headers[name] for name in _passing(tuple(headers), rules.headers)}
    if BETA in found:
        names = previews(found[BETA])
        unknown = {name for name in names if PREVIEW + name in removed}
        without_previews(found, unknown | previews_of(names, removed, rules.betas))
    return found


def unknown_previews(headers: Mapping[str, str], lessons: Iterable[Adaptation]) -> list[Adaptation]:
    """The lessons about previews that a client asks for. Names are in lower case."""
    asked = previews(headers.get(BETA, ""))
    return [lesson for lesson in lessons if lesson.preview in asked] if asked else []


def returned(headers: Mapping[str, str], *, passed: bool) -> list[Field]:
    """The headers of a provider's response that the client gets. `passed`: it gets the body unchanged, too, so that the
    content type is valid. Names are in lower case."""
    names = _passing(tuple(headers), _RETURNED_WITH_TYPE if passed else RETURNED)
    return [_field(name, redact(headers[name])) for name in names]


def request_id(id: str) -> Field:
    """The header with the ID of a request."""
    return b"x-modelbay-request-id", id.encode("ascii")


def own(
    *,
    provider: str | None = None,
    model: str | None = None,
    attempts: int | None = None,
    dropped: Sequence[str] = (),
    overhead: float | None = None,
    estimated: bool = False,
    search: str | None = None,
) -> list[Field]:
    """The headers that describe what the gateway did. `dropped`: `changes` of the request. `overhead`: seconds that it took itself.
    `search`: the back end of web searches."""
    found = list(_call(provider, model, attempts))
    if dropped:
        found.append(_field(_PREFIX + "dropped", ", ".join(_shortened(dropped))))
    if search is not None:
        found.append(_field(_PREFIX + "search", search))
    if overhead is not None:
        found.append((b"x-modelbay-overhead-ms", b"%.1f" % (overhead * 1000)))
    if estimated:
        found.append((b"x-modelbay-estimated", b"true"))
    return found


@lru_cache(maxsize=1024)
def _call(provider: str | None, model: str | None, attempts: int | None) -> tuple[Field, ...]:
    values = {"provider": provider, "model": model, "attempts": None if attempts is None else str(attempts)}
    return tuple(_field(_PREFIX + name, value) for name, value in values.items() if value is not None)


def cors(origin: str) -> list[Field]:
    """The headers with which a browser lets a page of an allowed origin read the response."""
    return [
        _field("access-control-allow-origin", origin),
        _field("access-control-expose-headers", "*"),
        (b"vary", b"Origin"),
    ]


def preflight(asked: Mapping[str, str]) -> list[Field]:
    """The headers with which a browser lets such a page send its request. `asked`: headers of the preflight request."""
    return [
        _field("access-control-allow-methods", "GET, POST, DELETE"),
        _field("access-control-allow-headers", asked.get("access-control-request-headers", "*")),
        _field("access-control-max-age", "7200"),
    ]


def changes(warnings: Iterable[Warned]) -> list[str]:
    """The settings that were not applied as requested, each once."""
    return list(dict.fromkeys(warning.setting for warning in warnings if warning.setting and not warning.retry))


def changes_for(
    conversation: Conversation | None, target: Target, warnings: Iterable[Warned], body: bytes = b""
) -> list[str]:
    """The `changes` by the names of members of the client's request. `conversation`: the client's, if the request is translated;
    `body`: if it is passed on."""
    names, upstream = changes(warnings), target.upstream.protocol
    if not names:
        return []
    if conversation is None:
        return [member_passed(name, upstream, body) for name in names]
    return list(dict.fromkeys(member_sent(name, conversation, upstream) for name in names))


def _shortened(names: Sequence[str]) -> Iterator[str]:
    """The names as far as they fit in a header, and how many are left out."""
    size = 0
    for index, name in enumerate(names):
        written = _ascii(name, _PRINTABLE.replace(",", ""))
        size += len(written) + 2
        if size > LONGEST - 20:
            yield f"+{len(names) - index} more"
            return
        yield written


@lru_cache(maxsize=64)  # a client can send names of 64 KB
def _passing(names: tuple[str, ...], allowed: tuple[str, ...]) -> tuple[str, ...]:
    """The names that pass. Most requests of a client have the same names."""
    return tuple(name for name in names if _passes(name, allowed))


def _passes(name: str, allowed: tuple[str, ...]) -> bool:
    if name in CONSUMED:
        return False
    if name in allowed:
        return True
    return name.startswith(tuple(one for one in allowed if one.endswith("-"))) and not named_secret(name)


def _field(name: str, value: str) -> Field:
    return name.encode("ascii"), safe(value).encode("ascii")


def safe(value: str) -> str:
    """A value that every client and proxy reads the same way: one line of ASCII, limited in length. Other characters are
    percent-encoded."""
    if value.isascii() and value.isprintable() and len(value) <= LONGEST and " " not in value:
        return value
    written = _ascii(value, _PRINTABLE)
    return written if len(written) <= LONGEST else re.sub(r"%[0-9A-F]?\Z", "", written[: LONGEST - 3]) + "..."


def _ascii(value: str, kept: str) -> str:
    return quote(_BLANK.sub(" ", value).strip(), safe=kept, errors="replace")
