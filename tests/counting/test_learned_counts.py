"""Counts of input tokens that are learned from the usage in replies: of a conversation, of an agent's prompt, of a model."""

from pathlib import Path

import pytest

from modelbay.calling.target import Target
from modelbay.conversation import Conversation, Media, Settings, Text, Tool, Turn, user
from modelbay.counting import learned_counts
from modelbay.counting.learned_counts import LearnedCounts
from modelbay.storage.state_table import StateTable
from tests.gateway.targets import target_of

TARGET = target_of("openai_chat", "gpt-4o", family="gpt")
SYSTEM = Turn("system", [Text(text="You answer questions about tides. " * 30)])
TOOL = Tool(name="tide", description="The tide of a day.", schema={"type": "object", "properties": {"day": {}}})
HIDDEN = 1500
"""Tokens of a prompt that the provider adds."""


def asked(*texts: str, system: Turn = SYSTEM, tools: bool = True) -> Conversation:
    turns = [user(text) if index % 2 == 0 else Turn("assistant", [Text(text=text)]) for index, text in enumerate(texts)]
    return Conversation([system, *turns], Settings(tools=[TOOL] if tools else None))


def counted(conversation: Conversation, target: Target = TARGET) -> int:
    """The provider's count."""
    return LearnedCounts(None).expect(target, conversation).tokens + HIDDEN


def learn(
    counts: LearnedCounts, conversation: Conversation, tokens: int | None = None, target: Target = TARGET
) -> None:
    counts.learn(target, counts.expect(target, conversation), tokens or counted(conversation, target))


def test_the_count_of_the_same_request_is_exact() -> None:
    counts = LearnedCounts(None)
    learn(counts, asked("The tide?"))
    assert counts.expect(TARGET, asked("The tide?")).tokens == counted(asked("The tide?"))


def test_only_the_new_part_of_a_conversation_is_estimated() -> None:
    counts, long = LearnedCounts(None), "Low water is at noon. " * 400
    learn(counts, asked(long), 5000)
    added = asked(long, "Yes.", "And tomorrow?")
    assert 5000 < counts.expect(TARGET, added).tokens < 5040


def test_another_conversation_of_an_agent_has_its_prompt_and_the_provider_s() -> None:
    counts = LearnedCounts(None)
    learn(counts, asked("The tide?"))
    other = asked("Is it high water in Hamburg today?")
    assert counts.expect(TARGET, other).tokens == pytest.approx(counted(other), rel=0.01)


def test_a_system_prompt_that_changes_with_each_request_is_the_same_agent() -> None:
    """Claude Code writes a checksum of the request into it."""
    first, second = (Turn("system", [Text(text=f"checksum={number}\n{SYSTEM.text}")]) for number in (1, 2))
    for texts in (["The tide?"], ["Is it high water in Hamburg today?"]):
        counts = LearnedCounts(None)
        learn(counts, asked("The tide?", system=first))
        other = asked(*texts, system=second)
        assert counts.expect(TARGET, other).tokens == pytest.approx(counted(other), rel=0.01)


def test_agents_without_tools_are_known_by_their_system_prompt() -> None:
    counts = LearnedCounts(None)
    learn(counts, asked("The tide?", tools=False))
    same = asked("Is it high water in Hamburg today?", tools=False)
    assert counts.expect(TARGET, same).tokens == pytest.approx(counted(same), rel=0.01)
    other = asked("Is it high water?", system=Turn("system", [Text(text="You are a pilot.")]), tools=False)
    assert counts.expect(TARGET, other).tokens < counted(other) - HIDDEN / 2


def test_a_long_conversation_does_not_spoil_the_count_of_a_short_one() -> None:
    counts = LearnedCounts(None)
    learn(counts, asked("The tide?"))
    learn(counts, asked("Read this. " + "Low water is at noon. " * 4000))
    other = asked("Is it high water in Hamburg today?")
    assert counts.expect(TARGET, other).tokens == pytest.approx(counted(other), rel=0.03)


def agent(number: int, text: str = "Which tide?") -> Conversation:
    """A request of an agent that is similar to no other one."""
    return asked(f"{number}. {text}", system=Turn("system", [Text(text=f"You are agent {number}.")]), tools=False)


def test_the_factors_of_a_model_are_learned() -> None:
    """Its tokenizer makes a fifth more tokens than the family's."""
    counts = LearnedCounts(None)
    requests = [agent(count, "Low water is at noon, and high water is at six. " * count) for count in range(10, 60, 5)]
    for conversation in requests[:-1]:
        learn(counts, conversation, round(1.2 * (counted(conversation) - HIDDEN)))
    found = counts.expect(TARGET, requests[-1])
    assert found.tokens == pytest.approx(1.2 * (counted(requests[-1]) - HIDDEN), rel=0.03)


@pytest.mark.parametrize("surprise", [5, 90_000])
def test_a_single_surprising_count_changes_little_for_other_requests(surprise: int) -> None:
    counts = LearnedCounts(None)
    requests = [agent(number, "Low water? " * 40) for number in range(6)]
    for conversation in requests[:4]:
        learn(counts, conversation, counted(conversation) - HIDDEN)
    learn(counts, requests[4], surprise)
    assert counts.expect(TARGET, requests[5]).tokens == pytest.approx(counted(requests[5]) - HIDDEN, rel=0.1)


def test_media_and_the_provider_s_own_tools_do_not_change_factors() -> None:
    image = Conversation([user("See", Media(kind="image", url="https://example.com/sea.png"))])
    search = Conversation([user("Search")], Settings(tools=[Tool(kind="vendor", name="search", native="search")]))
    for conversation in (image, search):
        counts = LearnedCounts(None)
        learn(counts, conversation, 20_000)
        assert counts.expect(TARGET, conversation).tokens == 20_000
        assert counts.expect(TARGET, asked("The tide?")).tokens == counted(asked("The tide?")) - HIDDEN


def test_counts_belong_to_a_model_of_a_provider() -> None:
    counts = LearnedCounts(None)
    learn(counts, asked("The tide?"))
    for other in (
        target_of("openai_chat", "gpt-4o-mini", family="gpt"),
        target_of("openai_responses", "gpt-4o", family="gpt"),
    ):
        assert counts.expect(other, asked("The tide?")).tokens == counted(asked("The tide?"), other) - HIDDEN


def test_old_requests_are_dropped_before_new_ones() -> None:
    counts = LearnedCounts(None)
    for number in range(100):
        learn(counts, agent(number))
    assert counts.expect(TARGET, agent(99)).tokens == counted(agent(99))
    assert counts.expect(TARGET, agent(0)).tokens != counted(agent(0))


def test_counts_survive_a_restart(tmp_path: Path) -> None:
    def opened() -> LearnedCounts:
        return LearnedCounts(StateTable(tmp_path / "gateway.sqlite", days=30, max_bytes=1_000_000))

    learn(opened(), asked("The tide?"))
    assert opened().expect(TARGET, asked("The tide?")).tokens == counted(asked("The tide?"))
    (tmp_path / "gateway.sqlite").write_bytes(b"damaged")
    assert opened().expect(TARGET, asked("The tide?")).tokens == counted(asked("The tide?")) - HIDDEN
    learn(opened(), asked("The tide?"))


def test_processes_learn_from_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gateway has several workers, and a client's requests go to any of them."""
    monkeypatch.setattr(learned_counts, "_SAVE", 0.0)
    first, second = (
        LearnedCounts(StateTable(tmp_path / "gateway.sqlite", days=30, max_bytes=1_000_000)) for _ in range(2)
    )
    second.expect(TARGET, agent(99))  # it has read the file before there was anything in it
    for number in range(6):
        conversation = agent(number, "Low water is at noon, and high water is at six. " * (10 + number))
        learn(first, conversation, round(1.2 * (counted(conversation) - HIDDEN)))
    learn(second, agent(7), round(1.2 * (counted(agent(7)) - HIDDEN)))
    assert second.expect(TARGET, agent(3, "Low water is at noon, and high water is at six. " * 13)).tokens == round(
        1.2 * (counted(agent(3, "Low water is at noon, and high water is at six. " * 13)) - HIDDEN)
    )
    other = agent(50, "High water is at six, and low water is at noon. " * 40)
    assert second.expect(TARGET, other).tokens == pytest.approx(1.2 * (counted(other) - HIDDEN), rel=0.05)
    learn(first, agent(8), counted(agent(8)))
    assert first.expect(TARGET, agent(7)).tokens == round(1.2 * (counted(agent(7)) - HIDDEN))


def test_a_request_of_another_process_is_learned_from_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned_counts, "_SAVE", 0.0)
    first, second = (
        LearnedCounts(StateTable(tmp_path / "gateway.sqlite", days=30, max_bytes=1_000_000)) for _ in range(2)
    )
    adopted: list[int] = []
    adopt = learned_counts.ModelCounts.adopt

    def noted(self: learned_counts.ModelCounts, others: dict[str, learned_counts.Counted]) -> None:
        adopted.append(len(others))
        adopt(self, others)

    monkeypatch.setattr(learned_counts.ModelCounts, "adopt", noted)
    for _ in range(3):
        learn(first, agent(1))
        learn(second, agent(2))
    assert adopted == [0, 2, 0, 0, 0], "the second began with the requests of the first"
