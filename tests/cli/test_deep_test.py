"""`provider test --deep`: its cost, consent, stored results, and tests that end early."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Event

import pytest

from modelbay.onboarding.deep_plan import PLANNED
from modelbay.simulator import Simulator
from modelbay.simulator.simulated_provider import Incoming, SimulatedProvider, SimulatorSettings
from tests.cli.command import MODELBAY, Command
from tests.cli.deep_tests import ALL, deep, details, entry, odd, results
from tests.cli.inside import Inside, Person
from tests.servers.loopback import JSON, Handler, served


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inside:
    return Inside(tmp_path, monkeypatch)


# --- the cost, and consent ---------------------------------------------------------------------------------------------


def test_nothing_is_sent_before_the_user_agreed(bay: Inside):
    """Every combination of options without an agreement, with usable, unknown and unsuitable names."""
    ids: tuple[list[str], ...] = ([], ["acme"], ["acme", "other"], ["unknown"])
    models: tuple[list[str], ...] = (
        [],
        ["large"],
        ["sim-1", "sim-echo"],
        ["unknown"],
        ["text-embedding-3-small"],
        ["acme/x", "other/y"],
    )
    with odd("", bay) as sim:
        bay.file.write_text(bay.text + f'\n[providers.other]\ntype = "anthropic"\nbase_url = "{sim.url}"\n')
        for names, chosen, json_form, forgets in product(ids, models, ([], ["--json"]), ([], ["--forget"])):
            options = [word for model in chosen for word in ("--model", model)]
            run = bay("provider", "test", "--deep", *names, *options, *json_form, *forgets)
            assert run.code != 0, (names, chosen)
            assert len(sim.journal) == 0, (names, chosen)
    assert not (bay.home / "probes.json").exists()


def test_without_a_terminal_the_cost_is_shown_and_the_test_refused(bay: Inside):
    with odd("", bay, more="cost = { input = 1, output = 4 }\n"):
        run = bay("provider", "test", "acme", "--deep")
    assert (run.code, run.out) == (2, "")
    assert run.err == (
        "The deep test of 1 model sends real requests, which the provider may charge for:\n"
        "  large: 18 to 49 calls, at most 39,220 tokens in and 50,176 out, price $0.0287 to $0.2399\n"
        "Total: at most 49 calls, at most 39,220 tokens in and 50,176 out, price at most $0.2399\n"
        "error: not a terminal: pass --yes to confirm the cost\n\n"
        "hint: see `modelbay provider test --help`\n"
    )


def test_an_unknown_price_is_not_a_low_one(bay: Inside):
    with odd("", bay) as sim:
        bay.file.write_text(
            entry(sim.url) + '[models.dear]\nprovider = "acme"\nmodel = "dear"\ncost = { input = 1, output = 4 }\n'
        )
        said = bay("provider", "test", "--deep", "--model", "large", "--model", "dear").err
    assert "large: 18 to 49 calls, at most 39,220 tokens in and 50,176 out, price unknown\n" in said
    assert said.count("price at most $0.2399, and unknown for 1 model\n") == 1


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_person_is_asked_after_the_cost(bay: Inside, answer: str):
    with odd("", bay) as sim, Person(bay.home, "provider", "test", "--deep", "acme") as person:
        person.sees("price unknown").sees("Send these requests? [y/N]:")
        assert len(sim.journal) == 0
        person.types(answer)
        code = person.ends()
    assert code == (0 if answer == "y" else 130)
    assert (len(sim.journal) > 0) is (answer == "y")
    assert ("parallel_tools     yes" in person.seen) is (answer == "y")


def test_several_models_require_deep(bay: Inside):
    with odd("", bay) as sim:
        run = bay("provider", "test", "acme", "--model", "a", "--model", "b")
        assert (run.code, len(sim.journal)) == (2, 0)
    assert "several --model options require --deep" in run.err


def test_one_endpoint_is_tested_once(bay: Inside):
    with odd("", bay):
        said = bay("provider", "test", "acme", "--deep", "--model", "large", "--model", "acme/sim-1").err
    assert "The deep test of 1 model " in said


def test_providers_without_a_known_model_are_skipped_unless_they_are_named(bay: Inside):
    with odd("", bay) as sim:
        bay.file.write_text(bay.text + f'\n[providers.bare]\ntype = "openai"\nbase_url = "{sim.url}/v1"\n')
        said = bay("provider", "test", "--deep").err
        assert "Skipped bare: no model of bare is known" in said and "The deep test of 1 model " in said
        run = bay("provider", "test", "--deep", "bare", "--yes")
        assert (run.code, len(sim.journal)) == (1, 0)
    assert "hint: name one with --model" in run.err


def test_models_that_cannot_be_talked_to_are_skipped(bay: Inside):
    with odd("", bay) as sim:
        run = bay("provider", "test", "acme", "--deep", "--model", "text-embedding-3-small", "--yes")
        assert (run.code, len(sim.journal)) == (1, 0)
    assert "Skipped acme/text-embedding-3-small: not a chat model (embedding)" in run.err


# --- what is stored ----------------------------------------------------------------------------------------------------


def test_results_are_shown_with_source_and_date_and_deleted_on_request(bay: Inside):
    with odd("images", bay):
        deep(bay)
        shown = json.loads(bay.done("model", "show", "large", "--json"))
        assert (shown["capabilities"]["image_in"], shown["sources"]["image_in"]) == (False, "probe")
        check = shown["probe"]["checks"]["images"]
        assert (check["result"], check["date"], shown["probe"]["provider"]) == ("no", shown["probe"]["date"], "acme")
        lines = bay.done("model", "show", "large")
        assert re.search(rf"^image_in +no +probe {shown['probe']['date']}$", lines, re.MULTILINE)
        assert f"\nprovider test of {shown['probe']['date']}\n" in lines
        run = bay("provider", "test", "acme", "--deep", "--forget")
        assert (run.code, "deleted the results of 1 deep test of acme" in run.err) == (2, True)
        shown = json.loads(bay.done("model", "show", "large", "--json"))
        assert ("probe" in shown, "image_in" in shown.get("capabilities", {})) == (False, False)


def test_results_of_another_base_url_are_ignored_and_named(bay: Inside):
    with odd("images", bay) as sim:
        deep(bay)
        bay.file.write_text(bay.text.replace("/v1", "/v1beta/openai"))
        run = bay("model", "show", "large")
        assert "image_in" not in run.out
        assert f"is ignored: the base URL was {sim.url}/v1\n" in run.err


def test_a_renamed_provider_keeps_its_results_and_a_removed_one_does_not(bay: Inside):
    with odd("images", bay):
        deep(bay)
        bay.done("provider", "rename", "acme", "other")
        assert json.loads(bay.done("model", "show", "large", "--json"))["sources"]["image_in"] == "probe"
        bay.done("provider", "remove", "other", "--yes")
    assert json.loads((bay.home / "probes.json").read_text())["records"] == []


# --- tests that end early ----------------------------------------------------------------------------------------------

Intercept = Callable[[int], tuple[int, bytes, dict[str, str]] | None]


@contextmanager
def intercepted(intercept: Intercept) -> Iterator[str]:
    """The URL of a simulator in which a function may answer a call instead, by its number."""
    provider, numbers = SimulatedProvider(SimulatorSettings()), iter(range(1, 1_000))

    class Odd(Handler):
        def do_POST(self) -> None:
            body = self.body()
            if (other := intercept(next(numbers))) is not None:
                self.answer(*other)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = provider.handle(Incoming("POST", self.path, "", headers, body)).answer
            said = b"".join(step for step in answer.steps if isinstance(step, bytes))
            self.answer(answer.status, said, {"content-type": answer.headers["content-type"]})

    with served(Odd) as url:
        yield url


def failing(number: int, status: int, **headers: str) -> Intercept:
    error = json.dumps({"error": {"message": "no more", "type": "error", "code": None}}).encode()
    answer = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return lambda at: (status, error, answer) if at >= number else None


@pytest.mark.parametrize(
    ("intercept", "words"),
    [(failing(6, 429, retry_after="3600"), "no more"), (failing(6, 401), "no more"), (failing(6, 402), "no more")],
    ids=["rate limit", "expired login", "no credit"],
)
def test_an_error_of_all_calls_ends_the_test_and_keeps_what_was_found(bay: Inside, intercept: Intercept, words: str):
    with intercepted(intercept) as url:
        bay.file.write_text(entry(url))
        run = bay("provider", "test", "acme", "--deep", "--yes", "--json")
    (result,) = json.loads(run.out)
    assert run.code == 1 and words in result["stopped"]
    found = results(result)
    assert found.keys() == PLANNED.keys()
    assert (found["tools"], found["parallel_tools"], found["images"]) == ("yes", "yes", "unknown")
    assert details(result)["images"].startswith("not tested: ")
    stored = json.loads((bay.home / "probes.json").read_text())["records"][0]["checks"]
    assert (stored["tools"]["result"], stored["images"]["result"]) == ("yes", "unknown")


def test_a_short_rate_limit_is_waited_for(bay: Inside):
    once = failing(6, 429, retry_after="0")
    with intercepted(lambda at: once(at) if at == 6 else None) as url:
        bay.file.write_text(entry(url))
        assert results(deep(bay)) == ALL


def test_a_rejection_that_does_not_come_back_is_not_a_no(bay: Inside):
    once = failing(4, 400)
    with intercepted(lambda at: once(at) if at == 4 else None) as url:
        bay.file.write_text(entry(url))
        assert results(deep(bay))["tools"] == "yes"


def test_a_provider_that_rejects_everything_by_now_lacks_nothing(bay: Inside):
    with intercepted(failing(7, 400)) as url:
        bay.file.write_text(entry(url))
        found = deep(bay)
    assert "no" not in results(found).values(), details(found)
    assert "a plain prompt was rejected too" in details(found)["forced_tool"]


def test_a_provider_that_ignores_the_maximum_is_left_before_it_costs_more(bay: Inside):
    reply = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ready"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 40_000, "total_tokens": 40_010},
    }
    with intercepted(lambda at: (200, json.dumps(reply).encode(), JSON)) as url:
        bay.file.write_text(entry(url))
        result = deep(bay)
    assert "40,000 output tokens, although at most 1,024 were requested" in result["stopped"]
    assert result["calls"] == 1


def test_the_shown_maximum_is_a_limit(bay: Inside):
    usage = {"prompt_tokens": 30_000, "completion_tokens": 1_000, "total_tokens": 31_000}
    reply = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ready"}, "finish_reason": "stop"}],
        "usage": usage,
    }
    with intercepted(lambda at: (200, json.dumps(reply).encode(), JSON)) as url:
        bay.file.write_text(entry(url))
        result = deep(bay)
    assert "the agreed maximum is used up" in result["stopped"]
    assert result["input_tokens"] <= 39_220 + 50_176 + 31_000


def test_the_shown_cost_is_a_limit_also_before_the_tokens_are_used_up(bay: Inside):
    reply = {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ready"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 30_000, "completion_tokens": 1, "total_tokens": 30_001},
    }
    with intercepted(lambda at: (200, json.dumps(reply).encode(), JSON)) as url:
        bay.file.write_text(entry(url, more="cost = { input = 1000, output = 0 }\n"))
        result = deep(bay)
    assert result["stopped"] == "the agreed maximum is used up: 2 calls, 60,002 tokens, $60.00"


def test_results_that_cannot_be_stored_are_not_paid_for(bay: Inside):
    with odd("", bay) as sim:
        (bay.home / "probes.json").mkdir()
        run = bay("provider", "test", "acme", "--deep", "--yes")
        assert (run.code, len(sim.journal)) == (1, 0)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_test_that_is_interrupted_or_killed_keeps_its_results(tmp_path: Path, bay: Inside, ending: signal.Signals):
    reached, never = Event(), Event()

    def wait(at: int) -> None:
        if at == 5:
            reached.set()
            never.wait(120)

    with intercepted(wait) as url:
        bay.file.write_text(entry(url))
        with Simulator() as sim:
            environment = Command(tmp_path, sim).environment
        command = [MODELBAY, "provider", "test", "acme", "--deep", "--yes"]
        with Popen(command, stdout=PIPE, stderr=PIPE, text=True, env=environment) as process:
            assert reached.wait(120)
            process.send_signal(ending)
            out, err = process.communicate(timeout=120)
            never.set()
    if ending == signal.SIGINT:
        assert process.returncode == 130
        assert "4 results are stored" in err and "tools              yes" in out
    stored = json.loads((tmp_path / "probes.json").read_text())["records"][0]["checks"]
    assert list(stored) == ["reply", "streaming", "usage", "tools"]


def test_an_unreachable_provider_ends_the_test_at_once(bay: Inside):
    with Simulator() as sim:
        url = sim.url
    bay.file.write_text(entry(url))
    run = bay("provider", "test", "acme", "--deep", "--yes", "--json")
    (result,) = json.loads(run.out)
    assert (run.code, result["calls"]) == (1, 1)
    assert set(results(result).values()) == {"unknown"}


def test_no_secret_is_in_the_results(bay: Inside):
    with Simulator(key="sk-planted-0123456789") as sim:
        bay.file.write_text(entry(sim.url).replace("sk-1", "sk-planted-wrong-987"))
        run = bay("provider", "test", "acme", "--deep", "--yes", "--json")
    assert run.code == 1
    assert "sk-planted" not in run.out + run.err + (bay.home / "probes.json").read_text()
