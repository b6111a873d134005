"""modelbay: connect a model provider once; use it from the terminal, from Python, and from every agent and SDK."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelbay import errors as errors
    from modelbay import sync as sync
    from modelbay import testing as testing
    from modelbay.conversation import (
        Annotation,
        AnyPart,
        Conversation,
        Media,
        OutputFormat,
        Provenance,
        Reasoning,
        Refusal,
        ServerToolCall,
        ServerToolResult,
        Settings,
        Text,
        Thinking,
        Tool,
        ToolCall,
        ToolChoice,
        ToolResult,
        Turn,
        UnknownPart,
        user,
    )
    from modelbay.counting.provider_count import TokenCount
    from modelbay.default_hub import chat, complete, count, embed, load_chat, run, stream
    from modelbay.embedding import Embeddings
    from modelbay.errors import ModelbayError
    from modelbay.events import (
        Event,
        Failed,
        Finished,
        PartAnnotated,
        PartDelta,
        PartEnded,
        PartStarted,
        Reply,
        Started,
        UsageReported,
        Warned,
        collect,
    )
    from modelbay.hub import Hub
    from modelbay.library.chat import Chat
    from modelbay.library.part_state import state_of, with_state
    from modelbay.library.prompt import Ask, Prompt
    from modelbay.library.provider_settings import ProviderSettings
    from modelbay.library.reply_stream import ReplyStream
    from modelbay.library.tool_run import RunEvent, ToolRan, ToolRun
    from modelbay.model import Capability, Cost, Model
    from modelbay.usage import Usage

__version__ = "0.1.0"
__all__ = [
    "Annotation",
    "AnyPart",
    "Ask",
    "Capability",
    "Chat",
    "Conversation",
    "Cost",
    "Embeddings",
    "Event",
    "Failed",
    "Finished",
    "Hub",
    "Media",
    "Model",
    "ModelbayError",
    "OutputFormat",
    "PartAnnotated",
    "PartDelta",
    "PartEnded",
    "PartStarted",
    "Prompt",
    "Provenance",
    "ProviderSettings",
    "Reasoning",
    "Refusal",
    "Reply",
    "ReplyStream",
    "RunEvent",
    "ServerToolCall",
    "ServerToolResult",
    "Settings",
    "Started",
    "Text",
    "Thinking",
    "TokenCount",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "ToolRan",
    "ToolResult",
    "ToolRun",
    "Turn",
    "UnknownPart",
    "Usage",
    "UsageReported",
    "Warned",
    "__version__",
    "chat",
    "collect",
    "complete",
    "count",
    "embed",
    "load_chat",
    "run",
    "state_of",
    "stream",
    "user",
    "with_state",
]

_HOMES = {
    "conversation": "Annotation AnyPart Conversation Media OutputFormat Provenance Reasoning Refusal ServerToolCall "
    "ServerToolResult Settings Text Thinking Tool ToolCall ToolChoice ToolResult Turn UnknownPart user",
    "counting.provider_count": "TokenCount",
    "default_hub": "chat complete count embed load_chat run stream",
    "embedding": "Embeddings",
    "errors": "ModelbayError",
    "events": "Event Failed Finished PartAnnotated PartDelta PartEnded PartStarted Reply Started UsageReported Warned "
    "collect",
    "hub": "Hub",
    "model": "Capability Cost Model",
    "library.chat": "Chat",
    "library.part_state": "state_of with_state",
    "library.prompt": "Ask Prompt",
    "library.provider_settings": "ProviderSettings",
    "library.reply_stream": "ReplyStream",
    "library.tool_run": "RunEvent ToolRan ToolRun",
    "usage": "Usage",
}
"""Where each name lives; its module is imported when the name is first asked for, so that `import modelbay` is quick."""


_MODULES = ("errors", "sync", "testing")
"""Modules that need no import of their own: `except modelbay.errors.RateLimited`."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"modelbay.{name}")
    for module, names in _HOMES.items():
        if name in names.split():
            return getattr(import_module(f"modelbay.{module}"), name)
    raise AttributeError(f"module 'modelbay' has no attribute {name!r}{_meant(name)}")


def _meant(name: str) -> str:
    """The most similar name, for an unknown one."""
    from difflib import get_close_matches

    from modelbay.other_names import ERRORS, MODULE

    if name.startswith("__"):
        return ""  # Python and its tools look for such names in every module
    if name in MODULE or name in ERRORS:
        return f": did you mean modelbay.{MODULE.get(name) or f'errors.{ERRORS[name]}'}?"
    known = [*__all__, *_MODULES, *(f"errors.{one}" for one in import_module("modelbay.errors").__all__)]
    folded = {one.rpartition(".")[2].lower(): one for one in reversed(known)}
    near = get_close_matches(name.lower(), folded, 1, 0.7)
    return f": did you mean modelbay.{folded[near[0]]}?" if near else ""


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
