"""Requests that every provider refuses."""

from modelbay.conversation import Media
from modelbay.simulator.error_messages import overflow
from modelbay.simulator.request_rules.request import CheckedRequest, refuse
from modelbay.simulator.token_counts import prompt_tokens


def fits_the_context(request: CheckedRequest) -> None:
    count = prompt_tokens(request.conversation)
    if count > request.facts.context:
        raise overflow(request.traits.protocol, count, request.facts.context)


_CHOICES = {"openai_chat": 128, "google": 8}


def limits_choices(request: CheckedRequest) -> None:
    count, most = request.conversation.settings.n, _CHOICES[request.traits.protocol]
    if count is not None and not 1 <= count <= most:
        refuse(request, f"Invalid 'n': must be between 1 and {most}, but is {count}.", "n", "invalid_value")


_UNSEEN = {
    "openai_chat": "Invalid content type. {}_url is only supported by certain models.",
    "openai_responses": "Invalid value: 'input_{}'. This model does not support {} input.",
    "anthropic": "This model does not support {} input.",
    "google": "{} input modality is not enabled for this model",
}


def sees_its_media(request: CheckedRequest) -> None:
    for _, turn in request.messages:
        for part in turn.parts:
            if type(part) is Media and not request.facts.can(f"{part.kind}_in"):  # type: ignore[arg-type]
                refuse(request, _UNSEEN[request.traits.protocol].format(part.kind, part.kind))
