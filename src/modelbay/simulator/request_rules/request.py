"""A request as the rules check it."""

from collections.abc import Callable, Collection, Iterator

from msgspec import Struct
from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Text, Turn
from modelbay.protocols.codec import Call
from modelbay.simulator.error_messages import bad_request
from modelbay.simulator.signatures import SECRET, Prefix
from modelbay.simulator.simulated_models import SimulatedModel
from modelbay.simulator.traits import ProtocolTraits

_NOT_MESSAGES = ("system", "instructions", "systemInstruction", "system_instruction")
"""The `native` of turns that are not in the list of messages."""


class CheckedRequest(Struct):
    conversation: Conversation
    facts: SimulatedModel
    traits: ProtocolTraits
    call: Call
    """The raw request."""
    files: Collection[str] = ()
    """The IDs of uploaded files."""
    secret: bytes = SECRET
    has_reasoning: Callable[[str], bool] = lambda id: False
    """Whether an item with the model's reasoning is stored, by its ID."""

    @property
    def messages(self) -> list[tuple[int, Turn]]:
        """The turns in the list of messages, with their index; without `system` and `instructions`."""
        inside = [turn for turn in self.conversation.turns if turn.native not in _NOT_MESSAGES]
        return list(enumerate(inside))

    def joined(self) -> list[tuple[int, Turn]]:
        """The messages with consecutive ones of one role joined, as Anthropic and Gemini read them."""
        found: list[tuple[int, Turn]] = []
        for index, turn in self.messages:
            own = turn.role == "assistant"
            if found and (found[-1][1].role == "assistant") is own:
                found[-1] = (found[-1][0], replace(found[-1][1], parts=[*found[-1][1].parts, *turn.parts]))
            else:
                found.append((index, turn))
        return found

    def signed(self) -> Iterator[tuple[int, int, AnyPart, Prefix]]:
        """Every part of the model's turns, with its position and the conversation before it."""
        prefix = Prefix(self.traits.protocol, self.secret)
        for index, turn in self.messages:
            if turn.role != "assistant":
                prefix.add_turn(turn)
                continue
            for place, part in enumerate(turn.parts):
                if type(part) is Text:  # the signature of a text includes the text
                    prefix.add("assistant", part)
                    yield index, place, part, prefix
                    continue
                yield index, place, part, prefix
                prefix.add("assistant", part)


def refuse(request: CheckedRequest, message: str, param: str | None = None, code: str | None = None) -> None:
    raise bad_request(request.traits.protocol, message, param=param, code=code)
