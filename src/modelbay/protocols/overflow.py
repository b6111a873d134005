"""Recognizes error messages about a prompt that is too long, and reads the token counts in them.

Each pattern is one wording, with its vendors next to it. Patterns match anywhere in a message, in any case. `tokens` is
the number of tokens sent, or requested including the output; `limit` is the maximum.
"""

import re
from functools import cache

from msgspec import Struct


class Overflow(Struct, frozen=True):
    """Token counts in a message; None if missing."""

    tokens: int | None = None
    limit: int | None = None


_N = r"(?P<{}>\d[\d,.]*)"
_TOKENS, _LIMIT = _N.format("tokens"), _N.format("limit")
_WORDINGS = (
    # Anthropic; Fireworks writes a comma and the name of the limit
    rf"prompt is too long\W+{_TOKENS} tokens > {_LIMIT}",
    rf"prompt is too long\W+{_TOKENS}, model maximum context length\W+{_LIMIT}",
    rf"input length and `?max_tokens`? exceed context limit\W+(?P<input>\d+) \+ (?P<output>\d+) > {_LIMIT}",
    # OpenAI, DeepSeek, vLLM, OpenRouter, Azure, Groq
    rf"maximum context length (?:is|of) {_LIMIT}.{{0,60}}?(?:resulted in|requested|request has|requested a total of|contains?)"
    rf" (?:about |at least )?{_TOKENS}",
    rf"(?:input|prompt|request) (?:is |of |has |with )?\(?{_TOKENS}(?: tokens)?\)? (?:tokens )?exceeds? (?:the )?(?:model'?s )?"
    rf"(?:maximum )?context (?:length|window|size)\D{{0,20}}{_LIMIT}",
    rf"maximum context length (?:is|of) {_LIMIT}",
    rf"exceeds? the configured limit of {_LIMIT} tokens(?:.{{0,40}}?resulted in {_TOKENS})?",
    # vLLM
    rf"passed {_TOKENS} input tokens.{{0,200}}?context length is only {_LIMIT}",
    rf"prompt \(?(?:total )?length(?: of)? {_TOKENS}\)? is longer than the maximum model length of {_LIMIT}",
    r"longer than the maximum model length|exceeds? (?:the )?max_model_len",
    # Together, SGLang
    rf"input \({_TOKENS} tokens\) is longer than the model'?s context length \({_LIMIT} tokens\)",
    # Google, Vertex AI
    rf"input token count(?: \({_TOKENS}\)| is {_TOKENS.replace('tokens>', 'tokens2>')})?.{{0,40}}?"
    rf"(?:exceeds the maximum number of tokens allowed|only supports up to)(?: ?\(?{_LIMIT})?",
    # xAI
    rf"maximum prompt length is {_LIMIT}(?: but the request contains {_TOKENS})?",
    # GitHub Copilot
    rf"prompt token count of {_TOKENS} exceeds the limit of {_LIMIT}",
    # llama.cpp
    rf"(?:request \({_TOKENS} tokens\)|request) exceeds the available context size(?: \({_LIMIT} tokens\))?",
    rf"input \({_TOKENS} tokens\) is too large to process.{{0,80}}?batch size\W+{_LIMIT}",
    # LM Studio, Ollama
    rf"keep the first {_TOKENS} tokens.{{0,120}}?context length of only {_LIMIT}",
    r"greater than the context length|prompt too long; exceeded (?:max )?context length",
    r"input length exceeds (?:the )?(?:maximum )?context length",
    # Moonshot
    rf"exceeded model token limit(?:\W+{_LIMIT}(?: \(requested\W+{_TOKENS}\))?)?",
    # Mistral
    rf"prompt contains {_TOKENS} tokens.{{0,80}}?too large for model with {_LIMIT} maximum context length",
    rf"too large for model with {_LIMIT} maximum context length",
    # Alibaba
    rf"range of input length should be \[\d+, ?{_LIMIT}\]",
    # Cohere
    rf"number of tokens in the prompt cannot exceed {_LIMIT}(?: ?- ?received {_TOKENS})?",
    # Hugging Face's server
    rf"inputs` must have less than {_LIMIT} tokens\. Given: {_TOKENS}",
    rf"`?inputs`? tokens \+ `?max_new_tokens`? must be <= {_LIMIT}",
    # Bedrock
    rf"max input tokens\W+{_LIMIT}.{{0,40}}?request input token count\W+{_TOKENS}",
    r"input is too long for (?:the )?requested model",
    # Cerebras, and others that follow OpenAI's advice
    rf"reduce the length of (?:the |your )?(?:messages|prompt|input).{{0,80}}?length is {_TOKENS} while limit is {_LIMIT}",
    r"reduce (?:the length of )?(?:the |your )(?:messages|prompt|input)\b",
    # GitHub Models
    rf"request body too large for .{{1,80}}? model\. max size\W+{_LIMIT} tokens",
    # Databricks, Poolside, Volcengine
    rf"input length {_TOKENS} exceeds (?:the )?maximum allowed (?:token size|input length)(?: of)? {_LIMIT}",
    rf"exceeds (?:the )?maximum allowed (?:token size|input length)(?: of)? {_LIMIT}",
    r"exceeds? max message tokens",
    rf"prompt has {_TOKENS} tokens?, but the configured context size is {_LIMIT}",
    # MiniMax, Z.ai, OpenAI's Responses, and in general
    r"(?:exceeds?|exceeded|exceeding|over|beyond|overflows?|larger than|longer than|fit (?:in|into|within)) "
    r"(?:the |its |this )?(?:model(?:'?s)? |available |maximum |configured )*context[ _-]?(?:window|length|size|limit)",
    r"context[ _-]?(?:window|length|size|limit)[ _-]?(?:was |is |has been )?(?:exceed|overflow|too (?:long|large))",
    r"context (?:window|length) is \D{0,20}(?P<limit>\d[\d,.]*)k?\W.{0,40}?(?:requested|sent|got|given) (?P<tokens>\d[\d,.]*)",
    r"context overflow|context the overflows|maximum context length|model_max_prompt_tokens_exceeded",
    r"(?:prompt|input|conversation|message history|messages)(?: text| length)? (?:is |are |was )?(?:too (?:long|large)|exceeds?"
    r" (?:the )?(?:max(?:imum)?|model)(?: length| tokens| token limit| input length| number of (?:input )?tokens))",
    r"(?:input|prompt)[ _-]?tokens? (?:count )?(?:exceeds?|exceeded|over)\b|too many (?:input |prompt )?tokens",
    r"exceeds? (?:the )?max(?:imum)? (?:number of )?(?:input |prompt )tokens|input token count",
    r"\btoken limit (?:is |was )?exceeded|exceeds? (?:the )?token limit|tokens_limit_reached",
    r"输入(?:内容)?(?:的)?长度超|超(?:过|出)(?:了)?(?:模型)?(?:的)?(?:最大)?(?:上下文|输入长度)|上下文(?:长度)?(?:超|过长)|提示词过长",
)
_NOT = re.compile(
    r"per (?:minute|day|hour|second)|\b[TR]P[MD]\b|rate.?limit|quota|please wait|too many requests"
    r"|context window (?:is )?too small|minimum is|completion tokens, whereas|at most \d+ completion tokens",
    re.IGNORECASE,
)
"""Other limits that are counted in tokens."""


def overflow(message: str) -> Overflow | None:
    """The token counts in a message about a prompt that is too long; None for other messages."""
    text = message[:4000]
    if _NOT.search(text):
        return None
    for pattern in _patterns():
        if found := pattern.search(text):
            groups = {name: _number(value) for name, value in found.groupdict().items() if value}
            tokens = groups.get("tokens", groups.get("tokens2"))
            if "input" in groups:
                tokens = (groups["input"] or 0) + (groups.get("output") or 0)
            return Overflow(tokens, groups.get("limit"))
    return None


@cache
def _patterns() -> tuple[re.Pattern[str], ...]:
    """Compiled on first use: it takes longer than an import should."""
    return tuple(re.compile(wording, re.IGNORECASE | re.DOTALL) for wording in _WORDINGS)


def _number(text: str) -> int | None:
    digits = re.sub(r"[,.]", "", text)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else None
