"""The requirements of a target for requests in its own protocol: whether a body can be passed on, and which members are edited.

It follows from the target's dialect and model, and is derived once per target.
"""

import re
from collections.abc import Callable

from msgspec import Raw, Struct

from modelbay.calling.target import Target
from modelbay.dialect import PLAIN, Dialect
from modelbay.json_text import encode
from modelbay.protocols.limits import output_limit
from modelbay.protocols.pass_rules import PassRules, spellings

LIMITS = ("max_tokens", "max_completion_tokens")
SEEDS = ("seed", "random_seed")
"""Names of one parameter in Chat Completions."""
_KEPT = 256 * 1024
"""Maximum bytes of the tools that a plan keeps."""
_SEARCH = re.compile(rb'"(?:web_search|google_?search)', re.IGNORECASE)
"""Is in every list of tools with a hosted web search."""


def _value(name: str, value: str) -> re.Pattern[bytes]:
    """Find a member with a value in JSON, where quotes inside strings are escaped."""
    return re.compile(rf'"{name}"\s*:\s*{value}'.encode())


_SCHEMAS = re.compile(rb'"(?:type"\s*:\s*"json_schema"|response_?(?:[jJ]son_?)?[sS]chema")')
_JSON_MODE = re.compile(rb'"(?:type"\s*:\s*"json_object"|response_?[mM]ime_?[tT]ype"\s*:\s*"application/json")')
_FORCED = re.compile(rb'"(?:tool_choice"\s*:\s*(?:"required"|"any"|\{)|mode"\s*:\s*"ANY")')
_CALLS = re.compile(rb'"(?:tool_calls"\s*:\s*\[|type"\s*:\s*"(?:tool_use|function_call)"|function_?[cC]all"\s*:\s*\{)')


class _Repair(Struct, frozen=True):
    """A change that only translation makes: inside messages or tools."""

    field: str
    """The field of the dialect because of which the provider rejects something."""
    sign: re.Pattern[bytes]
    """Finds what it rejects in a body."""
    rejects: Callable[[Dialect], bool] | None = None
    """Whether a dialect rejects it. Default: if its field is false."""

    def applies(self, dialect: Dialect) -> bool:
        return not getattr(dialect, self.field) if self.rejects is None else self.rejects(dialect)


_REPAIRS = (
    _Repair("system_role", _value("role", '"(?:system|developer)"')),
    _Repair("system_role", _value("system_?[iI]nstruction", "")),
    _Repair("developer_role", _value("role", '"developer"')),
    _Repair("cache_control", _value("cache_control", "")),
    _Repair("cache_ttl", _value("ttl", "")),
    _Repair("strict_tools", _value("strict", "")),
    _Repair("namespaces", _value("type", '"(?:namespace|tool_search(?:_call|_output)?)"')),
    _Repair("json_schema", _SCHEMAS),
    _Repair("json_mode", _JSON_MODE),
    _Repair("tool_choices", _FORCED, lambda dialect: not {"required", "tool"}.issubset(dialect.tool_choices)),
    _Repair("parallel_tool_calls", _value("tools", r"\[")),
    _Repair("parallel_call_history", _CALLS),
    _Repair("schema", _value(r"\$ref", ""), lambda dialect: dialect.schema == "typed"),
    _Repair("media_by_url", _value("url", '"https?:')),
    _Repair("text_only_content", _value("content", r"\["), lambda dialect: dialect.text_only_content),
    _Repair("omit_empty_content", _value("content", '""'), lambda dialect: dialect.omit_empty_content),
    _Repair("required_word", _value("tool_choice", '"required"'), lambda dialect: dialect.required_word != "required"),
    _Repair("reasoning_echo", _value("reasoning_content", '"'), lambda dialect: dialect.reasoning_echo == "never"),
    _Repair(
        "reasoning_control",
        _value("reasoning_effort", '"'),
        lambda dialect: dialect.reasoning_control is not None and "reasoning_effort" not in dialect.reasoning_control,
    ),
)


def edited_fields(dialect: Dialect, rules: PassRules) -> list[str]:
    """The fields of a dialect for which a request in the provider's own protocol may be changed."""
    found = [repair.field for repair in _REPAIRS if repair.applies(dialect)]
    if rules.freeform is not None and not dialect.freeform_tools:
        found.append("freeform_tools")
    if dialect.reasoning_echo == "always":
        found.append("reasoning_echo")
    written = ("max_tokens_parameter", "seed_parameter", "unsupported", "body")
    found += [name for name in written if getattr(dialect, name) != getattr(PLAIN, name)]
    found += [name for name in ("include_usage", "model_in_body", "hosted_search") if not getattr(dialect, name)]
    return list(dict.fromkeys(found))


class PassPlan:
    """Conclusions from a target, for all bodies that are passed on to it."""

    def __init__(self, target: Target, rules: PassRules) -> None:
        dialect, model = target.upstream.dialect, target.model
        self.repairs = [(repair.field, repair.sign) for repair in _REPAIRS if repair.applies(dialect)]
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
        self._edited = set(LIMITS if dialect.max_tokens_parameter else ()) - {dialect.max_tokens_parameter}
        self._edited |= set(SEEDS if dialect.seed_parameter else ()) - {dialect.seed_parameter}
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


def plan_of(target: Target, rules: PassRules) -> PassPlan:
    """The plan of a target, whose protocol has these rules."""
    plan: PassPlan | None = target.derived.get(PassPlan)
    if plan is None:
        plan = target.derived[PassPlan] = PassPlan(target, rules)
    return plan
