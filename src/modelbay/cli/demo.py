"""`modelbay demo`: lists models, streams an answer and runs a tool over every protocol, against the simulator."""

import shutil
import sys
from pathlib import Path
from shlex import quote
from tempfile import TemporaryDirectory
from time import perf_counter

import click

from modelbay import threads
from modelbay.catalog.lookup import Catalog
from modelbay.cli import terminal
from modelbay.cli.terminal import CommandFailed
from modelbay.conversation import Conversation, Protocol, Text, Tool, ToolResult, Turn, user
from modelbay.dialect import PLAIN
from modelbay.events import Event, PartDelta, PartStarted, Reply, collect
from modelbay.hub import Hub
from modelbay.model import Model
from modelbay.protocols.codec import codec
from modelbay.simulator import Simulator
from modelbay.simulator.config_entries import BASES, alias, config_text
from modelbay.storage.cache import Cache

KEY = "demo-key"
QUESTION = "Why is the sky blue?"
TOOL_QUESTION = "What is the weather in Paris?"
WEATHER = "18 °C and clear"
GATEWAY = "\n[gateway]\nstore = false\n"
"""Nothing is written outside of the temporary folder."""
TOOL = Tool(
    name="get_weather",
    description="Current weather in a city.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


@click.command()
@click.option("--keep", is_flag=True, help="Keep the simulator running, and show how to use it.")
def demo(keep: bool) -> None:
    """Show modelbay in action, without an account.

    The simulator runs with a temporary configuration. Over each protocol, the demo lists models, streams an answer and runs a tool
    for a thinking model. Then a client of each protocol uses a provider of another through the gateway. The exit code is 1 if a
    step fails.
    """
    start = perf_counter()
    with Simulator(key=KEY, pace=0.01) as simulator, TemporaryDirectory(prefix="modelbay-") as folder:
        config = Path(folder) / "config.toml"
        config.write_text(config_text(simulator.url, KEY) + GATEWAY, encoding="utf-8")
        _say(f"Started the simulator, a provider on this machine, at {simulator.url}")
        _say(f"Wrote {config} with a provider and a model for each of {len(BASES)} protocols")
        threads.run(_tour(config))
        _gateway_tour(config)
        _say(f"\nAll {len(BASES)} protocols passed in {perf_counter() - start:.1f} s")
        if keep:
            _keep(simulator, config)
        _say(f"\nNext, connect your own provider:\n\n{next_commands()}", end="")


def next_commands() -> str:
    """The commands to try next, with the path of this program if it is not in PATH."""
    program = quote(_program())
    more = "To learn more" if program == "modelbay" else "To use `modelbay` in every folder, install it"
    page = "first-steps" if program == "modelbay" else "install"
    return f"""\
  {program} provider add anthropic         # or another vendor, or a URL
  {program} ask "{QUESTION}"
  {program}                                # the terminal app

{more}: `{program} docs {page}`
"""


def _program() -> str:
    """The command that runs this program in the current folder."""
    path = Path(sys.executable).with_name("modelbay")
    if not path.exists():
        return "modelbay"
    found = shutil.which("modelbay")
    if found is not None and Path(found).resolve() == path.resolve():
        return "modelbay"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _keep(simulator: Simulator, config: Path) -> None:
    import threading

    program = quote(_program())
    _say(f"\nThe simulator is running at {simulator.url}; stop it with Ctrl-C. In another terminal:\n")
    _say(f"  export MODELBAY_HOME={config.parent}")
    _say(f'  {program} ask "{QUESTION}"')
    _say(f'  {program} ask -m {alias("anthropic")} --effort high "{QUESTION}"')
    _say("\nIts configuration:\n")
    _say(config.read_text(encoding="utf-8"))
    threading.Event().wait()


def _gateway_tour(config: Path) -> None:
    """Each protocol's client, answered by a provider of another protocol."""
    from modelbay.config.load import load
    from modelbay.config.schema import GatewaySettings
    from modelbay.gateway.access_log import AccessLog
    from modelbay.gateway.app import GatewayApp
    from modelbay.gateway.clients import ClientKeys
    from modelbay.gateway.gateway import Gateway
    from modelbay.gateway.limits import OneProcess
    from modelbay.serving.server import HttpServer, listen, url_of

    cache = Cache(config.parent / "cache")
    clients = ClientKeys(config.with_name("clients.json"), uses=config.with_name("clients"))
    key = str(clients.add("demo"))
    listener = listen("127.0.0.1", 0)
    url = url_of("127.0.0.1", listener.getsockname()[1])
    loaded = load(config, trusted=True)
    loaded.gateway = GatewaySettings(store=False)  # the demo leaves no file behind
    gateway = Gateway(loaded, "127.0.0.1", clients, Catalog(cache))
    server = HttpServer(GatewayApp(gateway, AccessLog(), OneProcess()), listener)
    _say(f"\nStarted the gateway at {url}, for programs that speak any protocol")
    server.start()
    try:
        for client, provider in zip(BASES, [*list(BASES)[1:], next(iter(BASES))], strict=True):
            _say(f"  client {client}, provider {provider}\n  ", end="")
            reply = _through(url, key, client, alias(provider))
            _say(reply.text)
            _check(reply.finish and reply.usage, f"{client} over {provider}: the answer is not complete")
    finally:
        server.stop()


def _through(url: str, key: str, protocol: Protocol, model: str) -> Reply:
    """An answer of the gateway to a client of a protocol."""
    from urllib.request import Request, urlopen

    of = codec(protocol)
    call = of.render_request(Conversation([user(QUESTION)], stream=True, include_usage=True), Model(model, ""), PLAIN)
    base = "" if protocol == "anthropic" else "/v1beta" if protocol == "google" else "/v1"
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with urlopen(Request(f"{url}{base}{call.path}", call.encode(), headers), timeout=60) as response:
        parser = of.stream_parser(PLAIN)
        return collect([*parser.feed(response.read()), *parser.close()])


async def _tour(config: Path) -> None:
    async with Hub.open(config) as hub:
        hub.catalog = Catalog(Cache(config.parent / "cache"))  # removed with the folder
        for protocol in BASES:
            _say(f"\n{protocol}")
            await _visit(hub, protocol)


async def _visit(hub: Hub, protocol: Protocol) -> None:
    name = alias(protocol)
    models = await hub.list_models(name)
    _say(f"  models: {len(models)} ({', '.join(models[:3])}, …)")
    _check(hub.model(name).id in models, f"{protocol}: the model list has no {name}")

    _say(f"  > {QUESTION}")
    answer = await _stream(hub, name, [user(QUESTION)])
    _check(answer.text and answer.usage, f"{protocol}: the answer has no text or no token usage")

    _say(f"  > {TOOL_QUESTION}")
    question = user(TOOL_QUESTION)
    asked = await hub.complete([question], model=name, tools=[TOOL], effort="low")
    _check(asked.thinking and asked.tool_calls, f"{protocol}: the answer has no thinking or no tool call")
    call = asked.tool_calls[0]
    _say(f"  tool call: {call.name} {call.arguments}, result: {WEATHER}")
    result = ToolResult(call_id=call.id, name=call.name, parts=[Text(text=WEATHER)])
    final = await _stream(hub, name, [question, asked.turn(), Turn("tool", [result])], tools=[TOOL])
    _check(WEATHER in final.text, f"{protocol}: the answer does not use the result of the tool")
    _say("  thinking sent back unchanged: accepted")


async def _stream(hub: Hub, name: str, turns: list[Turn], tools: list[Tool] | None = None) -> Reply:
    """Stream an answer to stdout."""
    _say("  ", end="")
    events: list[Event] = []
    texts: set[int] = set()
    async for event in hub.stream(turns, model=name, tools=tools, effort="low"):
        events.append(event)
        if isinstance(event, PartStarted) and isinstance(event.part, Text):
            texts.add(event.key)
        elif isinstance(event, PartDelta) and event.key in texts:
            _say(event.text, end="")
    _say("")
    reply = collect(events)
    if reply.error is not None:
        raise reply.error
    return reply


def _say(text: str, end: str = "\n") -> None:
    terminal.write(text + end)


def _check(fine: object, what: str) -> None:
    if not fine:
        raise CommandFailed(f"the demo failed: {what}", hint="report this bug in modelbay")
