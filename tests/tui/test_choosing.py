"""Choosing a model and its reasoning effort."""

import asyncio
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from textual import events

from modelbay.model import Model
from modelbay.onboarding import choose_models
from modelbay.tui.dialogs.model_checklist import ModelChecklist
from modelbay.tui.widgets.virtual_list import MEASURED, ListRow, VirtualList
from tests.tui.sitting import Sitting, sitting


def written(person: Sitting) -> dict[str, object]:
    return tomllib.loads(person.config)


async def test_the_app_takes_no_change_of_its_own_for_one_of_another_program(
    home: Path, configured: str, monkeypatch: pytest.MonkeyPatch
):
    write = choose_models.write

    async with sitting(configured, home=home) as person:
        said: list[str] = []
        loop, show = asyncio.get_running_loop(), person.app.state.say

        def say(words: str) -> None:
            said.append(words)
            show(words)

        def slowly(*arguments: Any) -> None:
            write(*arguments)
            asyncio.run_coroutine_threadsafe(person.app._watch(), loop).result()

        monkeypatch.setattr(person.app.state, "say", say)
        monkeypatch.setattr(choose_models, "write", slowly)
        await person.says("/model")
        await person.sees("Select a model")
        await person.types("plin")
        await person.sees_no("sonnet")
        await person.presses("enter")
        await person.sees("Default model set to plain")
        assert said == ["Default model set to plain"]


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
        await person.sees("Default model set to thinker, reasoning effort low")
        assert written(person)["thinking"] == {"enabled": True, "effort": "low"}


async def test_the_most_thinking_is_for_the_session_only(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("[ Medium ]")
        await person.presses("right", "enter")
        await person.sees("reasoning effort high")
        assert written(person)["thinking"] == {"enabled": True}
        await person.sees("thinker · high")


async def test_a_choice_for_the_session_leaves_the_file_alone(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("← current")
        await person.presses("down", "alt+s")
        await person.sees("Model for this session: plain")
        assert person.config == configured


async def test_esc_empties_the_search_and_then_closes(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("← current")
        await person.sees("Esc cancel")
        await person.types("son")
        await person.sees_no("plain")
        await person.sees("Esc clear search")
        await person.presses("escape")
        await person.sees("plain", "Esc cancel")
        await person.presses("escape")
        await person.sees_no("Select a model")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("/model plain", "Model for this session: plain"),
        ("/model nobody", "Unknown model alias: nobody"),
        ("/effort low", "Reasoning effort: low"),
        ("/effort lots", 'unknown effort "lots"'),
        ("/effort max", "the effort `max` is sent as `high`: thinker has low, medium, high"),
        ("/effort High", "Reasoning effort: high"),
    ],
)
async def test_an_argument_of_a_command_is_used_at_once(home: Path, configured: str, said: str, answer: str):
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
        await person.sees("No reasoning effort levels are known for plain")


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
        await person.sees("No models in config.toml. Type /model PROVIDER/MODEL_ID")


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("/model", ["Esc cancel", "Enter set as default"]),
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


async def test_models_that_were_used_are_listed_first_the_last_one_on_top(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        for alias in ("sonnet", "plain"):
            await person.says(f"/model {alias}")
            await person.says("Hello")
            await person.sees("Hello. I am")
            await person.answered()
        await person.says("/model thinker")
        await person.says("/model")
        screen = await person.sees("recent", "← current")
        rows = [line for line in screen.splitlines() if "recent" in line or "← current" in line]
        assert [next(name for name in ("plain", "sonnet", "thinker") if name in row) for row in rows] == [
            "plain", "sonnet", "thinker",
        ]  # fmt: skip
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        assert (await person.sees("recent")).count("recent") == 2


async def test_a_model_is_hidden_and_still_found(home: Path, configured: str):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("sonnet", "Ctrl-X hide")
        await person.presses("down", "down", "ctrl+x")
        await person.sees_no("sonnet")
        await person.types("sonn")
        await person.sees("sonnet", "hidden")
        await person.presses("escape")
        await person.sees_no("sonnet")
        await person.presses("ctrl+a")
        await person.sees("sonnet", "hidden")
        await person.presses("escape")
        await person.sees_no("Select a model")
        assert person.config == configured
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("plain")
        assert "sonnet" not in person.screen
        await person.presses("ctrl+a")
        await person.sees("sonnet")
        await person.presses("down", "down", "ctrl+x", "ctrl+a")
        await person.sees("sonnet")


async def test_the_current_model_is_listed_even_if_it_is_hidden_and_a_provider_may_have_none_left(
    home: Path, configured: str
):
    async with sitting(configured, home=home) as person:
        await person.says("/model")
        await person.sees("sonnet")
        await person.presses("ctrl+x", "down", "down", "ctrl+x")
        await person.sees_no("sonnet")
        await person.sees("thinker")
        await person.presses("shift+tab")
        await person.sees("All models here are hidden. Show them with Ctrl-A")


async def test_a_picker_of_thousands_mounts_no_more_widgets_than_one_of_thirty(home: Path, configured: str):
    mounted, drawn = {}, {}
    for count in (30, 300, 5000):
        models = "".join(f'[models.m{n}]\nprovider = "sim"\nmodel = "sim-{n}"\n' for n in range(count))
        async with sitting(configured + models, home=home) as person:
            await person.says("/model")
            await person.sees("Select a model", "← current")
            mounted[count] = len(person.app.screen.query("*"))
            listing = person.app.screen.query_one(VirtualList)
            shown: list[ListRow] = []
            show = listing._show
            listing._show = lambda model, show=show, shown=shown: shown.append(row := show(model)) or row  # type: ignore[misc]
            await person.types("m29")
            await person.sees("m29")
            await person.presses("escape", "down")
            await person.sees("m0")
            drawn[count] = len(shown)
    assert len(set(mounted.values())) == 1, mounted
    assert drawn[5000] < 5 * MEASURED, drawn  # each of a few lists is measured once


async def test_keys_that_come_all_at_once_select_the_row_they_were_pressed_on(home: Path, configured: str):
    """As from a paste of keys, or on a slow machine: Space must not be handled after the arrow keys behind it."""
    async with sitting(configured, home=home) as person:
        models = [Model(id=f"m-{number}", provider="p") for number in range(12)]
        person.app.push_screen(ModelChecklist("12 models found", models, marked=[]))
        await person.sees("0 of 12 selected")
        for key in ("space", "down") * 7:
            person.app.post_message(events.Key(key, " " if key == "space" else None))
        await person.sees("7 of 12 selected")
