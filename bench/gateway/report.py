"""`python -m bench gateway`: the cost of the gateway beside nginx and a bare proxy in Python, as ratios to nginx.

All servers are measured in one run, in rounds in which they take turns. Processor time is from the kernel's accounting of the
server's processes. The gateway runs as users run it: `modelbay serve` with client keys, names, limits and its log.
"""

import argparse
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct, field

from bench.gateway import profiling, situations
from bench.gateway.library import library
from bench.gateway.processes import Processes
from bench.gateway.proxies import Installation, portkey_headers, start_bare, start_litellm, start_nginx, start_portkey
from bench.gateway.situations import BARE, FULL, NGINX, PASSED, QUICK, Bench, Sizes, section
from bench.gateway.tools import Lane, prepare
from bench.gateway.traffic import Exchange, Replies, agent_exchange, exchange, write_replies
from bench.gateway.values import Report, Section, Target
from modelbay.protocols.codec import NAMES

CHAT, ANTHROPIC = "openai_chat", "anthropic"
TRANSLATED = "Anthropic to Chat"
PAIRS = {
    PASSED: (CHAT, CHAT),
    TRANSLATED: (ANTHROPIC, CHAT),
    "Chat to Anthropic": (CHAT, ANTHROPIC),
}
"""The protocols of the client and the provider."""
AGENT = {PASSED: (ANTHROPIC, ANTHROPIC), TRANSLATED: (ANTHROPIC, CHAT)}


class Options(Struct, frozen=True):
    sizes: Sizes = FULL
    pinned: bool = False
    """Servers on one core, mock provider and load on another."""
    beside: Path | None = None
    """A checkout with another version of modelbay, which is measured in the same run."""
    litellm: Path | None = None
    """LiteLLM's program."""
    portkey: Path | None = None
    """Portkey's program."""
    pairs: dict[str, tuple[str, str]] = field(default_factory=lambda: PAIRS)


def measure(options: Options) -> Report:
    """Measure everything."""
    with (
        TemporaryDirectory(prefix="modelbay-bench-") as folder,
        Processes(Path(folder), pinned=options.pinned) as processes,
    ):
        return _Run(options, processes).report()
    raise AssertionError("not reached")


class _Run:
    """The servers of a report."""

    def __init__(self, options: Options, processes: Processes) -> None:
        sizes = options.sizes
        self._tools = prepare(processes.folder)
        self._bench = Bench(processes, self._tools, sizes)
        self._whole, self._stream, self._crowd = situations.kinds(sizes)
        replies = [self._whole, self._stream, self._crowd]
        upstream = self._tools.start_upstream(processes, write_replies(processes.folder / "replies", replies)).port
        self._upstream = upstream
        self._nginx = start_nginx(processes, upstream)
        self._logging_nginx = start_nginx(processes, upstream, log=True)
        self._bare = start_bare(processes, upstream)
        self._installations = {"": Installation(processes, upstream, replies)}
        if options.beside:
            name = f" ({options.beside.name})"
            self._installations[name] = Installation(processes, upstream, replies, options.beside)
        self._gateways = {name: one.serve() for name, one in self._installations.items()}
        self._litellm = start_litellm(processes, options.litellm, upstream, replies) if options.litellm else None
        self._portkey = start_portkey(processes, options.portkey) if options.portkey else None
        self._pairs = options.pairs
        self._base = NGINX if self._nginx else BARE

    def report(self) -> Report:
        sections = [*self._requests(), self._latency(), self._chunks(), self._agent(), self._start(), self._memory()]
        sections.append(self._library())
        return Report(self._remarks(), sections)

    def _remarks(self) -> list[str]:
        load, rounds = os.getloadavg()[0], self._bench.sizes.rounds
        tools = (
            "in C"
            if self._tools.native
            else "in Python, as there is no C compiler: slow, so that ratios are less exact"
        )
        found = [
            f"The gateway beside other proxies: {rounds} rounds, {os.cpu_count()} cores, load average {load:.1f}.",
            f"Mock provider and load generator {tools}.",
        ]
        if self._nginx is None:
            found.append("nginx is not installed: ratios are to the bare proxy, and the targets are not checked.")
        return found

    def _lanes(self, replies: Replies) -> dict[str, Lane]:
        """All servers with requests of 1 KB."""
        plain = exchange(CHAT, CHAT, replies)
        lanes = {NGINX: self._bench.direct(self._nginx, plain)} if self._nginx else {}
        lanes[BARE] = self._bench.direct(self._bare, plain)
        lanes |= self._through({name: exchange(*pair, replies) for name, pair in self._pairs.items()})
        if self._litellm:
            for name in (PASSED, TRANSLATED):
                one = exchange(*PAIRS[name], replies)
                lanes[f"LiteLLM: {name}"] = self._bench.lane(self._litellm, one.request("sk-bench"), one.ending)
        if self._portkey:
            fields = portkey_headers(self._upstream, replies)
            lanes["Portkey: passed on"] = self._bench.lane(
                self._portkey, plain.request("sk-upstream-0123456789", fields), plain.ending
            )
        return lanes

    def _through(self, exchanges: dict[str, Exchange]) -> dict[str, Lane]:
        return {
            label + name: self._bench.through(self._gateways[name], installation, one)
            for label, one in exchanges.items()
            for name, installation in self._installations.items()
        }

    def _requests(self) -> list[Section]:
        lanes = self._lanes(self._whole)
        if self._logging_nginx:
            lanes["nginx with an access log"] = self._bench.direct(
                self._logging_nginx, exchange(CHAT, CHAT, self._whole)
            )
        sizes = self._bench.sizes
        found = self._bench.samples(lanes, (sizes.connections, sizes.requests), sizes.rounds)
        title = f"CPU per request, 1 KB, {sizes.connections} connections"
        targets = self._targets(self._pairs, Target(4, 3), Target(6, 5))
        return [section(title, "µs", found, self._base, lambda one: one.per_request, targets), self._workers()]

    def _workers(self) -> Section:
        """Processor time with two processes, as a ratio to one."""
        sizes = self._bench.sizes
        one, installation = exchange(CHAT, CHAT, self._whole), self._installations[""]
        servers = {"1 worker": self._gateways[""], "2 workers": installation.serve(workers=2)}
        lanes = {name: self._bench.through(server, installation, one) for name, server in servers.items()}
        # at the start of a run, the system takes some milliseconds to spread the workers over the cores
        found = self._bench.samples(lanes, (sizes.connections, sizes.requests * 3), sizes.rounds)
        figures = section(
            "CPU per request, passed on", "µs", found, "1 worker", lambda one: one.per_request, {}
        ).figures
        target = Target(1.1, 1.1)
        figures = [msgspec.structs.replace(one, target=target if one.label == "2 workers" else None) for one in figures]
        return Section("CPU per request, passed on", "1 worker", "µs", figures)

    def _latency(self) -> Section:
        sizes = self._bench.sizes
        found = self._bench.samples(self._lanes(self._whole), (1, sizes.single), sizes.rounds)
        targets = self._targets(self._pairs, Target(2, 1.7), Target(4, 3))
        return section("Median latency, 1 KB, 1 connection", "µs", found, self._base, lambda one: one.latency, targets)

    def _chunks(self) -> Section:
        sizes = self._bench.sizes
        found = self._bench.samples(self._lanes(self._stream), (sizes.streams, sizes.streams), sizes.rounds)
        title = (
            f"CPU per chunk, {sizes.streams} streams of {sizes.chunks} chunks, one each {self._stream.pace // 1000} ms"
        )
        targets = self._targets(self._pairs, Target(1.5, 1.3), Target(2.2, 2.0))
        return section(title, "µs", found, self._base, lambda one: one.per_event, targets)

    def _agent(self) -> Section:
        large = {name: agent_exchange(*pair, self._whole) for name, pair in AGENT.items()}
        small = self._through({name: exchange(*pair, self._whole) for name, pair in AGENT.items()})
        lanes = {name: (lane, small[name]) for name, lane in self._through(large).items()}
        targets = self._targets(AGENT, Target(0.3, 0.15), Target(1.2, 0.8))
        return situations.agent(self._bench, lanes, large[PASSED].body, targets)

    def _start(self) -> Section:
        named = {f"modelbay serve{name}": one for name, one in self._installations.items()}
        return situations.start(self._bench, named, exchange(CHAT, CHAT, self._whole), Target(4, 3))

    def _memory(self) -> Section:
        named = {f"modelbay serve{name}": one for name, one in self._installations.items()}
        first, crowd = exchange(CHAT, CHAT, self._whole), exchange(ANTHROPIC, CHAT, self._crowd)
        return situations.memory(self._bench, named, first, crowd, (Target(45, 35), Target(80, 60)))

    def _library(self) -> Section:
        one = exchange(CHAT, CHAT, self._whole)
        return library(self._bench.sizes, self._installations[""], self._upstream, one, Target(1.5, 1.5))

    def _targets(self, pairs: dict[str, tuple[str, str]], passed: Target, translated: Target) -> dict[str, Target]:
        """Targets of each lane by its label."""
        return {
            label + name: passed if client == provider else translated
            for label, (client, provider) in pairs.items()
            for name in self._installations
        }


def quick() -> str:
    """The report in a minute."""
    return measure(Options(QUICK)).text()


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser("python -m bench gateway", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Fewer rounds and requests: one minute instead of four.")
    parser.add_argument("--pin", action="store_true", help="Servers on one core, mock provider and load on another.")
    parser.add_argument("--beside", type=Path, metavar="CHECKOUT", help="Another version to measure in the same run.")
    parser.add_argument("--pairs", action="store_true", help="All pairs of protocols, instead of three.")
    parser.add_argument("--litellm", type=Path, metavar="PROGRAM", help="LiteLLM's program, to measure it too.")
    parser.add_argument("--portkey", type=Path, metavar="PROGRAM", help="Portkey's program, to measure it too.")
    parser.add_argument("--profile", choices=profiling.CASES, help="Print a profile of the gateway instead.")
    parser.add_argument("--json", action="store_true", help="Print the values as JSON.")
    given = parser.parse_args(words)
    pairs = {f"{client} to {provider}": (client, provider) for client in NAMES for provider in NAMES}
    options = Options(
        QUICK if given.quick else FULL,
        given.pin,
        given.beside and given.beside.absolute(),
        given.litellm,
        given.portkey,
        pairs if given.pairs else PAIRS,
    )
    if given.profile:
        print(profiling.report(given.profile, options.sizes), flush=True)
        return
    report = measure(options)
    if given.json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    else:
        print(report.text(), flush=True)
