"""Whether a model accepts what a conversation contains, as far as its facts say."""

from shlex import quote

from modelbay.conversation import Conversation, Media, ToolResult
from modelbay.errors import Unsupported
from modelbay.events import Warned
from modelbay.model import Capability, Model

_NEEDS: dict[str, tuple[str, Capability]] = {
    "image": ("images", "image_in"),
    "audio": ("audio", "audio_in"),
    "video": ("video", "video_in"),
}
"""By the kind of a part: what it is called in messages, and the capability that it needs."""


def check_input(conversation: Conversation, model: Model, media: list[Media]) -> list[Warned]:
    """Reject input that the model is known not to accept. Input that it may accept is sent with a warning. `media` are those
    of the conversation.

    Raises:
        Unsupported: the model does not accept it.
    """
    tools = conversation.settings.tools or []
    if not media and not tools:  # most requests of scripts
        return []
    warnings: list[Warned] = []
    kinds = {part.kind for part in media}
    needs = [_NEEDS[kind] for kind in sorted(kinds) if kind in _NEEDS]
    if tools:
        needs.append(("tools", "tool_use"))
    if any(tool.kind == "vendor" and (tool.native or "").startswith("computer") for tool in tools):
        needs.append(("computer tools", "computer_use"))
    if _has_documents(media) and model.sources.get("document_in") == "config":
        # lists are not reliable here: most hosts convert documents for a model
        needs.append(("documents", "document_in"))
    for what, capability in needs:
        if model.can(capability) is False:
            raise Unsupported(
                f"{model.alias or model.id} does not accept {what} ({capability} = false)",
                setting=capability,
                hint=f"choose another model, or correct the setting: modelbay model set {quote(model.alias)} {capability}=yes",
            )
        if model.can(capability) is None and capability not in ("tool_use", "computer_use"):
            warnings.append(Warned(f"unknown whether {model.alias or model.id} accepts {what}"))
    return warnings


def _has_documents(media: list[Media]) -> bool:
    """Whether there are documents other than plain text."""
    return any(part.kind == "document" and part.text is None and part.parts is None for part in media)


def media_of(conversation: Conversation) -> list[Media]:
    """All media, including those in tool results."""
    found: list[Media] = []
    for turn in conversation.turns:
        for part in turn.parts:
            if type(part) is Media:
                found.append(part)
            elif type(part) is ToolResult:
                found += [inner for inner in part.parts if type(inner) is Media]
    return found
