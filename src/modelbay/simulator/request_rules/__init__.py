"""Rules of real providers, checked before the brain sees a request. Error messages are those of the providers.

A rule raises the error. Paths in messages have the format of the provider, with indexes as in the request.
"""

from collections.abc import Callable

from modelbay.simulator.request_rules import (
    anthropic,
    everyone,
    fields,
    google,
    limits,
    names,
    openai_chat,
    openai_responses,
    parts,
    schemas,
)
from modelbay.simulator.request_rules.request import CheckedRequest

Rule = Callable[[CheckedRequest], None]

RULES: dict[str, tuple[Rule, ...]] = {
    "openai_chat": (
        everyone.limits_choices,
        limits.of_openai,
        openai_chat.spells_max_tokens,
        openai_chat.streams_with_its_options,
        openai_chat.counts_alternatives,
        parts.are_known,
        parts.images_are_the_users,
        names.of_openai,
        names.are_unique,
        openai_chat.answers_tool_calls,
        schemas.openai_accepts,
        openai_chat.says_json,
        openai_chat.finds_its_files,
        everyone.sees_its_media,
        openai_chat.gets_reasoning_back,
        everyone.fits_the_context,
    ),
    "openai_responses": (
        fields.are_known,
        limits.of_openai,
        openai_responses.wants_input,
        openai_responses.says_json,
        openai_responses.keeps_no_conversations,
        schemas.openai_accepts,
        parts.are_known,
        names.of_openai,
        names.are_unique,
        openai_responses.answers_function_calls,
        openai_responses.keeps_reasoning_items,
        everyone.sees_its_media,
        everyone.fits_the_context,
    ),
    "anthropic": (
        anthropic.names_its_version,
        fields.are_known,
        limits.of_anthropic,
        anthropic.wants_messages,
        anthropic.wants_max_tokens,
        anthropic.refuses_threads,
        parts.system_is_text,
        parts.are_known,
        anthropic.names_tools_well,
        names.are_unique,
        schemas.anthropic_accepts,
        anthropic.sets_few_cache_marks,
        anthropic.refuses_empty_text,
        anthropic.results_follow_calls,
        anthropic.balances_thinking,
        anthropic.keeps_thinking_signed,
        anthropic.thinks_before_calling,
        everyone.sees_its_media,
        everyone.fits_the_context,
    ),
    "google": (
        fields.are_known,
        everyone.limits_choices,
        parts.are_known,
        names.of_gemini,
        names.are_unique,
        schemas.google_accepts,
        google.takes_no_ids_at_vertex,
        google.responses_match_calls,
        google.keeps_thought_signatures,
        everyone.sees_its_media,
        everyone.fits_the_context,
    ),
}


def check(request: CheckedRequest) -> None:
    for rule in RULES[request.traits.protocol]:
        rule(request)


__all__ = ["RULES", "CheckedRequest", "check"]
