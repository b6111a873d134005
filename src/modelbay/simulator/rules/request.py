"""A request as the rules see it."""

from collections.abc import Collection, Iterator

from msgspec import Struct
from msgspec.structs import replace

from modelbay.conversation import AnyPart, Conversation, Text, Turn
from modelbay.protocols.codec import Call
from modelbay.simulator.complaints import bad_request
from modelbay.simulator.manners import Manners
from modelbay.simulator.models import Facts
from modelbay.simulator.signatures import SECRET, Prefix

_BESIDE = ("system", "instructions", "systemInstruction", "system_instruction")
"""The `native` of turns that do not stand among the messages."""


class Request(Struct):
    conversation: Conversation
    facts: Facts
    manners: Manners
    call: Call
    """As it came."""
    files: Collection[str] = ()
    """The ids of the files that were uploaded."""
    secret: bytes = SECRET

    @property
    def messages(self) -> list[tuple[int, Turn]]:
        """The turns with their index among the messages; what stood beside them (`system`, `instructions`) is not one."""
        inside = [turn for turn in self.conversation.turns if turn.native not in _BESIDE]
        return list(enumerate(inside))

    def joined(self) -> list[tuple[int, Turn]]:
        """The messages, those of one role that follow each other as one, as Anthropic and Gemini read them."""
        found: list[tuple[int, Turn]] = []
        for index, turn in self.messages:
            own = turn.role == "assistant"
            if found and (found[-1][1].role == "assistant") is own:
                found[-1] = (found[-1][0], replace(found[-1][1], parts=[*found[-1][1].parts, *turn.parts]))
            else:
                found.append((index, turn))
        return found

    def signed(self) -> Iterator[tuple[int, int, AnyPart, Prefix]]:
        """Every part of the model's own turns, with its place and what was said before it."""
        prefix = Prefix(self.manners.protocol, self.secret)
        for index, turn in self.messages:
            if turn.role != "assistant":
                prefix.add_turn(turn)
                continue
            for place, part in enumerate(turn.parts):
                if type(part) is Text:  # its signature signs what was said up to its end
                    prefix.add("assistant", part)
                    yield index, place, part, prefix
                    continue
                yield index, place, part, prefix
                prefix.add("assistant", part)


def refuse(request: Request, message: str, param: str | None = None, code: str | None = None) -> None:
    raise bad_request(request.manners.protocol, message, param=param, code=code)
