"""Requests in the provider's own protocol: the body is edited in place, as text, and is otherwise sent as it was written.

Changed are the name of the model, parameters that the provider rejects by name, maximum output tokens above the model's
limit, and the settings of the model's entry. All other repairs belong to translation (`ClientBody.to_repair`). The order
of keys, white space, spellings of numbers and unknown fields stay, so prompt caches of the provider remain valid.

A text that is not quite JSON is written again as the same value: a byte order mark, lone surrogates, raw control
characters, invalid UTF-8, or a repeated key, of which the last one counts.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

from msgspec import Raw

from modelbay.calling.provider_client import adapted
from modelbay.calling.target import Target
from modelbay.errors import BadRequest, MalformedReply
from modelbay.gateway.body_edits import BodyEdits
from modelbay.gateway.client_request import form_of_body
from modelbay.gateway.pass_plan import plan_of
from modelbay.json_members import ObjectText, RepeatedName, rewritten, with_value
from modelbay.json_text import decode, encode, members
from modelbay.protocols.codec import Call
from modelbay.protocols.pass_rules import PassRules
from modelbay.protocols.shared_tools import TEXTS
from modelbay.providers.adaptation import Adaptation, adapt

_CREDENTIALS = frozenset(("key", "api_key", "access_token", "oauth_token"))
"""Query parameters that authenticate a client. They are not sent on."""


class ClientBody:
    """A client's JSON body. The fields by which the gateway decides are read at once, all others stay text.

    Raises:
        BadRequest: it is not a JSON object.
    """

    def __init__(self, data: bytes, rules: PassRules, stream: bool | None = None) -> None:
        """`stream`: whether the path of the request asks for a stream, if it decides."""
        self._rules = rules
        self._text, fields = _opened(data)
        self._fields = fields
        self._members: dict[str, Raw] | None = fields
        """The members of the text; None if a name is repeated in it."""
        self.model = _string(fields, "model")
        self.stream = ("stream" in fields and _written(fields, "stream") == b"true") if stream is None else stream

    def fields(self) -> dict[str, Any]:
        """The decoded fields, whose tools other requests share: see `shared_tools`.

        Raises:
            BadRequest: one is nested too deeply.
        """
        fields = self._fields
        try:
            if "tools" not in fields:
                return decode(self._text)  # type: ignore[no-any-return]
            return {
                name: TEXTS.read(bytes(raw)) if name == "tools" else decode(bytes(raw)) for name, raw in fields.items()
            }
        except MalformedReply as error:
            raise _not_json(error) from None

    @property
    def threaded(self) -> bool:
        """Anthropic: whether the server must keep the conversation (`thread`)."""
        return "thread" in self._fields and _written(self._fields, "thread") != b"null"

    def is_of(self, protocol: str) -> bool:
        """Whether it is written in the protocol of its request."""
        return form_of_body(protocol, self._fields) is None

    @property
    def unstored(self) -> bool:
        """Responses: whether the client asks that the response is not stored."""
        return _written(self._fields, "store") == b"false"

    @property
    def encoding_format(self) -> str | None:
        """Embeddings: the form of the vectors."""
        return _string(self._fields, "encoding_format")

    @property
    def sealed(self) -> bool:
        """Whether it contains reasoning state of another provider in modelbay's envelope, which only translation opens."""
        turns = self._fields.get(self._rules.turns)
        return self._rules.envelope in (self._text if turns is None else bytes(turns))

    def may_pass(self, target: Target, protocol: str) -> bool:
        """Whether it can be passed on to a target as it is, but for changes in place, and the reply to its client. `protocol`: that
        of the client."""
        to = target.upstream
        return (
            to.protocol == protocol
            and self.is_of(protocol)
            and (self.stream or not to.dialect.stream_only)
            and not self.sealed
            and self.to_repair(target) is None
        )

    def to_repair(self, target: Target) -> str | None:
        """A field of a target's dialect that requires a change inside messages or tools, which only translation makes; None if all
        required changes can be made in place."""
        plan = plan_of(target, self._rules)
        for field, pattern in plan.repairs:
            if pattern.search(self._text):
                return field
        if plan.most_stops is not None and self._count("stop") > plan.most_stops:
            return "most_stops"
        if "web_search_options" in self._fields and not target.upstream.dialect.hosted_search:
            return "hosted_search"
        if "tools" in self._fields and (found := plan.to_repair_in(_written(self._fields, "tools"))):
            return found
        if plan.echoes_reasoning and b'"tool_calls"' in self._text and b'"reasoning' not in self._text:
            return "reasoning_echo"
        if self._rules.damaged is not None and self._rules.damaged(self._text):
            return "thinking"
        return None

    def _count(self, name: str) -> int:
        """The number of items in a list; 1 for a string."""
        written = _written(self._fields, name)
        return len(decode(written)) if written.startswith(b"[") else int(written.startswith(b'"'))

    def call_for_reply(self, target: Target, query: str, lessons: Iterable[Adaptation] = ()) -> Call:
        """The call that passes this body on for a reply. `query`: that of the client's request; `lessons`: see `call`."""
        path = passed_path(self._rules, "stream" if self.stream else "generate", target.model.id, query)
        return self.call(target, path, generates=True, lessons=lessons)

    def call(self, target: Target, path: str, *, generates: bool, lessons: Iterable[Adaptation] = ()) -> Call:
        """The call of `path` that passes this body on to a target of the client's protocol, with warnings about changes.

        `generates`: the model answers, so that the settings of its entry apply. `lessons`: the stored adaptations for the
        target.
        """
        try:
            return self._call(target, path, generates, list(lessons))
        except RepeatedName:  # in it, or in an object in it that is edited
            self._text, self._members = encode(decode(self._text)), None
            return self._call(target, path, generates, list(lessons))
        except MalformedReply as error:
            raise _not_json(error) from None

    def _call(self, target: Target, path: str, generates: bool, lessons: list[Adaptation]) -> Call:
        stream = generates and self.stream
        if self._members is not None and not lessons:
            plan = plan_of(target, self._rules)
            if plan.only_names_model(self._members, generates=generates):
                text = with_value(self._text, self._members, "model", plan.model)
                return Call(path, {}, stream=stream, text=text)
        fields = ObjectText(self._text, written=self._members)
        edits = BodyEdits(fields, self._rules, target)
        edits.name_model()
        if generates:
            edits.limit_tokens(min((lesson.most for lesson in lessons if lesson.most), default=None))
            edits.apply_dialect()
            edits.add(target.entry.settings)
        about_parameters = [lesson for lesson in lessons if not lesson.inside and not lesson.most]
        applied = [lesson for lesson in about_parameters if edits.learn(lesson)]
        call = Call(path, {}, stream=stream, warnings=edits.report, text=fields.edited())
        if inside := [lesson for lesson in lessons if lesson.inside and self._may_have(lesson)]:
            applied += call.edit(partial(adapt, lessons=inside, rules=self._rules))
        call.warnings += [adapted(lesson) for lesson in applied]
        return call

    def _may_have(self, lesson: Adaptation) -> bool:
        """Whether a lesson inside a parameter may apply. Most bodies do not have an unknown field, and need not be decoded."""
        return not lesson.place or f'"{lesson.place.rpartition(".")[2]}"'.encode() in self._text


def _opened(data: bytes) -> tuple[bytes, dict[str, Raw]]:
    """The text of an object in valid JSON, and its members."""
    try:
        return data, members(data)
    except MalformedReply:  # not JSON, or not quite
        pass
    try:
        value = decode(data)
    except MalformedReply as error:
        raise _not_json(error) from None
    if not isinstance(value, dict):
        raise BadRequest("the request body must be a JSON object", status=400)
    text = encode(value)
    return text, members(text)


def changed_text(text: bytes, fields: dict[str, Any]) -> bytes:
    """The text of a client's JSON object with other fields. Unchanged members stay as they were written."""
    try:
        return rewritten(text, fields)
    except (MalformedReply, RepeatedName):  # not quite JSON
        return encode(fields)


def _not_json(error: MalformedReply) -> BadRequest:
    return BadRequest(f"the request body is not valid JSON: {error.message}", status=400)


def _written(fields: dict[str, Raw], name: str) -> bytes:
    """A value as it is written; empty if it is missing."""
    found = fields.get(name)
    return b"" if found is None else bytes(found)


def _string(fields: dict[str, Raw], name: str) -> str | None:
    raw = _written(fields, name)
    if raw in (b"", b"null"):
        return None
    if not raw.startswith(b'"'):
        raise BadRequest(f"`{name}` must be a string", status=400, param=name)
    return str(decode(raw))


def passed_path(rules: PassRules, action: str, model: str, query: str = "") -> str:
    """The path of an action for a model ID. If paths contain the model, the client's query follows, as it selects the form of
    the reply there; its parameters that authenticate the client do not. Raises what `PassRules.path` raises."""
    path = rules.path(action, model)
    if rules.in_path is None:
        return path
    pairs = [pair for pair in query.split("&") if pair and not _authenticates(pair)]
    return "?".join([path.partition("?")[0], *(["&".join(pairs)] if pairs else [])])


def _authenticates(pair: str) -> bool:
    return unquote_plus(pair.partition("=")[0]).lower() in _CREDENTIALS
