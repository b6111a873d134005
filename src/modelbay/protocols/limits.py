"""Limits of a target: from its dialect, or from the protocol's owner.

A request in the provider's own protocol is changed only if the dialect says that the provider rejects it; all other
limits are left to the client.
"""

from hashlib import sha256

from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Extra, Settings, Text, Turn
from modelbay.dialect import Dialect
from modelbay.events import Warned
from modelbay.model import Model
from modelbay.protocols.defaults import changes_nothing
from modelbay.protocols.dispositions import dropped
from modelbay.protocols.shapes import as_text

_USER_LENGTH = {"openai_chat": 64, "openai_responses": 64, "anthropic": 256}
_METADATA = 16, 64, 512
"""OpenAI's maximum number of entries, and maximum lengths of name and value."""


LEAST_BUDGET = 1024
"""Anthropic's minimum of thinking tokens."""


def output_limit(model: Model) -> int | None:
    """The maximum output tokens of a model; None if unknown."""
    output, context = model.max_output_tokens, model.max_context_tokens
    return min(output, context) if output and context else output or context or None


def reduced_budget(limit: int) -> int:
    """The thinking budget for a request whose maximum output tokens were reduced to `limit`, which must be above it."""
    return max(limit - LEAST_BUDGET, min(LEAST_BUDGET, limit - 1))


def within_output_limit(settings: Settings, model: Model) -> list[Warned]:
    """Reduce maximum output tokens in `settings` to the model's limit, and a thinking budget that was below them with
    them. Clients that do not know the limit ask for the whole context window."""
    limit, asked = output_limit(model), settings.max_output_tokens
    if limit is None or asked is None or asked <= limit:
        return []
    settings.max_output_tokens = limit
    if (
        (thinking := settings.reasoning) is not None
        and thinking.budget is not None
        and limit <= thinking.budget < asked
    ):
        settings.reasoning = replace(thinking, budget=reduced_budget(limit))
    return [output_clamped("max_output_tokens", asked, limit, model)]


def output_clamped(name: str, asked: float, limit: int, model: Model) -> Warned:
    """The warning about reduced maximum output tokens; `name` is the field's."""
    return Warned(f"{name} {as_text(asked)} is sent as {limit}, the maximum of {model.id}", "max_output_tokens")


def limited(
    conversation: Conversation, settings: Settings, protocol: str, model: Model, dialect: Dialect, report: list[Warned]
) -> Settings:
    """The settings within the limits of the target."""
    same = conversation.protocol == protocol
    if not same and (settings.max_output_tokens or 0) < 0:  # of llama.cpp and LM Studio: no limit
        settings = replace(settings, max_output_tokens=None)
    settings = _sampling(settings, protocol, model, dialect, report, same=same)
    length = dialect.user_length or (None if same else _USER_LENGTH.get(protocol))
    if length is not None and settings.user is not None and len(settings.user) > length:
        report.append(Warned(f"`user` is sent as a hash: {protocol} accepts {length} characters", "user"))
        settings = replace(settings, user=sha256(settings.user.encode()).hexdigest()[:length])
    if settings.metadata and not same and protocol == "openai_chat" and conversation.protocol and not dialect.metadata:
        report.append(dropped("metadata", protocol, "it describes a stored reply, and the provider stores none"))
        settings = replace(settings, metadata=None)
    if settings.metadata and not same and protocol.startswith("openai"):
        settings = replace(settings, metadata=_metadata(settings.metadata, protocol, report))
    return settings


def _sampling(
    settings: Settings, protocol: str, model: Model, dialect: Dialect, report: list[Warned], *, same: bool
) -> Settings:
    if model.can("temperature") is False and not same:
        for name in ("temperature", "top_p"):
            if getattr(settings, name) not in (None, 1):  # the default of models that accept no other value
                report.append(dropped(name, protocol, f"{model.id} does not accept it"))
                settings = replace(settings, **{name: None})
    both = dialect.temperature_with_top_p
    if both is None:  # one is enough, and Claude rejects both since 4.1
        both = same or protocol != "anthropic"
    wanted = settings.temperature
    if wanted is None:
        return settings
    if settings.top_p is not None and not both:
        if not changes_nothing("top_p", settings.top_p):
            report.append(dropped("top_p", protocol, "it cannot be set together with `temperature`"))
        settings = replace(settings, top_p=None)
    within = wanted
    if dialect.most_temperature is not None:
        within = min(within, dialect.most_temperature)
    if dialect.least_temperature is not None:
        within = max(within, dialect.least_temperature)
    if within != wanted:
        report.append(
            Warned(f"temperature {as_text(wanted)} is sent as {within:g}, the nearest that is accepted", "temperature")
        )
        settings = replace(settings, temperature=within)
    return settings


def _metadata(metadata: Extra, protocol: str, report: list[Warned]) -> Extra | None:
    count, name_length, value_length = _METADATA
    kept = {
        name: value
        for name, value in metadata.items()
        if isinstance(value, str) and len(name) <= name_length and len(value) <= value_length
    }
    kept = dict(list(kept.items())[:count])
    if lost := [name for name in metadata if name not in kept]:
        names = ", ".join(f"`{name[:name_length]}`" for name in lost)
        report.append(Warned(f"metadata {names} is not sent: {protocol} accepts {count} short strings", "metadata"))
    return kept or None


def without_system(turns: list[Turn], report: list[Warned]) -> list[Turn]:
    """The turns for a model that rejects system messages: those at the beginning are merged into the first user
    message, later ones become user messages."""
    if not any(_is_system(turn) for turn in turns):
        return turns
    report.append(Warned("the system prompt is sent as part of the user's message: the model does not accept one"))
    out: list[Turn] = []
    held: list[AnyPart] = []
    for turn in turns:
        if _is_system(turn) and not out:
            held += turn.parts
        elif _is_system(turn):
            out.append(Turn("user", turn.parts))
        elif held:
            out += [_headed(held, turn)] if turn.role == "user" else [Turn("user", held), turn]
            held = []
        else:
            out.append(turn)
    return [*out, Turn("user", held)] if held else out


def _is_system(turn: Turn) -> bool:
    return turn.role in ("system", "developer")


def _headed(head: list[AnyPart], turn: Turn) -> Turn:
    """The turn with the system prompt before it, in one text if both begin with text."""
    first = turn.parts[0] if turn.parts else None
    texts = [part.text for part in head if type(part) is Text]
    if type(first) is Text and len(texts) == len(head):
        text = replace(first, text="\n\n".join([*texts, first.text]))
        return replace(turn, parts=[text, *turn.parts[1:]])
    return replace(turn, parts=[*head, *turn.parts])
