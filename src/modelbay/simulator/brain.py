"""The brain: from a conversation to the events of an answer. It is pure and deterministic.

It repeats the question and counts the files. It thinks if a reasoning effort is set. It calls a tool that the prompt is about,
and quotes the result. If a system prompt contains a JSON Schema for the answer, the answer is JSON. Words in the prompt control it:

    parallel        two calls at once              SIM_REFUSE   refuses to answer
    in 3 steps      calls, three times in a row    SIM_FILTER   a content filter stops the answer
    write 500 words a long answer                  SIM_REDACT   the thinking is withheld
    "text" `text`   the text for an argument of a call
"""

import re
from collections.abc import Iterator, Sequence
from zlib import crc32

import msgspec
from msgspec import Struct

from modelbay.conversation import AnyPart, Conversation, Extra, Json, Reasoning, Refusal, Text, Thinking, Tool, ToolCall
from modelbay.errors import MalformedReply
from modelbay.events import Event, FinishReason, UsageReported
from modelbay.json_text import decode
from modelbay.protocols.assembly import Assembly
from modelbay.simulator.examples import example
from modelbay.simulator.reading import Reading, acknowledge, read, text_of
from modelbay.simulator.signatures import SECRET, Prefix, signed_text
from modelbay.simulator.simulated_models import SimulatedModel
from modelbay.simulator.token_counts import part_tokens, tokens, with_output
from modelbay.simulator.traits import ProtocolTraits
from modelbay.usage import Usage

_LOREM = re.findall(
    r"\w+",
    "the quick brown fox jumps over the lazy dog while a gentle wind moves the tall grass and far away "
    "a friend plays a slow song on an old piano",
)
_COMMON = {"get", "set", "list", "show", "make", "run", "the", "tool", "call", "create", "find", "and", "for", "with"}
"""Words in names of tools that do not describe the tool."""
_ANSWER = {"type": "object", "properties": {"answer": {"type": "string"}}}
"""The default schema of a JSON reply."""
_TEXT = {"type": "object", "properties": {"input": {"type": "string"}}}
"""The schema of a freeform tool that is sent as a function: both are called with the same text."""
_SENTENCES = {"minimal": 1, "low": 2, "high": 6, "xhigh": 9, "max": 11}
"""The number of sentences of thinking, by effort."""
_SCHEMA_ASKED = re.compile(r"^Answer with JSON that matches this JSON Schema:\s*(\{.*\})\s*$", re.MULTILINE)
"""The words in a system prompt for an output format without a parameter."""
_PIECE = re.compile(r"\s*\S+|\s+")


class SimulatedReply(Struct):
    """The whole reply of the model."""

    parts: list[AnyPart]
    finish: FinishReason = "stop"
    stop_sequence: str | None = None
    unseen: int = 0
    """Tokens of hidden thinking."""
    top_logprobs: int | None = None
    """The number of alternatives for each token; None if log probabilities were not requested."""
    thoughts: str = ""
    """The thinking before the parts, which becomes a part if it is visible."""

    def usage(self, prompt: Usage, others: "Sequence[SimulatedReply]" = ()) -> Usage:
        """The usage of the whole exchange. `others`: the other choices."""
        replies = (self, *others)
        parts = [part for reply in replies for part in reply.parts]
        return with_output(prompt, parts, sum(reply.unseen for reply in replies))


def answer(
    conversation: Conversation,
    facts: SimulatedModel,
    traits: ProtocolTraits,
    secret: bytes = SECRET,
    choice: int = 1,
    scripted: SimulatedReply | None = None,
) -> SimulatedReply:
    """`choice`: the number of the reply, if the request asked for several. `scripted`: the reply that a test decided on."""
    reading = read(conversation)
    prefix = Prefix.of(conversation, traits.protocol, secret)
    result = scripted or _reply(conversation, reading, facts)
    if scripted is None:
        if choice > 1 and conversation.settings.output_format is None:
            for part in result.parts[-1:]:
                if type(part) is Text:
                    part.text += f" This is choice {choice}."
        if thinks(conversation, facts):
            result.thoughts = _thoughts(reading, (conversation.settings.reasoning or Reasoning()).effort)
    thought = bool(result.thoughts)
    if thought:
        _add_thinking(result, conversation, reading, traits)
    if scripted is None:
        result = _apply_limits(result, conversation, traits)
    _name_calls_and_sign(result, prefix, traits, thought=thought)
    if not traits.gives_state(conversation.settings.extra):
        for part in result.parts:
            part.opaque = None
    for index, part in enumerate(result.parts):
        if (start := traits.item_ids.get(_tag(part))) is not None:
            part.item_id = f"{start}{_id_middle(prefix, thought=thought)}{index:02}"
    if conversation.settings.logprobs:
        result.top_logprobs = conversation.settings.top_logprobs or 0
    return result


def events(
    answer: SimulatedReply, id: str, model: str, usage: Usage, created: int, others: Sequence[SimulatedReply] = ()
) -> Iterator[Event]:
    """The events of the reply, one per word. `others`: the other choices, whose output is counted too."""
    assembly = Assembly()
    yield UsageReported(msgspec.structs.replace(usage, output=0, reasoning=None))
    assembly.start(id, model, {"created": created})
    yield from assembly.take()
    for part in answer.parts:
        yield from _stream(part, assembly, answer.top_logprobs)
    assembly.usage = answer.usage(usage, others)
    assembly.finish(answer.finish, stop_sequence=answer.stop_sequence)
    yield from assembly.take()


def _stream(part: AnyPart, assembly: Assembly, top_logprobs: int | None) -> Iterator[Event]:
    bare: AnyPart
    match part:
        case Text() | Refusal():
            text, bare = part.text, msgspec.structs.replace(part, text="")
        case Thinking():
            text, bare = part.text, msgspec.structs.replace(part, texts=[])
        case ToolCall():
            text, bare = part.arguments, msgspec.structs.replace(part, arguments="")
        case _:
            assembly.whole(part)
            yield from assembly.take()
            return
    if not text:
        assembly.whole(part)
        yield from assembly.take()
        return
    opaque, bare.opaque = part.opaque, bare.opaque if type(part) is ToolCall else None
    key = assembly.open(bare)
    for piece in pieces(text):
        logprobs = [_logprob(piece, top_logprobs)] if top_logprobs is not None and type(part) is Text else None
        assembly.add(key, piece, logprobs=logprobs)
        yield from assembly.take()
    assembly.part(key).opaque = opaque
    assembly.end(key)
    yield from assembly.take()


def _logprob(token: str, alternatives: int) -> Extra:
    """The log probability of a word, which depends on the word alone, in OpenAI's form. Words are the simulator's tokens."""
    place = crc32(token.encode())
    chance = -(place % 1_000) / 1_000
    others = [f" {_LOREM[(place + step) % len(_LOREM)]}" for step in range(1, alternatives)]
    top = [_token(token, chance), *(_token(other, chance - step) for step, other in enumerate(others, 1))]
    return {**_token(token, chance), "top_logprobs": top[:alternatives]}


def _token(text: str, logprob: float) -> Extra:
    return {"token": text, "logprob": round(logprob, 3), "bytes": list(text.encode())}


def pieces(text: str) -> Iterator[str]:
    """The words of a text, each with the space before it."""
    for found in _PIECE.finditer(text):
        yield found.group()


# --- text ------------------------------------------------------------------------------------------------------------


def _reply(conversation: Conversation, reading: Reading, facts: SimulatedModel) -> SimulatedReply:
    if "SIM_REFUSE" in reading.prompt:
        return SimulatedReply([Refusal(text="I am sorry, but I cannot help with that.")], "refusal")
    calls = _calls(conversation, reading, facts)
    if calls:
        return SimulatedReply([*calls], "tool_calls")
    schema = _output_schema(conversation)
    if schema is not None:
        return SimulatedReply([Text(text=msgspec.json.encode(example(schema, reading.prompt)).decode())])
    text = _text(reading, facts)
    if "SIM_FILTER" in reading.prompt:
        return SimulatedReply([Text(text=text[: len(text) // 2])], "content_filter")
    return SimulatedReply([Text(text=text)])


def _output_schema(conversation: Conversation) -> Json:
    """The schema of the output, which the request or the system prompt contains; None for a text."""
    form = conversation.settings.output_format
    if form is not None and form.kind != "text":
        return _ANSWER if form.schema is None else form.schema
    system = "\n".join(turn.text for turn in conversation.turns if turn.role in ("system", "developer"))
    found = _SCHEMA_ASKED.search(system)
    try:
        return decode(found[1]) if found else None
    except MalformedReply:
        return None


def _text(reading: Reading, facts: SimulatedModel) -> str:
    wanted = re.search(r"\b(\d{1,6}) words\b", reading.prompt)
    if wanted and not reading.results:
        return _many_words(int(wanted.group(1)))
    sentences = []
    for result in reading.results:
        name = result.name or reading.calls.get(result.call_id or "")
        said = text_of(result.parts).strip() or ("with a file" if result.parts else "nothing")
        verb = "failed" if result.is_error else "answered"
        sentences.append(_sentence(f"The tool{f' {name}' if name else ''} {verb}: {said}"))
    if not reading.results and reading.prompt:
        again = f" (question {reading.questions} of our conversation)" if reading.questions > 1 else ""
        sentences.append(_sentence(f"You asked{again}: {_quote(reading.prompt, 400)}"))
    if reading.media:
        sentences.append(acknowledge(reading.media))
    if not reading.results:
        sentences.append(f"I am {facts.id}, a simulated model, and this is all I know about it.")
    return " ".join(sentences)


def _quote(text: str, length: int) -> str:
    """A text on one line, shortened."""
    return " ".join(text.split())[:length]


def _sentence(text: str) -> str:
    return text if text[-1] in ".!?" else f"{text}."


def _many_words(count: int) -> str:
    words = [_LOREM[index % len(_LOREM)] for index in range(count)]
    return " ".join(words).capitalize() + "."


# --- tool calls --------------------------------------------------------------------------------------------------------


def _calls(conversation: Conversation, reading: Reading, facts: SimulatedModel) -> list[ToolCall]:
    settings = conversation.settings
    choice = settings.tool_choice
    mode = choice.mode if choice is not None else None
    spaces = {id(inside): tool.name for tool in settings.tools or () for inside in tool.tools or ()}
    tools = [inside for tool in settings.tools or () for inside in tool.tools or [tool]]
    tools = [tool for tool in tools if tool.kind in ("function", "freeform")]
    if choice is not None and choice.names:
        tools = [tool for tool in tools if tool.name in choice.names]
    if not tools or mode == "none" or not facts.can("tool_use"):
        return []
    forced = mode in ("required", "tool")
    wanted = sorted(tools, key=lambda tool: -_relevance(tool, reading.prompt))
    if not forced and not (_relevance(wanted[0], reading.prompt) or _asks_for_a_tool(reading.prompt)):
        return []
    steps = re.search(r"\b(\d{1,2}) steps\b", reading.prompt)
    if not forced and reading.steps >= (int(steps.group(1)) if steps else 1):
        return []
    both = "parallel" in reading.prompt.lower() and (choice is None or choice.parallel is not False)
    second = wanted[1] if len(wanted) > 1 and _relevance(wanted[1], reading.prompt) else wanted[0]
    chosen = [(wanted[0], 0), (second, 1)] if both else [(wanted[0], reading.steps)]
    calls = [_call(tool, reading.prompt, turn) for tool, turn in chosen]
    for call, (tool, _) in zip(calls, chosen, strict=True):
        call.namespace = spaces.get(id(tool))
    return calls


def _asks_for_a_tool(prompt: str) -> bool:
    return re.search(r"\b(tools?|functions?|parallel|steps)\b", prompt, re.IGNORECASE) is not None


def _relevance(tool: Tool, prompt: str) -> int:
    """The number of words of a tool's name in the prompt; 10 for the whole name."""
    low = prompt.lower()
    if tool.name.lower() in low:
        return 10
    words = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", tool.name)}
    return len({word for word in words - _COMMON if len(word) > 2} & set(re.findall(r"[a-z]+", low)))


def _call(tool: Tool, prompt: str, turn: int) -> ToolCall:
    if tool.kind == "freeform":
        text = example(_TEXT, prompt, turn)["input"]
        return ToolCall(name=tool.name, arguments=text, format="text")
    schema = tool.schema if isinstance(tool.schema, dict) else {}
    arguments = example({"type": "object", **schema}, prompt, turn)
    return ToolCall(name=tool.name, arguments=msgspec.json.encode(arguments).decode())


# --- thinking ----------------------------------------------------------------------------------------------------------


def thinks(conversation: Conversation, facts: SimulatedModel) -> bool:
    if facts.can("always_thinking"):
        return True
    reasoning = conversation.settings.reasoning
    if reasoning is None or not facts.can("thinking"):
        return False
    if reasoning.enabled is False or reasoning.effort in ("none", "off") or reasoning.budget == 0:
        return False
    return bool(reasoning.enabled or reasoning.effort or reasoning.budget)


def _add_thinking(answer: SimulatedReply, conversation: Conversation, reading: Reading, traits: ProtocolTraits) -> None:
    """Add thinking before the reply: visible, redacted or only counted, depending on the request and the protocol."""
    reasoning, text = conversation.settings.reasoning or Reasoning(), answer.thoughts
    if "SIM_REDACT" in reading.prompt and traits.redacted:
        answer.parts.insert(0, Thinking(native=traits.redacted))
        answer.unseen = tokens(text)
    elif traits.shows(reasoning):
        answer.parts.insert(0, Thinking(texts=[text], native=traits.thinking_native, summary=traits.summary))
    else:
        answer.unseen = tokens(text)
        if traits.keeps_hidden:
            answer.parts.insert(0, Thinking(native=traits.thinking_native, summary=traits.summary))


def _thoughts(reading: Reading, effort: str | None) -> str:
    sentences = [_sentence(f"The user said: {_quote(reading.prompt, 200)}")]
    if reading.results:
        sentences = [f"{len(reading.results)} tool result{'s' if len(reading.results) > 1 else ''} came back."]
    sentences += ["I should answer in a few plain sentences.", "I know little, so I will say what I was asked."]
    sentences += [f"Let me look at it once more, from side {side}." for side in range(1, 9)]
    return " ".join(sentences[: _SENTENCES.get(effort or "", 3)])


# --- limits, signatures ------------------------------------------------------------------------------------------------


def _apply_limits(answer: SimulatedReply, conversation: Conversation, traits: ProtocolTraits) -> SimulatedReply:
    """Cut the reply at a stop sequence and at the maximum output tokens."""
    for part in answer.parts:
        if type(part) is Text:
            _stop(answer, part, conversation.settings.stop or [])
    left = conversation.settings.max_output_tokens
    if left is None or answer.unseen + sum(part_tokens(part) for part in answer.parts) <= left:
        return answer
    left = max(0, left - answer.unseen)
    kept: list[AnyPart] = []
    for part in answer.parts:
        count = part_tokens(part)
        if count > left:
            if (cut := _shortened(part, left, traits)) is not None:
                kept.append(cut)
            break
        kept.append(part)
        left -= count
    return SimulatedReply(kept, "length", unseen=answer.unseen)


def _stop(answer: SimulatedReply, part: Text, sequences: list[str]) -> None:
    found = [(part.text.find(sequence), sequence) for sequence in sequences if sequence and sequence in part.text]
    if found:
        at, answer.stop_sequence = min(found)
        part.text = part.text[:at]
        answer.finish = "stop"


def _shortened(part: AnyPart, count: int, traits: ProtocolTraits) -> AnyPart | None:
    """The part with at most `count` tokens; None if nothing is left."""
    match part:
        case Text() | Refusal():
            return msgspec.structs.replace(part, text=part.text[: count * 4]) if count else None
        case Thinking() if part.text and count:
            return msgspec.structs.replace(part, texts=[part.text[: count * 4]])
        case ToolCall() if traits.cuts_calls and count > tokens(part.name):
            return msgspec.structs.replace(part, arguments=part.arguments[: (count - tokens(part.name)) * 4])
        case _:
            return None


def _name_calls_and_sign(answer: SimulatedReply, prefix: Prefix, traits: ProtocolTraits, *, thought: bool) -> None:
    """Set the IDs of calls, and the signatures of parts that carry the protocol's reasoning state."""
    signed = False
    for index, part in enumerate(answer.parts):
        if type(part) is ToolCall and traits.call_id is not None:
            part.id = f"{traits.call_id}{_id_middle(prefix, thought=thought)}{index:02}"
        if type(part) is Thinking:
            if traits.signed == "thinking":
                part.opaque = prefix.sign(*signed_text(part))
        elif traits.signed == "calls" and thought and not signed:
            # only the first part of a step has a signature. That of a text or a refusal depends on the text
            signed = True
            if type(part) is Text or type(part) is Refusal:
                prefix.add("assistant", Text(text=part.text))
                part.opaque = prefix.sign(*signed_text(part))
                continue
            part.opaque = prefix.sign(*signed_text(part))
        prefix.add("assistant", part)


def _id_middle(prefix: Prefix, *, thought: bool) -> str:
    """The middle of an ID. It shows whether the model had thought before the call, so that a rule can check it."""
    return f"{'T' if thought else 'P'}{prefix.digest()[:20]}"


def thought_before(call_id: str | None, traits: ProtocolTraits) -> bool:
    """Whether the simulator made an ID after thinking."""
    return re.fullmatch(rf"{traits.call_id}T[0-9a-f]{{20}}\d\d", call_id or "") is not None


def _tag(part: AnyPart) -> str:
    return str(type(part).__struct_config__.tag)
