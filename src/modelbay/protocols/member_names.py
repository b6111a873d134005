"""The members of requests that settings come from: clients read the names that they sent, not those of this program."""

from collections.abc import Mapping
from types import MappingProxyType

from modelbay.conversation import Conversation

_PROTOCOLS = ("openai_chat", "openai_responses", "anthropic", "google")
_MEMBERS: dict[str, tuple[str, str, str, str]] = {
    # setting, and its members in Chat Completions, Responses, Messages and Gemini; "": its name, or no member
    "max_output_tokens": (
        "max_completion_tokens max_tokens", "max_output_tokens", "max_tokens", "generationConfig.maxOutputTokens"
    ),
    "temperature": ("", "", "", "generationConfig.temperature"),
    "top_p": ("", "", "", "generationConfig.topP"),
    "top_k": ("", "", "", "generationConfig.topK"),
    "frequency_penalty": ("", "", "", "generationConfig.frequencyPenalty"),
    "presence_penalty": ("", "", "", "generationConfig.presencePenalty"),
    "seed": ("seed random_seed", "", "", "generationConfig.seed"),
    "stop": ("", "", "stop_sequences", "generationConfig.stopSequences"),
    "logprobs": ("", "include", "", "generationConfig.responseLogprobs"),
    "top_logprobs": ("", "", "", "generationConfig.logprobs"),
    "n": ("", "", "", "generationConfig.candidateCount"),
    "modalities": ("", "", "", "generationConfig.responseModalities"),
    "verbosity": ("", "text.verbosity", "", ""),
    "service_tier": ("", "", "", "serviceTier"),
    "metadata": ("", "", "", "labels"),
    "user": ("user safety_identifier", "user safety_identifier", "metadata.user_id", ""),
    "cache": ("", "", "cache_control", ""),
    "cache_key": ("prompt_cache_key", "prompt_cache_key", "", ""),
    "cache_retention": ("prompt_cache_retention", "prompt_cache_retention", "", ""),
    "output_format": (
        "response_format", "text.format", "output_config.format output_format",
        "generationConfig.responseMimeType generationConfig.responseJsonSchema generationConfig.responseSchema",
    ),
    "reasoning": (
        "reasoning_effort reasoning thinking thinking.effort enable_thinking", "reasoning",
        "thinking output_config.effort", "generationConfig.thinkingConfig",
    ),
    "reasoning.visibility": (
        "reasoning", "reasoning.summary", "thinking.display", "generationConfig.thinkingConfig.includeThoughts"
    ),
    "tool_choice": ("", "", "", "toolConfig.functionCallingConfig"),
    "tool_choice.parallel": (
        "parallel_tool_calls", "parallel_tool_calls", "tool_choice.disable_parallel_tool_use", ""
    ),
    "tools.strict": ("tools.function.strict", "", "", ""),
    # parts of messages
    "annotations": ("", "", "citations", ""),
    "cache_marks": ("cache_control", "cache_control", "cache_control", ""),
    "reasoning_state": ("reasoning_content", "reasoning", "thinking", "thoughtSignature"),
    "thinking": ("reasoning_content", "reasoning", "", "thought"),
    "tool_result.is_error": ("", "", "is_error", "functionResponse.response.error"),
}  # fmt: skip


_SETTINGS = [
    {name.rpartition(".")[2]: setting for setting, row in _MEMBERS.items() for name in row[index].split()}
    | {name: setting for setting, row in _MEMBERS.items() for name in row[index].split()}
    for index in range(len(_PROTOCOLS))
]
"""The settings of members, for each protocol. Warnings about Gemini's have no `generationConfig`."""


_OF_PASSED = ("max_output_tokens", "reasoning_state")
"""Settings in warnings about requests that are passed on; their other warnings are about members."""


def member(setting: str, protocol: str | None, spelling: Mapping[str, str] = MappingProxyType({})) -> str:
    """The name of a setting in a request of `protocol`, and its own name if that has no member for it, or in a call of a program.
    `spelling`: of the request's settings; it says which of several members the request has."""
    if setting not in _MEMBERS or protocol is None:
        return setting
    names = _MEMBERS[setting][_PROTOCOLS.index(protocol)].split() or [setting]
    if len(names) == 1:
        return names[0]
    return next((name for name in spelling.get(setting, "").split("+") if name in names), names[0])


def member_sent(setting: str, conversation: Conversation, upstream: str) -> str:
    """The name of a setting in the request of a conversation. `setting` may also be a member of requests in the protocol of the
    provider, `upstream`, as in lessons."""
    if setting not in _MEMBERS:
        setting = _SETTINGS[_PROTOCOLS.index(upstream)].get(setting, setting)
    return member(setting, conversation.protocol, conversation.settings.spelling)


def member_passed(name: str, protocol: str, body: bytes) -> str:
    """The name of a setting, or of a member, in a body that is passed on."""
    if name not in _OF_PASSED:
        return name
    names = _MEMBERS[name][_PROTOCOLS.index(protocol)].split()
    return next((one for one in names if b'"%s"' % one.encode() in body), names[0])
