"""Requests in the provider's own protocol: the body is edited in place, as text, and is otherwise sent as it was written.

Changed are the name of the model, parameters that the provider rejects by name, maximum output tokens above the model's
limit, and the settings of the model's entry. All other repairs belong to translation (`ClientBody.to_repair`). The order
of keys, white space, spellings of numbers and unknown fields stay, so prompt caches of the provider remain valid.

A text that is not quite JSON is written again as the same value: a byte order mark, lone surrogates, raw control
characters, invalid UTF-8, or a repeated key, of which the last one counts.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote_plus

from msgspec import Raw

from modelbay.calling.provider_client import adapted
from modelbay.calling.target import Target
from modelbay.dialect import PLAIN, Dialect
from modelbay.errors import BadRequest, MalformedReply
from modelbay.events import Warned
from modelbay.gateway.client_request import form_of_body
from modelbay.json_members import ObjectText, RepeatedName, rewritten, with_value
from modelbay.json_text import decode, encode, members
from modelbay.protocols.codec import GROUPS, Call, PassRules, spellings
from modelbay.protocols.defaults import changes_nothing
from modelbay.protocols.dispositions import dropped
from modelbay.protocols.limits import output_clamped, output_limit, reduced_budget
from modelbay.protocols.shapes import whole_number
from modelbay.protocols.shared_tools import TEXTS
from modelbay.providers.adaptation import Adaptation, adapt

_CREDENTIALS = frozenset(("key", "api_key", "access_token", "oauth_token"))
"""Query parameters that authenticate a client. They are not sent on."""
_LIMITS = ("max_tokens", "max_completion_tokens")
_SEEDS = ("seed", "random_seed")
"""Names of one parameter in Chat Completions."""


_KEPT = 256 * 1024
"""Maximum bytes of the tools that a plan keeps."""
_SEARCH = re.compile(rb'"(?:web_search|google_?search)', re.IGNORECASE)
"""Is in every list of tools with a hosted web search."""


def _other_control(dialect: Dialect) -> bool:
    return dialect.reasoning_control is not None and "reasoning_effort" not in dialect.reasoning_control


def _value(name: str, value: str) -> re.Pattern[bytes]:
    """Finds a member with a value in JSON, where quotes inside strings are escaped."""
    return re.compile(rf'"{name}"\s*:\s*{value}'.encode())


_SCHEMAS = re.compile(rb'"(?:type"\s*:\s*"json_schema"|response_?(?:[jJ]son_?)?[sS]chema")')
_JSON_MODE = re.compile(rb'"(?:type"\s*:\s*"json_object"|response_?[mM]ime_?[tT]ype"\s*:\s*"application/json")')
_FORCED = re.compile(rb'"(?:tool_choice"\s*:\s*(?:"required"|"any"|\{)|mode"\s*:\s*"ANY")')
_CALLS = re.compile(rb'"(?:tool_calls"\s*:\s*\[|type"\s*:\s*"(?:tool_use|function_call)"|function_?[cC]all"\s*:\s*\{)')


def _cannot_force(dialect: Dialect) -> bool:
    return not {"required", "tool"}.issubset(dialect.tool_choices)


_REPAIRS: tuple[tuple[str, Callable[[Dialect], bool], re.Pattern[bytes]], ...] = (
    ("system_role", lambda dialect: not dialect.system_role, _value("role", '"(?:system|developer)"')),
    ("system_role", lambda dialect: not dialect.system_role, _value("system_?[iI]nstruction", "")),
    ("developer_role", lambda dialect: not dialect.developer_role, _value("role", '"developer"')),
    ("cache_control", lambda dialect: not dialect.cache_control, _value("cache_control", "")),
    ("cache_ttl", lambda dialect: not dialect.cache_ttl, _value("ttl", "")),
    ("strict_tools", lambda dialect: not dialect.strict_tools, _value("strict", "")),
    (
        "namespaces",
        lambda dialect: not dialect.namespaces,
        _value("type", '"(?:namespace|tool_search(?:_call|_output)?)"'),
    ),
    ("json_schema", lambda dialect: not dialect.json_schema, _SCHEMAS),
    ("json_mode", lambda dialect: not dialect.json_mode, _JSON_MODE),
    ("tool_choices", _cannot_force, _FORCED),
    ("parallel_tool_calls", lambda dialect: not dialect.parallel_tool_calls, _value("tools", r"\[")),
    ("parallel_call_history", lambda dialect: not dialect.parallel_call_history, _CALLS),
    ("schema", lambda dialect: dialect.schema == "typed", _value(r"\$ref", "")),
    ("media_by_url", lambda dialect: not dialect.media_by_url, _value("url", '"https?:')),
    ("text_only_content", lambda dialect: dialect.text_only_content, _value("content", r"\[")),
    ("omit_empty_content", lambda dialect: dialect.omit_empty_content, _value("content", '""')),
    ("required_word", lambda dialect: dialect.required_word != "required", _value("tool_choice", '"required"')),
    ("reasoning_echo", lambda dialect: dialect.reasoning_echo == "never", _value("reasoning_content", '"')),
    ("reasoning_control", _other_control, _value("reasoning_effort", '"')),
)
"""Fields of a dialect, whether the provider rejects something, and what a body then must not contain."""


def edited_fields(dialect: Dialect, rules: PassRules) -> list[str]:
    """The fields of a dialect for which a request in the provider's own protocol may be changed."""
    found = [field for field, applies, _ in _REPAIRS if applies(dialect)]
    if rules.freeform is not None and not dialect.freeform_tools:
        found.append("freeform_tools")
    if dialect.reasoning_echo == "always":
        found.append("reasoning_echo")
    written = ("max_tokens_parameter", "seed_parameter", "unsupported", "body")
    found += [name for name in written if getattr(dialect, name) != getattr(PLAIN, name)]
    found += [name for name in ("include_usage", "model_in_body", "hosted_search") if not getattr(dialect, name)]
    return list(dict.fromkeys(found))


class ClientBody:
    """A client's JSON body. The fields by which the gateway decides are read at once, all others stay text.

    Raises:
        BadRequest: it is not a JSON object.
    """

    def __init__(self, data: bytes, rules: PassRules) -> None:
        self._rules = rules
        self._text, fields = _opened(data)
        self._fields = fields
        self._members: dict[str, Raw] | None = fields
        """The members of the text; None if a name is repeated in it."""
        self.model = _string(fields, "model")
        self.stream = "stream" in fields and _written(fields, "stream") == b"true"

    def fields(self) -> dict[str, Any]:
        """The decoded fields, whose tools other requests share: see `shared_tools`.

        Raises:
            BadRequest: one is nested too deeply.
        """
        try:
            return {
                name: TEXTS.read(bytes(raw)) if name == "tools" else decode(bytes(raw))
                for name, raw in self._fields.items()
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

    def may_pass(self, target: Target, protocol: str, *, stream: bool) -> bool:
        """Whether it can be passed on to a target as it is, but for changes in place, and the reply to its client. `protocol`: that
        of the client."""
        to = target.upstream
        return (
            to.protocol == protocol
            and self.is_of(protocol)
            and (stream or not to.dialect.stream_only)
            and not self.sealed
            and self.to_repair(target) is None
        )

    def to_repair(self, target: Target) -> str | None:
        """A field of a target's dialect that requires a change inside messages or tools, which only translation makes; None if all
        required changes can be made in place."""
        plan = _plan(target, self._rules)
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

    def call(
        self, target: Target, path: str, *, generates: bool, stream: bool = False, lessons: Iterable[Adaptation] = ()
    ) -> Call:
        """The call of `path` that passes this body on to a target of the client's protocol, with warnings about changes.

        `generates`: the model answers, so that the settings of its entry apply. `lessons`: the stored adaptations for the
        target.
        """
        try:
            return self._call(target, path, generates, stream, list(lessons))
        except RepeatedName:  # in it, or in an object in it that is edited
            self._text, self._members = encode(decode(self._text)), None
            return self._call(target, path, generates, stream, list(lessons))
        except MalformedReply as error:
            raise _not_json(error) from None

    def _call(self, target: Target, path: str, generates: bool, stream: bool, lessons: list[Adaptation]) -> Call:
        if self._members is not None and not lessons:
            plan = _plan(target, self._rules)
            if plan.only_names_model(self._members, generates=generates):
                text = with_value(self._text, self._members, "model", plan.model)
                return Call(path, {}, stream=stream, text=text)
        fields = ObjectText(self._text, written=self._members)
        edits = _Edits(fields, self._rules, target)
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


class _PassPlan:
    """Conclusions from a target, for all bodies that are passed on to it."""

    def __init__(self, target: Target, rules: PassRules) -> None:
        dialect, model = target.upstream.dialect, target.model
        self.repairs = [(field, pattern) for field, applies, pattern in _REPAIRS if applies(dialect)]
        if rules.freeform is not None and not dialect.freeform_tools:
            self.repairs.append(("freeform_tools", rules.freeform))
        if rules.compaction is not None and not dialect.compaction:
            self.repairs.append(("compaction", rules.compaction))
        self._in_tools = [("tool_name", _value("name", rf'"(?!(?:{dialect.tool_name or rules.tool_name})")'))]
        """Some agents send the names of MCP tools in full length."""
        if rules.other_tools is not None:
            self._in_tools.append(("tools", rules.other_tools))
        if not dialect.hosted_search:  # only translation reads the declaration of a web search
            self._in_tools.append(("hosted_search", _SEARCH))
        self._accepted = b""
        """The last tools that need no change."""
        self.most_stops = dialect.most_stops if target.upstream.protocol == "openai_chat" else None
        self.echoes_reasoning = dialect.reasoning_echo == "always"
        names_model = rules.named is None and dialect.model_in_body and bool(model.id)
        self.model = encode(model.id) if names_model else b""
        """The value of `model` in a body, in JSON; empty if it is not simply the model's ID."""
        self._limits = [name for name in rules.limits if "." not in name]
        self._most = output_limit(model)
        self._adds = bool(dialect.body or target.entry.settings)
        self._adds_limit = model.output_tokens_explicit
        self._edited = set(_LIMITS if dialect.max_tokens_parameter else ()) - {dialect.max_tokens_parameter}
        self._edited |= set(_SEEDS if dialect.seed_parameter else ()) - {dialect.seed_parameter}
        self._edited |= set() if dialect.include_usage else {"stream_options"}
        nested = [name for name in rules.limits if "." in name]
        self._edited |= {
            spelling for name in (*dialect.unsupported, *nested) for spelling in spellings(name.split(".")[0])
        }

    def to_repair_in(self, tools: bytes) -> str | None:
        """A field of the dialect that requires a change of the tools, in JSON; None if none does."""
        if tools == self._accepted:  # agents send the same tools with each request
            return None
        for field, pattern in self._in_tools:
            if pattern.search(tools):
                return field
        if len(tools) <= _KEPT:
            self._accepted = tools
        return None

    def only_names_model(self, members: dict[str, Raw], *, generates: bool) -> bool:
        """Whether the name of the model is all that changes in a body with these members."""
        if not self.model or "model" not in members:
            return False
        if not generates:
            return True
        if self._adds or not self._edited.isdisjoint(members):
            return False
        limited = False
        for name in self._limits:
            if name in members:
                limited = True
                most = bytes(members[name])
                if self._most is not None and not (_is_count(most) and int(most) <= self._most):
                    return False
        return limited or not self._adds_limit


def _is_count(written: bytes) -> bool:
    """Whether a value in JSON is a whole number of usual length: Python does not convert one of thousands of digits."""
    return written.isdigit() and len(written) < 20


def _plan(target: Target, rules: PassRules) -> _PassPlan:
    """The plan of a target, whose protocol has these rules."""
    plan: _PassPlan | None = target.derived.get(_PassPlan)
    if plan is None:
        plan = target.derived[_PassPlan] = _PassPlan(target, rules)
    return plan


class _Edits:
    """The changes of one body for one target."""

    def __init__(self, fields: ObjectText, rules: PassRules, target: Target) -> None:
        self.fields = fields
        self.report: list[Warned] = []
        self._rules = rules
        self._target = target
        self._protocol = target.upstream.protocol
        self._dialect = target.upstream.dialect

    def name_model(self) -> None:
        """Set the ID of the model on the wire, wherever the client named it."""
        id, named = self._target.model.id, self._rules.named
        if named is None:
            if not self._dialect.model_in_body or not id:
                self.fields.remove("model")
            elif self.fields.value("model") != id:
                self.fields.set("model", id)
            return
        for holder in (self.fields, self.fields.nested(_spelled(self.fields, "generateContentRequest"))):
            if holder is not None and "model" in holder:
                holder.set("model", named(id))
        if isinstance(requests := self.fields.value("requests"), list):  # a batch of embeddings
            models = [
                {**one, "model": named(id)} if isinstance(one, dict) and "model" in one else one for one in requests
            ]
            self.fields.set("requests", models)

    def limit_tokens(self, learned: int | None) -> None:
        """Reduce maximum output tokens to the model's limit, and thinking budgets that were below them with them. Set the
        maximum that the user configured, if the client sets none. `learned`: the limit that the provider reported."""
        model = self._target.model
        limit = min((most for most in (output_limit(model), learned) if most), default=None)
        known = [(*found, _number(found[0], found[1])) for found in self._places(self._rules.limits)]
        if not known and model.output_tokens_explicit and model.max_output_tokens is not None:
            self._add_limit(model.max_output_tokens)
        above = [
            (holder, name, value) for holder, name, value in known if limit and value is not None and value > limit
        ]
        if limit is None or not above:
            return
        for holder, name, value in above:
            _write_number(holder, name, limit)
            self.report.append(output_clamped(name, value, limit, model))
        before = max(value for _, _, value in above)
        for holder, name in self._places(self._rules.budgets):
            budget = _number(holder, name)
            if budget is not None and limit <= budget < before:
                _write_number(holder, name, reduced_budget(limit))

    def _add_limit(self, most: int) -> None:
        holder, _, name = self._rules.limits[0].rpartition(".")
        if not holder:
            own = self._dialect.max_tokens_parameter if self._protocol == "openai_chat" else None
            self.fields.set(own or name, most)
        elif (group := self.fields.nested(_spelled(self.fields, holder))) is not None:
            group.set(name, most)
        else:
            self.fields.set(holder, {name: most})

    def apply_dialect(self) -> None:
        """Parameters as the provider names them, and without those that it rejects."""
        if self._protocol == "openai_chat":
            self._rename(_LIMITS, self._dialect.max_tokens_parameter)
            self._rename(_SEEDS, self._dialect.seed_parameter)
        if not self._dialect.include_usage and (options := self.fields.nested("stream_options")) is not None:
            options.remove("include_usage")
            if not list(options):
                self.fields.remove("stream_options")
        self.add(self._dialect.body)
        group = self._rules.limits[0].rpartition(".")[0]
        for name in self._dialect.unsupported:
            for holder, written in self._places((name, f"{group}.{name}") if group else (name,)):
                if not changes_nothing(name, holder.value(written), self._protocol):
                    self.report.append(dropped(name, self._protocol, f"{self._dialect.vendor} rejects it"))
                holder.remove(written)

    def _rename(self, names: tuple[str, ...], wanted: str | None) -> None:
        for name in names:
            if wanted is None or name == wanted or name not in self.fields:
                continue
            if wanted in self.fields:
                self.fields.remove(name)
            else:
                self.fields.rename(name, wanted)

    def add(self, settings: dict[str, Any]) -> None:
        """Add settings. In objects that only group settings, the others stay."""
        for name, value in settings.items():
            written = _spelled(self.fields, name) if name in GROUPS else name
            group = self.fields.nested(written) if name in GROUPS and isinstance(value, dict) else None
            if group is None:
                self.fields.set(written, value)
            else:
                for inner, one in value.items():
                    group.set(inner, one)

    def learn(self, lesson: Adaptation) -> bool:
        """Apply a lesson about a parameter. Returns whether it changed the meaning of the request."""
        name = lesson.parameter
        if name not in self.fields or (lesson.beside is not None and lesson.beside not in self.fields):
            return False
        value = self.fields.value(name)
        if lesson.rename is not None and lesson.rename not in self.fields:
            self.fields.rename(name, lesson.rename)
        else:
            self.fields.remove(name)
        return not (lesson.drops and changes_nothing(name, value, self._protocol))

    def _places(self, places: Iterable[str]) -> Iterator[tuple[ObjectText, str]]:
        """The members that exist of those at some places: the objects that hold them, and their names as written."""
        for place in places:
            *outer, name = place.split(".")
            holder: ObjectText | None = self.fields
            for step in outer:
                holder = None if holder is None else holder.nested(_spelled(holder, step))
            if holder is not None and (written := _spelled(holder, name)) in holder:
                yield holder, written


def _spelled(holder: ObjectText, name: str) -> str:
    """The name of a member as it is written: Google's SDKs write camelCase or snake_case."""
    return name if name in holder else spellings(name)[-1]


def _number(holder: ObjectText, name: str) -> float | None:
    """A number, which may be written as a string; None if the value is something else."""
    value = holder.value(name)
    if isinstance(value, str):
        return whole_number(value)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _write_number(holder: ObjectText, name: str, value: int) -> None:
    quoted = (holder.raw(name) or b"").startswith(b'"')
    holder.write(name, b'"%d"' % value if quoted else b"%d" % value)
