"""The top-level fields of a request. Providers refuse unknown ones, except in APIs compatible with Chat Completions."""

from modelbay.protocols.codec import Call
from modelbay.simulator.error_messages import bad_request
from modelbay.simulator.request_rules.request import CheckedRequest, refuse
from modelbay.simulator.traits import ProtocolTraits

_KNOWN: dict[str, str] = {
    "anthropic": """
        anthropic_beta anthropic_version betas billing_policy cache_control compaction container context_management
        diagnostics fallback_credit_token fallbacks inference_geo max_tokens mcp_servers messages metadata model
        output_config output_format safeguards service_tier speed stop_sequences stream system temperature thinking
        thread tool_choice tools top_k top_p user_profile_id workspace_id
    """,
    "openai_responses": """
        access_programs background client_metadata context_management conversation image include input instructions
        max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls previous_response_id prompt
        prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier service_tier store
        stream stream_options temperature text tool_choice tools top_logprobs top_p truncation user
    """,
    "google": """
        cached_content contents generation_config labels model model_armor_config safety_settings service_tier store
        system_instruction tool_config tools
    """,
}
_COUNTED: dict[str, str] = {
    "anthropic": """
        anthropic_beta anthropic_version betas cache_control context_management mcp_servers messages model output_config
        output_format speed system thinking tool_choice tools
    """,
    "openai_responses": """
        conversation input instructions model parallel_tool_calls previous_response_id reasoning text tool_choice tools
        truncation
    """,
    "google": "contents generate_content_request",
    "vertexai": "contents generation_config instances model system_instruction tools",
}
"""The fields of a request for a token count. llama.cpp's server, whose path Chat Completions has, accepts all."""
_CONFIG = """
    audio_timestamp audio_transcription_config candidate_count enable_affective_dialog enable_enhanced_civic_answers
    frequency_penalty image_config logprobs max_output_tokens media_resolution model_selection_config presence_penalty
    response_format response_json_schema response_logprobs response_mime_type response_modalities response_schema
    routing_config seed speech_config stop_sequences temperature thinking_config top_k top_p translation_config
"""
"""Gemini's `generationConfig`."""
_MESSAGES = {
    "anthropic": "{name}: Extra inputs are not permitted",
    "openai_responses": "Unknown parameter: '{name}'.",
    "google": 'Invalid JSON payload received. Unknown name "{name}"{place}: Cannot find field.',
}


def _normalized(name: str) -> str:
    """A field name without its case style: Gemini accepts camel case and snake case."""
    return name.replace("_", "").lower()


_FIELDS = {protocol: frozenset(_normalized(name) for name in names.split()) for protocol, names in _KNOWN.items()}
_CONFIG_FIELDS = frozenset(_normalized(name) for name in _CONFIG.split())


def are_counted(call: Call, traits: ProtocolTraits) -> None:
    """Refuse fields that the endpoint for token counts does not have."""
    protocol = traits.protocol
    api = "vertexai" if protocol == "google" and "/publishers/" in call.path else protocol
    if (fields := _COUNTED.get(api)) is None:
        return
    known = {_normalized(name) for name in fields.split()}
    if name := next((name for name in call.body if _normalized(name) not in known), None):
        raise bad_request(protocol, _MESSAGES[protocol].format(name=name, place=""), param=name)


def are_known(request: CheckedRequest) -> None:
    body, protocol = request.call.body, request.traits.protocol
    unknown = [(name, "") for name in body if _normalized(name) not in _FIELDS[protocol]]
    config = body.get("generationConfig", body.get("generation_config"))
    if protocol == "google" and isinstance(config, dict):
        unknown += [(name, " at 'generation_config'") for name in config if _normalized(name) not in _CONFIG_FIELDS]
    for name, place in unknown:
        code = "unknown_parameter" if protocol == "openai_responses" else None
        refuse(request, _MESSAGES[protocol].format(name=name, place=place), name if code else None, code)
