"""Secrets: what counts as secret, and how it is kept out of every output. All outputs use this module.

- **By place.** The value of a header, URL query parameter or variable is secret unless its name is on a short list of
  harmless names. Vendors invent new names for keys faster than a list of secret names could follow.
- **By value.** Every secret of this process is registered and removed from texts, in every spelling in which servers,
  proxies and encoders quote it. Values stay registered longer than they are used, as an error may be shown later.
- **By type.** `Hidden` is text whose `repr` is masked, for tracebacks that show local variables.
"""

import os
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import lru_cache
from html import escape
from json.encoder import encode_basestring_ascii
from threading import Lock
from typing import Any, SupportsIndex, TypeVar
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "…"

PUBLIC_HEADERS = frozenset(
    (
        # client name and accepted formats: part of every request, and the same for all users
        "user-agent", "accept", "accept-encoding", "accept-language", "content-type", "content-language",
        # URL and title of the application, which aggregators publish in their rankings
        "referer", "http-referer", "x-title",
        # versions and previews of an API
        "anthropic-version", "anthropic-beta", "openai-beta", "x-api-version", "api-version",
        # the account that is charged: useless without the key
        "openai-organization", "openai-project", "x-goog-user-project",
    )
)  # fmt: skip
"""Headers whose values may be shown, logged and exported without `--keys`. Lower case."""

PUBLIC_PARAMETERS = frozenset(
    (
        # versions and previews of an API
        "api-version", "api_version", "apiversion", "version", "v", "beta", "preview",
        # format of the response
        "alt", "$alt", "format", "stream", "type", "provider", "extended", "limit", "page", "lang", "language",
        # the place that serves the call, which is part of the address anyway
        "model", "deployment", "region", "location",
    )
)  # fmt: skip
"""Query parameters whose values may be shown. Lower case."""

PUBLIC_VARIABLES = frozenset(
    ("url", "host", "hostname", "endpoint", "base", "port", "region", "location", "project", "resource", "version",
     "model", "deployment", "name", "account", "id", "organization", "org")
)  # fmt: skip
"""Last words of variable names whose values may be shown, as they name a place or account."""

_SECRET_WORDS = frozenset(
    ("key", "keys", "apikey", "accesskey", "secretkey", "privatekey", "authkey", "token", "secret", "password", "passwd",
     "passphrase", "passcode", "pass", "pwd", "auth", "authorization", "authorisation", "credential", "credentials",
     "bearer", "cookie", "sig", "signature", "jwt", "pat", "sas")
)  # fmt: skip
_SECRET_NAMES = (
    *(
        "apikey",
        "accesskey",
        "privatekey",
        "secretkey",
        "token",
        "accesstoken",
        "refreshtoken",
        "secret",
        "clientsecret",
    ),
    *("password", "passwd", "passphrase", "authorization", "credential", "credentials", "cookie"),
)
_CREDENTIAL = re.compile(r"(.*-)?(api-?key|token|secret|password|passwd|authori[sz]ation|credentials?)", re.IGNORECASE)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
"""The words of a name in camel case, snake case or kebab case."""
KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk|gsk|hf|xai|ghp|glpat|nvapi|r8)[-_](?:[\w-]*[-_])?"
    r"(?:(?=[A-Za-z]*\d)[A-Za-z0-9]{16,}|[A-Za-z0-9]{30,})"
    r"|Bearer +(?=\S*\d)\S{12,}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{5,}"
)
"""Pattern of API keys and tokens in any text."""
_SHAPED = re.compile(r"(?:\b(?:bearer|basic|token)\s+(?=\S{6})|\b(?=sk-[\w-]{8}))([^\s\"'`,;]+)", re.IGNORECASE)
_SCHEME = re.compile(r"\s*(?:bearer|basic|token|apikey|key)\s+(?=\S)", re.IGNORECASE)
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)([^\s\"'`<>\\^|]+)", re.IGNORECASE)
_BEFORE_REFERENCE = re.compile(
    r"\s*(?:(?:bearer|basic|token|apikey|key)\s+)?(?:(?:token|key|api[-_]?key)=)?[\"']?\s*|[\"']", re.IGNORECASE
)
REFERENCE = re.compile(r"\{(env|file|keyring|command):((?:[^{}]|\{[^{}]*\})*[^{}\s](?:[^{}]|\{[^{}]*\})*)\}")
"""A reference to a secret: its kind and name. Not secret itself, except for the words of a command."""

REFERENCES = "must be one of: {env:NAME}, {file:PATH}, {keyring:SERVICE/USER}, {command:…}"
_LIKE_REFERENCE = re.compile(
    r"\$\{[^{}\s\"']+\}"  # shell syntax
    r"|\{\{?\s*(?:env|file|keyring|command|environ|environment|cmd|secret|vault|var|variable)\b[^{}\"']*\}\}?"
    r"|\{[A-Za-z_-]+:[^{}\"']*\}"  # an unknown kind
    r"|\{[A-Z][A-Z0-9_]+\}"  # a placeholder that was not filled in
    r"|(?<!\S)\$[A-Z_][A-Z0-9_]{2,}(?!\S)"
    r"|(?<!\S)(?:%[A-Z_][A-Z0-9_]{2,}%(?!\S)|\$env:\w+|\$\([^()]+\))"  # Windows shells, and the output of a command
    r"|\{(?:env|file|keyring|command):[^{}]*\Z|\A(?:env|file|keyring|command):[^{}]*\}\Z"  # half of a reference
)
_DOUBLED = re.compile(r"\{\{[^{}]*\}\}")
"""A template placeholder, in which a reference is not resolved."""


def misspelled_reference(value: str) -> str | None:
    """The part of a value that looks like a reference but is not valid, and would be sent unchanged; None if there is
    none."""
    if not any(char in value for char in "{}$%"):
        return None
    if found := re.search(rf"\${REFERENCE.pattern}", value) or _DOUBLED.search(value):
        return found[0]
    for reference in REFERENCE.finditer(value):
        if reference[1] == "keyring" and "/" not in reference[2]:
            return reference[0]
    rest = REFERENCE.sub("\n", value)
    if re.fullmatch(r"[{}]*\n[{}]*", rest) and rest != "\n":
        return value  # an extra brace would be sent along with the secret
    found = _LIKE_REFERENCE.search(rest)
    return found[0] if found else None


# By place


@lru_cache(maxsize=4096)
def named_secret(name: str) -> bool:
    """Whether the name of a key or variable suggests a secret, including misspellings."""
    words = [word.lower() for word in WORD.findall(name)]
    if (
        words
        and words[-1] in ("url", "uri", "id", "name", "path", "file", "env", "parameter")
        and "secret" not in words
    ):
        return len(words) > 2 and {"access", "key"} <= set(words)  # the ID of an access key is half of the secret
    if _SECRET_WORDS & set(words):
        return True
    return bool(get_close_matches("".join(words), _SECRET_NAMES, 1, 0.85))


def named_credential(name: str) -> bool:
    """Whether a key of a document certainly names a credential. Such documents are rejected, not only masked."""
    return bool(_CREDENTIAL.fullmatch("-".join(WORD.findall(name))))


def shaped_secret(value: str) -> bool:
    """Whether a value looks like an API key."""
    return bool(_SHAPED.search(value) or KEY.search(value))


def secret_header(name: str, value: str = "") -> bool:
    """Whether a user's header must be hidden. References, and the scheme before them, need not be."""
    if REFERENCE.search(value):
        return _has_literal(value)
    return name.strip().lower() not in PUBLIC_HEADERS or shaped_secret(value) or masked_urls(value) != value


def secret_parameter(name: str, value: str = "") -> bool:
    """Whether a query parameter must be hidden. Name and value may be percent-encoded."""
    return unquote_plus(name).strip().lower() not in PUBLIC_PARAMETERS or shaped_secret(unquote_plus(value))


def secret_variable(name: str, value: str = "") -> bool:
    """Whether a variable of an `env` table must be hidden."""
    if REFERENCE.search(value):
        return _has_literal(value)
    words = [word.lower() for word in WORD.findall(name)]
    harmless = bool(words) and words[-1] in PUBLIC_VARIABLES and not named_secret(name)
    return not harmless or shaped_secret(value) or masked_urls(value) != value


def key_in_query(url: str) -> bool:
    """Whether the query of a URL contains a key. For URLs that are published or imported."""
    pairs = [pair.partition("=") for pair in url.partition("?")[2].partition("#")[0].split("&")]
    return any(value and (named_secret(unquote_plus(name)) or shaped_secret(value)) for name, _, value in pairs)


def masked_text(value: str) -> str:
    """A secret value for output: only its references and the scheme before them are shown."""
    if not value.strip() or REFERENCE.search(value) is None:
        return MASK if value.strip() else value
    shown, end = "", 0
    for found in REFERENCE.finditer(value):
        shown += _between(value[end : found.start()]) + ("{command:…}" if found[1] == "command" else found[0])
        end = found.end()
    return shown + _between(value[end:])


def _between(text: str) -> str:
    return text if _BEFORE_REFERENCE.fullmatch(text) else MASK


def _has_literal(value: str) -> bool:
    """Whether a value contains more than references and a scheme."""
    return not all(_BEFORE_REFERENCE.fullmatch(text) for text in REFERENCE.split(value)[::3])


def masked_url(url: str) -> str:
    """A URL for output. Masked are user, password, fragment, query values not known to be harmless, and parts of the
    path that look like keys."""
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        scheme, rest = "", url
    rest, hash, fragment = rest.partition("#")
    rest, mark, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    user = user and masked_text(user)
    path = KEY.sub(MASK, path)
    pairs = "&".join(_masked_pair(pair) for pair in query.split("&"))
    return f"{scheme}{slashes}{user}{at}{host}{slash}{path}{mark}{pairs}{hash}{fragment and MASK}"


def _masked_pair(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if not equals:
        # a parameter without a value is a switch or a key, and a switch is a short word
        return name if len(name) <= 12 and name.replace("-", "").replace("_", "").isalpha() else MASK[: len(name)]
    return f"{name}={masked_text(value) if secret_parameter(name, value) else value}"


def masked_urls(text: str) -> str:
    """A text with all its URLs masked."""
    return _URL.sub(lambda found: masked_url(found[0]), text) if "://" in text else text


def bare_url(url: str) -> str:
    """A URL without user, fragment, and parameters whose values may be secret."""
    bare, _, _ = url.partition("#")
    address, mark, query = bare.partition("?")
    scheme, slashes, rest = address.partition("://")
    authority, slash, path = rest.partition("/")
    pairs = [pair for pair in query.split("&") if pair and not secret_parameter(*pair.partition("=")[::2])]
    return f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}{mark if pairs else ''}{'&'.join(pairs)}"


# By value


SHORTEST = 6
"""Minimum characters of a registered value. Shorter values occur in ordinary words, and can be guessed anyway."""
STORED = 12
"""Minimum characters of a value that is removed from stored texts, which must not lose the user's own words."""
MOST = 2_000
"""Maximum number of registered values; the oldest are dropped. Hourly tokens reach it in twelve weeks."""

_public = {
    "nokey", "nokeyneeded", "nokeyrequired", "sknokeyrequired", "notneeded", "notrequired", "notused", "unused", "anything",
    "nothing", "whatever", "placeholder", "default", "localhost",
}  # fmt: skip
"""Letters of the values that users enter as the key of a server that needs none, and of public names. They are not masked in texts,
which are about hosts, models and providers with these names."""

_known: dict[str, None] = {}
_forms: list[str] | None = []
_lock = Lock()
if hasattr(os, "register_at_fork"):  # otherwise a child forked while another thread holds the lock would wait forever
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def register(value: str) -> None:
    """Register a secret. For "Bearer …" and similar, only the part after the scheme."""
    global _forms  # noqa: PLW0603 one registry per process, as any log or error may contain any secret
    value = str.__str__(value).strip()
    if found := _SCHEME.match(value):
        if value[: found.end()].strip().lower() == "basic":
            _register_basic(value[found.end() :])
        value = value[found.end() :]
    if len(value) < SHORTEST or value in _known or REFERENCE.fullmatch(value):
        return
    with _lock:
        _known[value] = None
        while len(_known) > MOST:
            del _known[next(iter(_known))]
        _forms = None


def publish(names: Iterable[str]) -> None:
    """Note that names are public, such as those of vendors: users enter them as the key of a server that needs none."""
    global _forms  # noqa: PLW0603
    with _lock:
        _public.update(map(_letters, names))
        _forms = None


def _letters(value: str) -> str:
    return re.sub(r"[-_. ]", "", value).lower()


def _register_basic(encoded: str) -> None:
    """Register the password in basic credentials: a server may quote it decoded."""
    try:
        user, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        return
    register(password or user)


PLAIN = re.compile(r"[A-Za-z]+(?:[-_. ][A-Za-z]+)*")
"""Plain words."""


def guessable(name: str, value: str) -> bool:
    """Whether a value that is secret only by its place is too plain to be removed everywhere.

    `X-Provider: openai` must not mask every "openai". A value whose name suggests a secret is never too plain.
    """
    return not named_secret(name) and (len(value) < 12 or (len(value) < 24 and bool(PLAIN.fullmatch(value))))


def register_header(name: str, value: str) -> None:
    """Register the value of a user's header, unless it is known to be harmless or too plain."""
    if secret_header(name, value) and not guessable(name, value):
        for part in REFERENCE.sub("\n", value).split("\n"):
            register(part)


def register_url(url: str) -> None:
    """Register the secrets in a URL: password, fragment and query values."""
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0]
    user, at, _ = authority.rpartition("@")
    if at:
        register(unquote(user.partition(":")[2] or user))
    address, _, fragment = url.partition("#")
    register(unquote(fragment))
    for found in KEY.finditer(address.partition("?")[0].partition("://")[2].partition("/")[2]):
        register(found[0])
    for pair in address.partition("?")[2].split("&"):
        name, equals, value = pair.partition("=")
        if equals and secret_parameter(name, value) and not guessable(unquote_plus(name), unquote_plus(value)):
            register(unquote_plus(value))
        elif not equals and _masked_pair(pair) != pair:
            register(unquote_plus(name))


def redact(text: str) -> str:
    """The text with all registered values masked."""
    for form in spellings():
        if form in text:
            text = text.replace(form, MASK)
    return _without_escaped(text) if _ESCAPE.search(text) else text


def redact_bytes(data: bytes) -> bytes:
    """The bytes of a text with all registered values masked, in any encoding that contains ASCII."""
    return redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """A message for output: registered values and URLs masked."""
    return masked_urls(redact(text))


def stored(text: str) -> str:
    """A text for storage: masked are only registered values that are too long to be ordinary words."""
    for form in spellings():
        if len(form) >= STORED and form in text:
            text = text.replace(form, MASK)
    return text


def masked_comment(text: str) -> str:
    """Free text of a file, such as a comment, with anything masked that looks like a key."""
    return KEY.sub(MASK, _SHAPED.sub(lambda found: found[0].removesuffix(found[1]) + MASK, shown(text)))


_ESCAPE = re.compile(
    r"%(?:25)*([0-9A-Fa-f]{2})|\\+u00([0-9A-Fa-f]{2})|\\+x([0-9A-Fa-f]{2})|&(?:amp;)*#0*([0-9]{2,3});"
    r"|&(?:amp;)*#[xX]0*([0-9A-Fa-f]{2});"
)
"""A character as URLs, JSON, programs and HTML may escape it, including one that needs no escape."""


def _without_escaped(text: str) -> str:
    """The text with secrets masked that contain escaped characters: encoders differ in which characters they escape."""
    plain = _ESCAPE.sub(_unescaped, text)
    for value in list(_known):
        if value in plain and _letters(value) not in _public:
            text = _escaped_spelling(value).sub(MASK, text)
    return text


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[4])) if found[4] else chr(int(found[1] or found[2] or found[3] or found[5], 16))


@lru_cache(maxsize=MOST)
def _escaped_spelling(value: str) -> re.Pattern[str]:
    def spelled(char: str) -> str:
        code = f"(?i:{ord(char):02x})"
        entity = rf"&(?:amp;)*#(?:0*{ord(char)}|[xX]0*{code});"
        return rf"(?:{re.escape(char)}|%(?:25)*{code}|\\+(?:u00|x){code}|{entity})"

    return re.compile("".join(map(spelled, value)))


def spellings() -> list[str]:
    """All spellings of all registered values, longest first: a secret may begin with another one, whose rest would remain. The same
    list until another value is registered."""
    global _forms  # noqa: PLW0603
    forms = _forms
    if forms is None:
        with _lock:
            spelled = {form for value in _known if _letters(value) not in _public for form in _spellings(value)}
            forms = _forms = sorted(spelled, key=len, reverse=True)
    return forms


def spellings_in_replies() -> set[str]:
    """The spellings that are masked in replies: those of values that are not ordinary words."""
    return {form for value in list(_known) if not guessable("", value) for form in _spellings(value)}


@lru_cache(maxsize=MOST)
def _spellings(value: str) -> tuple[str, ...]:
    """The spellings of a value in URLs, JSON, HTML, a `repr`, basic credentials and hexadecimal."""
    escaped = encode_basestring_ascii(value)[1:-1]
    percent = quote(value, safe="")
    found = {
        value,
        percent,
        re.sub(r"%[0-9A-F]{2}", lambda byte: byte[0].lower(), percent),
        quote(value),
        quote_plus(value),
        quote(percent, safe=""),
        escaped,
        escaped.replace("/", "\\/"),
        value.replace("\\", "\\\\").replace('"', '\\"'),
        encode_basestring_ascii(escaped)[1:-1],
        escape(value),
        escape(value, quote=False),
        repr(value)[1:-1],
        *_within_base64(value.encode()),
    }
    data = value.encode()
    found |= {data.hex(), data.hex().upper()} if len(data) >= 8 else set()
    return tuple(form for form in found if len(form) >= SHORTEST)


def _within_base64(data: bytes) -> Iterator[str]:
    """The parts of base64 text that encode `data`, for each alignment (as in `user:key`)."""
    for before in range(3):
        padded = b"\0" * before + data
        first, last = (0, 2, 3)[before], len(padded) * 8 // 6  # the characters that depend only on `data`
        for encode in (b64encode, urlsafe_b64encode):
            core = encode(padded).decode()[first:last]
            if len(core) >= 8:
                yield core


# By type


class Hidden(str):
    """Text that is or contains a secret. Its `repr` is masked, for tracebacks that show local variables.

    It is an ordinary string otherwise. Slices of it are hidden too; other strings made from it are plain text.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        url = _URL.fullmatch(self)
        return repr(masked_url(str.__str__(self)) if url else MASK if self else "")

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        return Hidden(str.__getitem__(self, key))  # tools that shorten long text must not reveal it

    def strip(self, chars: str | None = None) -> str:
        return Hidden(str.strip(self, chars))


E = TypeVar("E", bound=BaseException)


def without_frames(error: E) -> E:
    """Remove the tracebacks of an error and its causes. Local variables in their frames hold requests and responses,
    which some tools show."""
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return error


class HiddenBytes(bytes):
    """Like `Hidden`, for a body that contains a token."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"b'{MASK}'"

    __str__ = __repr__

    def __getitem__(self, key: Any) -> Any:
        found = bytes.__getitem__(self, key)
        return found if isinstance(found, int) else HiddenBytes(found)
