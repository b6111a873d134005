"""The texts around the composer: model, usage, attached files and queued messages."""

from modelbay.catalog.summary import size
from modelbay.conversation import Media
from modelbay.errors import ModelbayError, UnknownModel
from modelbay.onboarding.choose_models import level
from modelbay.stored_chats.bill import dollars
from modelbay.tui.folded_pastes import drawn
from modelbay.tui.state import AppState

NAMED = 8
"""Maximum attached files listed. More would fill a small screen."""
QUEUED, WIDEST = 3, 300
"""Maximum queued messages shown, and maximum characters of each."""


def model_text(state: AppState) -> str:
    """The model of the next message, with its effort."""
    chat = state.chat
    try:
        model = state.hub.model(chat.model)
    except UnknownModel:
        return "no model · /model" if state.connected else "no provider · /provider"
    except ModelbayError as error:
        return error.message
    effort = chat.effort or level(state.config, model)
    words = (model.alias or f"{model.provider}/{model.id}") + (f" · {effort}" if effort else "")
    return f"{words} · private" if chat.private else words


def usage_text(state: AppState) -> str:
    """Tokens, cost and the use of the context window."""
    chat = state.chat
    if not chat.usage.total:
        return "/help"
    words = [f"{size(chat.usage.input_total) or 0} in · {size(chat.usage.output_total) or 0} out"]
    if (cost := chat.known_cost) is not None:
        words.append(dollars(cost))
    model = state.model
    if model and model.max_context_tokens and chat.context:
        share = chat.context / model.max_context_tokens
        words.append(f"{share:.0%} of {size(model.max_context_tokens)}")
    return " · ".join(words)


def files_text(files: list[Media]) -> str:
    """The files that the next message has; "" if there are none."""
    names = "  ".join(f"⊕ {file.name or file.url or file.kind}" for file in files[:NAMED])
    if len(files) > NAMED:
        names += f"  … {len(files) - NAMED:,} more"
    return f"{names}   (/file removes all)" if names else ""


def queue_text(messages: list[str], *, held: bool) -> str:
    """The messages that are sent after the current answer. `held`: they wait for Enter."""
    head = "not sent · Enter on an empty line sends the next" if held else "queued"
    lines = [" ".join(drawn(message[:WIDEST]).split()) for message in messages[:QUEUED]]
    more = len(messages) - len(lines)
    lines += [f"… and {more} more"] * bool(more)
    return "\n".join([f"{len(messages)} {head} · ↑ edits the last", *lines])
