"""Prompt and settings of a call: types, validation, and conversion to a conversation."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeAlias, TypedDict, cast, get_type_hints

from msgspec import Meta
from msgspec.structs import replace

from modelbay.conversation import (
    AnyPart,
    Conversation,
    Media,
    OutputFormat,
    Part,
    Settings,
    Text,
    Tool,
    ToolChoice,
    Turn,
    user,
)
from modelbay.events import OutputT, Reply
from modelbay.library.typed_output import output_type
from modelbay.providers.endpoint import is_header
from modelbay.typed import Checker, Name

Prompt: TypeAlias = str | Conversation | Sequence[Turn]
"""The text of a question, the turns of a conversation, or a conversation with its own settings."""

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    Output: TypeAlias = TypeForm[OutputT] | UnionType | None
    """A type, from which type checkers derive the type of `Reply.value`."""
else:
    Output = dict[
        OutputT, object
    ]  # stands for it at run time, when any object is a type until `output_type` looks at it


class Ask(TypedDict, Generic[OutputT], total=False):
    """Settings of a call. A setting that is missing or None has the default of the model or its provider."""

    system: str | None
    """System prompt. Placed before that of the prompt."""
    files: Sequence[Media | str | Path] | None
    """Images, audio, video and documents: `Media`, paths, http(s) and data URLs. Added to the last user turn of the prompt."""
    tools: Sequence[Tool | Callable[..., Any]] | None
    """Tools, or functions, of which `Tool.of` makes tools."""
    tool_choice: ToolChoice | None
    """Which tools the model may or must call. Default: as the model decides."""
    output: "Output[OutputT]"
    """A type: a dataclass, a TypedDict, a class of msgspec or pydantic, or another type with a form in JSON. `Reply.value` is the
    answer as a value of it."""
    output_format: OutputFormat | None
    """Form of the answer: JSON, or JSON that follows a schema. `output` sets it for a type."""
    effort: str | None
    """Reasoning effort: the provider's value, or "off"."""
    thinking_budget: Annotated[int, Meta(ge=0)] | None
    """Maximum thinking tokens, for models that have such a limit."""
    max_tokens: Annotated[int, Meta(ge=1)] | None
    """Maximum output tokens."""
    temperature: Annotated[float, Meta(ge=0)] | None
    """Sampling temperature."""
    top_p: Annotated[float, Meta(ge=0, le=1)] | None
    """Nucleus sampling, 0 to 1."""
    top_k: Annotated[int, Meta(ge=1)] | None
    """Number of most likely tokens to choose from."""
    stop: Sequence[str] | None
    """Stop sequences. None of them may be empty."""
    seed: int | None
    """Seed for repeatable answers."""
    frequency_penalty: Annotated[float, Meta(ge=-2, le=2)] | None
    """Penalty for frequent tokens, -2 to 2."""
    presence_penalty: Annotated[float, Meta(ge=-2, le=2)] | None
    """Penalty for repeated tokens, -2 to 2."""
    logprobs: bool | None
    """Whether the reply has the log probabilities of its tokens, in `Text.logprobs`."""
    top_logprobs: Annotated[int, Meta(ge=0)] | None
    """Number of other likely tokens with each token. Requires `logprobs`."""
    service_tier: str | None
    """The provider's service tier."""
    metadata: Mapping[str, Any] | None
    """Values that the provider stores with the call."""
    user: str | None
    """ID of your user, for the provider's checks of abuse."""
    cache: Mapping[str, Any] | None
    """Cache control for the whole prompt, such as `{"type": "ephemeral", "ttl": "1h"}`."""
    cache_key: str | None
    """Key of prompts that begin alike, which a provider then keeps in the same cache."""
    extra_body: Mapping[str, Any] | None
    """Fields of the provider's own API. They replace those of the same name in the request; its `tools` are added to those of the
    call."""
    extra_headers: Mapping[str, str] | None
    """Headers of the request. Those of the provider's entry take precedence, its API key included."""
    timeout: Annotated[float, Meta(gt=0)] | None
    """Maximum seconds for the whole call, with all attempts and the reply."""
    retries: Annotated[int, Meta(ge=0)] | None
    """Maximum number of further attempts after a failed one. Default: 3."""


COPIED = {
    "tool_choice": "tool_choice",
    "output_format": "output_format",
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "seed": "seed",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logprobs": "logprobs",
    "top_logprobs": "top_logprobs",
    "service_tier": "service_tier",
    "metadata": "metadata",
    "user": "user",
    "cache": "cache",
    "cache_key": "cache_key",
}
"""Settings of a call, and the conversation setting that each replaces."""
LISTS = ("tools", "stop")
OF_THE_CALL = ("output", "effort", "thinking_budget", "extra_body", "extra_headers", "timeout", "retries")
"""Settings that a conversation does not have."""
SEVERAL = "a call has one reply; for several replies, call hub.map([prompt] * 3)"
"""Half of the protocols have no parameter for several replies."""
_OF_HUBS = "pass it to Hub.of"
_ELSEWHERE = {
    "stream": "call hub.stream",
    "functions": "pass them as tools",
    "parallel_tool_calls": "pass tool_choice=ToolChoice(parallel=False)",
    "web_search": 'pass extra_body={"tools": […]}, in the form of the provider',
    "extra_query": "pass a base_url with the query",
    "provider": 'pass model="PROVIDER/MODEL-ID"',
    "verbosity": "pass extra_body={…}, in the form of the provider",
    **dict.fromkeys(
        ("messages", "history", "message_history", "turns", "context", "input"), "pass turns as the prompt"
    ),
    **dict.fromkeys(
        ("response_model", "response_schema", "result_type", "output_schema", "schema", "format"),
        'did you mean "output"?',
    ),
    **dict.fromkeys(("response_format", "text_format"), 'did you mean "output" or "output_format"?'),
    **dict.fromkeys(("thinking", "reasoning", "think"), 'did you mean "effort" or "thinking_budget"?'),
    **dict.fromkeys(("instructions", "developer", "preamble"), 'did you mean "system"?'),
    **dict.fromkeys(
        ("images", "image", "attachments", "documents", "audio", "media", "fragments"), 'did you mean "files"?'
    ),
    **dict.fromkeys(("fallbacks", "fallback", "models"), 'pass several: model=["a", "b"]'),
    **dict.fromkeys(("concurrency", "max_concurrency", "max_workers", "n_jobs"), "hub.map has `limit`"),
    **dict.fromkeys(("max_turns", "max_iterations", "max_rounds", "recursion_limit"), "hub.run has `max_steps`"),
    **dict.fromkeys(("api_key", "base_url", "api_base", "protocol", "proxy", "tls"), _OF_HUBS),
}
"""Settings of other libraries, and what to use instead."""
Count: TypeAlias = Annotated[int, Meta(ge=1)]
TURN = 'user("…") or Turn("assistant", [Text(text="…")])'
EXAMPLES: dict[Any, str] = {
    Turn: TURN,
    list[AnyPart]: f"a list of parts, as in {TURN}",
    Media: 'Media.open(PATH) or Media.of(BYTES, "image/png")',
    Tool: 'Tool(name="…", description="…", schema={…})',
    ToolChoice: 'ToolChoice("required") or ToolChoice("tool", ["…"])',
    OutputFormat: 'OutputFormat("json") or OutputFormat("json_schema", schema={…})',
}
_CHECKER = Checker(EXAMPLES, lambda value: isinstance(value, Part) and value.origin is not None)
"""Parts with an origin come from a provider and are not checked."""
_PARSED = Checker({}, lambda value: True)
_TYPES = {**get_type_hints(Ask, include_extras=True), "output": object}


def checked(prompt: object, model: object, settings: Ask, *, where: str = "prompt", empty: bool = False) -> Ask:
    """Validate the arguments of a call before anything is sent. Returns the settings, with functions made tools.

    `where`: name of the prompt in messages. `empty`: whether the prompt may have no content: it is only counted, or is a list
    whose turns are added later.

    Raises:
        TypeError: an unknown setting, or a value of the wrong type.
        ValueError: a value of the right type that is not allowed.
    """
    if unknown := next((name for name in settings if name not in _TYPES), None):
        raise TypeError(_unknown(unknown))
    # a client's request was parsed leniently; its provider decides whether it is valid
    parsed = isinstance(prompt, Conversation) and prompt.protocol is not None
    if not isinstance(prompt, str | Conversation):
        _check_turns(prompt, where)
    (_PARSED if parsed else _CHECKER).check(prompt, Prompt, where)
    if isinstance(prompt, Conversation) and not parsed and (prompt.settings.n or 1) > 1:
        raise ValueError(f"{where}.settings.n must be 1: {SEVERAL}")
    _CHECKER.check(model, Name | Sequence[Name] | None, "model")
    if not isinstance(model, str) and model is not None and not model:
        raise ValueError("model must not be an empty list")
    _check_settings(settings)
    if not (parsed or empty or settings.get("files")):
        check_content(cast(Prompt, prompt), where)
    if settings.get("files") and not isinstance(prompt, str) and _asking(_turns(cast(Prompt, prompt))) is None:
        raise TypeError("files are added to the last user turn, but the prompt has no user turn")
    given = prompt.settings if isinstance(prompt, Conversation) else Settings()
    if not parsed:
        check_stops(given.stop or (), f"{where}.settings.stop")
    tools = given.tools or []
    if settings.get("tools"):
        tools = [tool if isinstance(tool, Tool) else Tool.of(tool) for tool in settings["tools"] or ()]
        settings = {**settings, "tools": tools}
    if not parsed:
        check_tools(tools, settings.get("tool_choice") or given.tool_choice)
    return settings


def _check_settings(settings: Ask) -> None:
    """Check each setting, apart from the prompt. Raises what `checked` raises."""
    for name, value in settings.items():
        if name == "tools" and isinstance(value, Sequence):
            _check_forms(value)
        _CHECKER.check(value, _TYPES[name], name)
    check_headers(settings.get("extra_headers") or {}, "extra_headers")
    check_stops(settings.get("stop") or (), "stop")
    form = settings.get("output_format")
    if form is not None and form.kind == "json_schema" and form.schema is None:
        raise ValueError(
            'output_format requires a schema: OutputFormat("json_schema", schema={…}), or OutputFormat("json")'
        )
    if settings.get("output") is not None:
        if form is not None:
            raise TypeError("pass either output or output_format")
        output_type(settings["output"])


def _check_turns(prompt: object, where: str) -> None:
    """Raise TypeError for the values of this library that are not turns, but have some: it says how to pass them."""
    if isinstance(prompt, Turn):
        raise TypeError(f"{where} must be a string, a Conversation or a list of turns, not Turn: pass [turn]")
    for place, turn in enumerate(prompt) if isinstance(prompt, list | tuple) else ():
        if isinstance(turn, Reply):
            raise TypeError(f"{where}[{place}] must be a Turn, not Reply: pass reply.turn()")


_OF_PROVIDER = 'pass a tool that the provider runs in its own form, as extra_body={"tools": […]}'
_FUNCTIONS = ("func", "function", "implementation", "fn", "coroutine")
"""Attributes with the function of a tool of LangChain, Pydantic AI, llm and others."""


def _check_forms(tools: Sequence[object]) -> None:
    """Raise TypeError for tools in the forms of other libraries, which are not converted: it says how to pass them."""
    for place, tool in enumerate(tools):
        where = f"tools[{place}]"
        if isinstance(tool, Mapping):
            inner = "function" if isinstance(tool.get("function"), Mapping) else ""
            form: Mapping[str, object] = tool["function"] if inner else tool
            schema = next((key for key in ("parameters", "input_schema", "inputSchema") if key in form), None)
            path = f'tool["{inner}"]' if inner else "tool"
            if isinstance(form.get("name"), str) and (schema or inner or "type" not in form):
                fields = [("name", "name"), ("description", "description"), ("schema", schema)]
                made = ", ".join(f'{field}={path}["{key}"]' for field, key in fields if key in form)
                raise TypeError(f"{where} must be a Tool or a function, not a dict: pass Tool({made})")
            raise TypeError(f"{where} must be a Tool or a function, not a dict: {_OF_PROVIDER}")
        if isinstance(tool, Tool) or callable(tool):
            continue
        for attribute in _FUNCTIONS:
            if callable(getattr(tool, attribute, None)):
                kind = type(tool)
                raise TypeError(
                    f"{where} must be a Tool or a function, not {kind.__module__.partition('.')[0]}'s {kind.__qualname__}: "
                    f"pass its function, which is its attribute `{attribute}`"
                )


def check_stops(stops: Sequence[str], where: str) -> None:
    """Check that no stop sequence is empty, which providers reject. Raises ValueError."""
    for place, stop in enumerate(stops):
        if not stop:
            raise ValueError(
                f"{where}[{place}] must not be empty: leave it out, or set the variable that it comes from"
            )


def check_tools(tools: Sequence[Tool], choice: ToolChoice | None) -> None:
    """Check that no two tools have the same name, and that the choice names a tool. Raises ValueError."""
    names: set[str] = set()
    for place, tool in enumerate(tools):
        if tool.kind == "vendor":
            raise ValueError(f"tools[{place}] is a tool of the provider: {_OF_PROVIDER}")
        if tool.kind in ("function", "freeform"):
            _CHECKER.check(tool.name, Name, f"tools[{place}].name")
            if tool.name in names:
                raise ValueError(f"several tools are called {tool.name}")
            names.add(tool.name)
    if choice is None or choice.mode not in ("required", "tool", "allowed"):
        return
    if not tools:
        raise ValueError(f'tool_choice "{choice.mode}" requires tools')
    if choice.mode != "required" and not choice.names:
        raise ValueError(f'tool_choice "{choice.mode}" requires the name of a tool: ToolChoice("{choice.mode}", ["…"])')
    if all(tool.kind in ("function", "freeform") for tool in tools):
        for name in choice.names:
            if name not in names:
                raise ValueError(f"tool_choice names {name}, which is not one of the tools: {', '.join(sorted(names))}")


def check_content(prompt: Prompt, where: str = "prompt") -> None:
    """Check that a prompt has content to answer: most providers reject a request without any. Raises ValueError."""
    turns = _turns(prompt)
    asking = [turn for turn in turns if turn.role not in ("system", "developer")]
    if turns and not asking:
        raise ValueError(f"{where} has only a system prompt: add a user turn")
    if not any(not isinstance(part, Text) or part.text.strip() for turn in asking for part in turn.parts):
        raise ValueError(f"{where} is empty: pass a text, a turn with content, or files")


def check_headers(headers: Mapping[str, str], where: str) -> None:
    """Check that headers can be sent. Raises ValueError."""
    for name, value in headers.items():
        if not is_header(name, value):
            form = "letters, digits and hyphens in its name, one line of Latin-1 text as its value"
            raise ValueError(f"{where}[{name!r}] must be a header: {form}")


def check_type(value: object, wanted: Any, name: str) -> None:
    """Check that an argument has a type. Raises TypeError or ValueError, with its name."""
    _CHECKER.check(value, wanted, name)


def extra_fields(ask: Ask, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of `extra_body` for a request. Its tools, which the provider runs, are added to those of `tools`."""
    extra = ask.get("extra_body") or {}
    ours, theirs = body.get("tools"), extra.get("tools")
    return {**extra, "tools": [*ours, *theirs]} if isinstance(ours, list) and isinstance(theirs, list) else extra


def has_paths(ask: Ask) -> bool:
    """Whether files must be opened."""
    return any(not isinstance(file, Media) for file in ask.get("files") or ())


def with_open_files(ask: Ask) -> Ask:
    """The settings with the files at paths and URLs opened. Raises what `Media.open` raises."""
    files = [file if isinstance(file, Media) else Media.open(file) for file in ask.get("files") or ()]
    return {**ask, "files": files}


def conversation(prompt: Prompt, ask: Ask) -> Conversation:
    """Build a conversation from a prompt and settings. The arguments are not modified."""
    if isinstance(prompt, Conversation):
        made = replace(prompt, settings=replace(prompt.settings), turns=list(prompt.turns))
    else:
        made = Conversation(_turns(prompt))
    if (files := ask.get("files")) and (place := _asking(made.turns)) is not None:
        turn = made.turns[place]
        media = cast(Sequence[Media], files)  # see `with_open_files`
        made.turns[place] = replace(turn, parts=[*media, *turn.parts])
    if (system := ask.get("system")) is not None:
        made.turns.insert(0, Turn("system", [Text(text=system)]))
    for name, setting in COPIED.items():
        if (value := ask.get(name)) is not None:
            setattr(made.settings, setting, value)
    if ask.get("output") is not None:
        made.settings.output_format = output_type(ask["output"]).format
    for name in LISTS:
        if (values := ask.get(name)) is not None:
            setattr(made.settings, name, list(cast(Sequence[object], values)))
    return made


def _turns(prompt: Prompt) -> list[Turn]:
    if isinstance(prompt, str):
        return [user(prompt) if prompt.strip() else Turn("user")]  # files are a prompt without a text
    return list(prompt.turns if isinstance(prompt, Conversation) else prompt)


def _asking(turns: list[Turn]) -> int | None:
    """Index of the last user turn, or None."""
    return next((place for place in reversed(range(len(turns))) if turns[place].role == "user"), None)


def _unknown(name: str) -> str:
    if name == "n":
        return f'"n" is not a setting of a call: {SEVERAL}'
    if name in _ELSEWHERE:
        return f'"{name}" is not a setting of a call: {_ELSEWHERE[name]}'
    if name in Settings.__struct_fields__ and name not in COPIED.values():
        return (
            f'"{name}" is not a setting of a call yet; pass it in a conversation: '
            f'Conversation([user("…")], Settings({name}=…))'
        )
    words = set(name.split("_"))
    near = get_close_matches(name, _TYPES, 1) or [known for known in _TYPES if words & set(known.split("_"))]
    if near:
        return f'"{name}" is not a setting of a call: did you mean "{near[0]}"?'
    return f'"{name}" is not a setting of a call: must be one of {", ".join(_TYPES)}'
