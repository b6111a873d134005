"""Places at which a model replied, in a history that a client changed."""

import pytest

from modelbay.conversation import AnyPart, Media, Text, ToolCall, ToolResult, Turn, user
from modelbay.gateway.reasoning_places import runs_of

CALL = Turn("assistant", [ToolCall(name="wind", arguments="{}", id="1")])
PICTURE = Media(kind="image", data="AAAA")


def result(text: str, id: str = "1") -> ToolResult:
    return ToolResult(call_id=id, parts=[Text(text=text)])


def place_after(*parts: AnyPart) -> str:
    """The digest of a conversation that ends with these parts of the user's."""
    last = Turn("assistant", [Text(text="Yes.")])
    return [*runs_of([user("Is it windy?"), CALL, Turn("user", [*parts]), last])][-1].before


def test_results_that_a_client_sends_again_do_not_change_the_place_after_them() -> None:
    """Gemini CLI does that in a continued session, with the pictures of the results."""
    once = place_after(result("yes"), PICTURE)
    assert place_after(result("yes"), PICTURE, result("yes"), PICTURE) == once
    assert place_after(result("yes"), result("yes"), PICTURE) != once


@pytest.mark.parametrize(
    "parts",
    [
        (result("yes"), PICTURE, result("no"), PICTURE),
        (result("yes"), PICTURE, PICTURE),
        (result("yes"), PICTURE, result("yes", "2"), PICTURE),
    ],
    ids=["another result", "another picture", "a result of another call"],
)
def test_other_results_change_the_place_after_them(parts: tuple[AnyPart, ...]) -> None:
    assert place_after(*parts) != place_after(result("yes"), PICTURE)
