"""The web search of real coding agents, with models of all protocols behind the gateway.

Skipped if an agent is not on the PATH. `make agents` installs the latest version of each agent and runs these tests.
"""

import shutil

import pytest

from tests.gateway.running import PROTOCOLS, running
from tests.gateway.search.scripted import SearchServer
from tests.gateway.test_agents import AGENTS, Room, ran

TOOLS = {"claude": "WebSearch", "codex": "web_search", "gemini": "google_web_search"}
"""The names of the agents' own tools, which the simulator calls if they are in the prompt."""
MORE = {"claude": {"ENABLE_TOOL_SEARCH": "false"}}


@pytest.mark.parametrize("upstream", PROTOCOLS)
@pytest.mark.parametrize("agent", TOOLS)
def test_the_agent_gets_the_results_of_its_search(
    agent: str, upstream: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if shutil.which(agent) is None:
        pytest.skip(f"{agent} is not installed; `make agents` installs it and runs this test")
    own = {"claude": "anthropic", "codex": "openai_responses", "gemini": "google"}[agent]
    if upstream == own:
        pytest.skip("the provider searches itself")
    folder = tmp_path_factory.mktemp("gateway")
    engine = SearchServer()
    with engine.serving() as url:
        table = f'[gateway.search]\nbackend = "searxng"\nurl = "{url}"\n'
        # Gemini CLI searches with a model of its own
        names = f'names = {{ "gemini-*" = "{upstream}" }}'
        with running(folder, settings=names, more=table) as (gateway, _):
            room = Room(tmp_path_factory.mktemp("room"), gateway.url, upstream)
            command = AGENTS[agent](room)
            room.environment |= MORE.get(agent, {})
            prompt = f"Do a {TOOLS[agent]} for the tides of Wellington"
            shown = ran(room, [prompt if "note.txt" in one else one.replace("Read", TOOLS[agent]) for one in command])
            assert len(engine.queries) == 1
            assert "tides of Wellington" in engine.queries[0]
            assert "https://tides.example/wellington" in shown
            if agent == "codex":  # it sends its items back without their IDs
                place = command.index("exec") + 1
                again = ran(room, [*command[:place], "resume", "--last", "--skip-git-repo-check", "Say hello"])
                assert "Say hello" in again
                assert len(engine.queries) == 1
