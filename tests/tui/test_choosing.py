"""Choosing a model and how much it thinks."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.tui.sitting import Sitting, sitting


def written(person: Sitting) -> dict[str, object]:
    return tomllib.loads(person.config)


async def test_a_model_is_found_by_a_few_letters_and_kept_as_the_default(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("Select a model", "thinker", "← current", "1k context", "$3 in, $15 out")
        await person.types("plin")
        await person.sees_no("sonnet")
        await person.presses("enter")
        await person.sees("Default model set to plain")
        assert written(person)["default_model"] == "plain"
        assert "# the one for hard questions" in person.config
        await person.says("Hello")
        await person.sees("You asked: Hello")


async def test_each_provider_has_a_tab(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("All", "sim", "claude")
        await person.presses("tab")
        await person.sees_no("sonnet")
        await person.presses("tab")
        await person.sees_no("plain")
        await person.sees("sonnet")
        await person.presses("shift+tab", "shift+tab")
        await person.sees("plain", "sonnet")


async def test_the_arrows_change_how_much_it_thinks(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("Off", "Low", "[ Medium ]", "High")
        await person.presses("left")
        await person.sees("[ Low ]")
        await person.presses("enter")
        await person.sees("Default model set to thinker with thinking low")
        assert written(person)["thinking"] == {"enabled": True, "effort": "low"}


async def test_the_most_thinking_is_for_the_session_only(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("[ Medium ]")
        await person.presses("right", "enter")
        await person.sees("with thinking high")
        assert written(person)["thinking"] == {"enabled": True}
        await person.sees("thinker · high")


async def test_a_choice_for_the_session_leaves_the_file_alone(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("← current")
        await person.presses("down", "alt+s")
        await person.sees("For this session: plain")
        assert person.config == configured


async def test_esc_empties_the_search_and_then_closes(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("← current")
        await person.types("son")
        await person.sees_no("plain")
        await person.presses("escape")
        await person.sees("plain")
        await person.presses("escape")
        await person.sees_no("Select a model")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("/model plain", "For this session: plain"),
        ("/model nobody", "Unknown model alias: nobody"),
        ("/effort low", "Thinking: low"),
        ("/effort lots", 'unknown effort "lots"'),
        ("/effort max", "the effort `max` is sent as `high`: thinker has low, medium, high"),
        ("/effort High", "Thinking: high"),
    ],
)
async def test_what_is_named_behind_a_command_is_taken_at_once(home: Path, configured: str, said: str, answer: str):
    async with sitting(configured, home=home) as person:
        await person.says(said)
        await person.sees(answer)


async def test_an_effort_of_which_it_is_not_known_whether_the_model_has_it_is_sent(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model plain")
        await person.says("/effort max")
        await person.sees("unknown whether plain has the effort `max`; it is sent unchanged")


async def test_a_model_that_is_not_known_to_think_says_so(home: Path, configured: str):
    config = configured.replace('model = "sim-text"', 'model = "strange-1"')
    async with sitting(config, home=home) as person:
        await person.says("/model plain")
        await person.says("/effort")
        await person.sees("plain is not known to think")


async def test_changing_the_model_in_the_middle_says_what_it_costs(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("Hello")
        await person.sees("You asked: Hello")
        await person.says("/model")
        await person.sees("switching loses the prompt cache; /new avoids it")


async def test_without_a_model_the_app_says_what_to_do(home: Path):
    async with sitting('[providers.acme]\ntype = "openai"\napi_key = "k"\n', home=home) as person:
        await person.presses("escape")
        await person.says("/model")
        await person.sees("/login signs in to a platform, /provider adds one")


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("/model", ["Esc cancel", "Enter sets the default"]),
        ("/provider", ["Esc close", "D delete"]),
        ("/effort", ["Esc cancel"]),
        ("/login", ["Esc cancel"]),
        ("/logout", ["Esc cancel"]),
        ("/help", ["Esc close"]),
    ],
)
async def test_the_keys_of_a_dialog_are_seen_in_a_small_terminal(
    home: Path, configured: str, command: str, keys: list[str]
):
    async with sitting(configured, home=home, size=(40, 12)) as person:
        await person.says(command)
        screen = await person.sees("╰")
        shown = " ".join(re.sub(r"[│╭╮╰╯─]", " ", screen).split())
        for words in keys:
            assert words in shown, screen
