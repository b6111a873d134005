"""The report about the gateway's cost: with and without a C compiler and nginx, as `python -m bench gateway` runs it."""

import json
import shutil
from pathlib import Path

import pytest

from bench.gateway import proxies, tools
from bench.gateway.processes import Processes
from bench.gateway.profiling import report as profile
from bench.gateway.report import Options, measure
from bench.gateway.situations import Bench, Sizes
from bench.gateway.traffic import Replies, agent_exchange, exchange, write_replies
from bench.gateway.values import Figure, Report, Section, Target
from modelbay.protocols.codec import NAMES

TINY = Sizes(rounds=1, requests=4, single=2, agent=2, streams=2, chunks=3, crowd=3, connections=2)
WHOLE, STREAM = Replies("whole"), Replies("stream", chunks=3, pace=1_000)

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="the kernel's accounting is read from /proc"
)


def hide(monkeypatch: pytest.MonkeyPatch, *programs: str) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name in programs else which(name, **more))


def figures(report: Report) -> dict[str, Figure]:
    return {f"{section.title}: {one.label}": one for section in report.sections for one in section.figures}


@pytest.mark.timeout(600)  # it starts several servers many times
def test_every_figure_is_measured_without_an_error() -> None:
    report = measure(Options(TINY))
    found = figures(report)
    assert {name: one.failure for name, one in found.items() if one.failure} == {}
    assert all(len(one.values) == 1 and one.values[0] > 0 for name, one in found.items() if "more than" not in name)
    text = report.text()
    assert all(section.title in text for section in report.sections)


@pytest.mark.timeout(600)  # it starts several servers many times
def test_without_a_compiler_and_nginx_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "cc", "nginx")
    report = measure(Options(TINY))
    assert {name: one.failure for name, one in figures(report).items() if one.failure} == {}
    assert "there is no C compiler" in report.text()
    assert "nginx is not installed" in report.text()
    assert "nginx" not in {one.label for section in report.sections for one in section.figures}


@pytest.mark.parametrize("native", [True, False], ids=["C", "Python"])
def test_the_mock_provider_and_the_load_generator_know_all_protocols(
    native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        hide(monkeypatch, "cc")
    elif shutil.which("cc") is None:
        pytest.skip("no C compiler")
    with Processes(tmp_path) as processes:
        bench = Bench(processes, tools.prepare(tmp_path), TINY)
        server = bench.tools.start_upstream(processes, write_replies(tmp_path / "replies", [WHOLE, STREAM]))
        for replies in (WHOLE, STREAM):
            for protocol in NAMES:
                load = bench.tools.run(processes, bench.direct(server, exchange(protocol, protocol, replies)), (2, 4))
                assert (load.requests, load.errors) == (4, 0), load.complaint
                assert load.events >= 4 * replies.chunks


@pytest.mark.parametrize("native", [True, False], ids=["C", "Python"])
def test_the_load_generator_counts_wrong_replies_as_errors(
    native: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not native:
        hide(monkeypatch, "cc")
    elif shutil.which("cc") is None:
        pytest.skip("no C compiler")
    with Processes(tmp_path) as processes:
        bench = Bench(processes, tools.prepare(tmp_path), TINY)
        server = bench.tools.start_upstream(processes, write_replies(tmp_path / "replies", [WHOLE]))
        right = exchange("openai_chat", "openai_chat", WHOLE)
        unknown = exchange("openai_chat", "openai_chat", STREAM)
        other_end = bench.tools.run(processes, bench.lane(server, right.direct(), "another end"), (1, 3))
        not_found = bench.tools.run(processes, bench.direct(server, unknown), (1, 3))
    assert (other_end.errors, "does not end as expected" in other_end.complaint) == (3, True)
    assert (not_found.errors, "404" in not_found.complaint) == (3, True)


def test_the_gateway_answers_every_protocol_with_every_other(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        bench = Bench(processes, tools.prepare(tmp_path), TINY)
        upstream = bench.tools.start_upstream(processes, write_replies(tmp_path / "replies", [WHOLE, STREAM]))
        installation = proxies.Installation(processes, upstream.port, [WHOLE, STREAM])
        server = installation.serve()
        for replies in (WHOLE, STREAM):
            for client in NAMES:
                for provider in NAMES:
                    lane = bench.through(server, installation, exchange(client, provider, replies))
                    load = bench.tools.run(processes, lane, (1, 1))
                    assert (client, provider, load.errors, load.complaint) == (client, provider, 0, "")


def test_all_processes_end_with_the_run(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        bench = Bench(processes, tools.prepare(tmp_path), TINY)
        upstream = bench.tools.start_upstream(processes, write_replies(tmp_path / "replies", [WHOLE]))
        started = [upstream, proxies.start_bare(processes, upstream.port)]
        assert [one.process.poll() for one in started] == [None, None]
    assert all(one.process.poll() is not None for one in started)


def test_an_agents_request_has_the_size_and_the_tools_of_one() -> None:
    body = agent_exchange("anthropic", "openai_chat", WHOLE).body
    assert 77_000 <= len(body) <= 80_000
    assert len(json.loads(body)["tools"]) == 24
    assert body == agent_exchange("anthropic", "openai_chat", WHOLE).body


def test_a_profile_lists_the_functions_of_the_gateway() -> None:
    text = profile("translated", TINY)
    assert "µs of CPU per request without the profile" in text
    assert "modelbay/gateway/passage.py" in text


def test_a_figure_is_compared_to_the_base_of_its_round() -> None:
    figure = Figure("passed on", [30.0, 44.0, 36.0], [10.0, 11.0, 12.0], Target(4, 3))
    assert (figure.ratios, figure.reached) == ([3.0, 4.0, 3.0], "aim")
    slow = Figure("translated", [90.0], [10.0], Target(6, 5))
    assert slow.reached == "no"
    assert Figure("translated", [55.0], [10.0], Target(6, 5)).reached == "must"
    text = Section("CPU", "nginx", "µs", [figure, slow]).text()
    assert "3.00-4.00" in text
    assert "9.00" in text
