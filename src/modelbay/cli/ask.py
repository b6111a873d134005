"""`modelbay ask`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any, cast

import click

from modelbay import threads
from modelbay.cli import ask_options, known_values, terminal, texts
from modelbay.cli.direct import Direct, direct_options
from modelbay.cli.display import Display
from modelbay.cli.terminal import GlobalOptions, pass_settings
from modelbay.cli.texts import FilePath
from modelbay.conversation import Media
from modelbay.counting.provider_count import TokenCount
from modelbay.errors import ConfigError, MalformedReply, ModelbayError, TimedOut, UnreadableFile
from modelbay.events import Event, Reply, collect
from modelbay.hub import Hub
from modelbay.json_text import encode
from modelbay.library.prompt import Ask
from modelbay.library.typed_output import object_text
from modelbay.model import Model
from modelbay.replay import outcome
from modelbay.secrecy import redact
from modelbay.storage import files
from modelbay.stored_chats.bill import bill


@click.command()
@click.argument("prompt", nargs=-1, type=texts.Prose(), metavar="[PROMPT]...")
@click.option(
    "-m",
    "--model",
    type=texts.ModelName(),
    metavar="MODEL",
    shell_complete=known_values.models,
    help="Alias, or PROVIDER/MODEL_ID. Default: the default model.",
)
@click.option("-s", "--system", type=texts.Prose(needed=True), metavar="TEXT", help="System prompt.")
@click.option(
    "-f",
    "--file",
    "--image",
    "attached",
    type=texts.PathOrUrl(),
    multiple=True,
    metavar="PATH|URL",
    shell_complete=known_values.paths,
    help="Image, audio, video or document to send. Repeatable.",
)
@click.option(
    "--effort",
    metavar="EFFORT",
    shell_complete=known_values.efforts,
    help="Reasoning effort: off, minimal, low, medium, high, xhigh or max.",
)
@click.option("--max-tokens", type=click.IntRange(min=1), metavar="N", help="Maximum output tokens.")
@click.option("--temperature", type=texts.Finite(), metavar="T", help="Sampling temperature.")
@click.option("--top-p", type=texts.Finite(max=1), metavar="P", help="Nucleus sampling, 0 to 1.")
@click.option("--stop", type=ask_options.Stop(), multiple=True, metavar="TEXT", help="Stop sequence. Repeatable.")
@click.option(
    "--schema",
    "output_format",
    type=ask_options.Schema(),
    metavar="FILE|JSON",
    shell_complete=known_values.paths,
    help="JSON Schema of the answer. Only the answer's JSON is printed.",
)
@click.option(
    "--tool",
    "tools",
    type=ask_options.Tools(),
    multiple=True,
    metavar="FILE",
    shell_complete=known_values.paths,
    help="File with a tool, or a list of tools. Tool calls are printed as lines of JSON, and not run. Repeatable.",
)
@click.option(
    "--option",
    "others",
    type=ask_options.KeyValue(),
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=known_values.settings,
    help="Another setting, such as seed=7, extra_body.top_a=0.2 or extra_body.provider.sort=price. Repeatable.",
)
@click.option(
    "--timeout",
    type=texts.Finite(min_open=True),
    metavar="SECONDS",
    help="Timeout of the whole call, with all attempts and the answer.",
)
@click.option("--no-stream", is_flag=True, help="Disable streaming.")
@click.option("--count", is_flag=True, help="Print the number of input tokens instead of asking.")
@click.option(
    "--record",
    type=FilePath(dir_okay=False),
    metavar="FILE",
    help="File for the recorded requests and responses, without secrets; read it with `modelbay replay FILE`.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the complete answer as a JSON object.")
@direct_options
@pass_settings
def ask(
    settings: GlobalOptions, /, prompt: tuple[str, ...], attached: tuple[str, ...], record: Path | None, **options: Any
) -> None:
    """Ask a model one question.

    The answer is written to stdout; thinking, warnings and the cost to stderr. Text on standard input is put before PROMPT:
    `git diff | modelbay ask "What does this change?"`.
    """
    model, as_json, no_stream = options.pop("model"), options.pop("as_json"), options.pop("no_stream")
    others, count = options.pop("others"), options.pop("count")
    direct = Direct.of(model, options)  # it may read its key from standard input
    question = _question(prompt)
    if not question.strip() and not attached:
        raise click.UsageError("missing prompt", click.get_current_context())
    options["files"] = [attached_file(source) for source in attached]
    options["tools"] = ask_options.joined(options["tools"]) or None
    options["stop"] = options["stop"] or None
    asked = ask_options.with_options(cast(Ask, options), question, others)
    terminal.show_logs(settings)
    if record is not None:
        files.check_writable(files.target_of(record))  # before the answer costs money
    asking = Asking(direct, question, asked, stream=not no_stream, quiet=as_json)
    asking.record = record is not None
    if count:
        _print_count(threads.run(asking.count(settings)), as_json=as_json)
        return
    try:
        reply = threads.run(asking.run(settings))
        if as_json:
            terminal.write_line(redact(encode(asking.summary(reply)).decode()).encode())
    finally:  # also of an answer that Ctrl-C or its reader ended
        if record is not None:
            _keep(record, asking.recorded)
    if reply.error is not None:
        raise reply.error


def _print_count(counted: TokenCount, *, as_json: bool) -> None:
    if as_json:
        terminal.write_line(encode({"tokens": counted.tokens, "estimated": counted.estimated}))
        return
    terminal.write(f"{counted.tokens}\n")
    if counted.estimated:
        terminal.note("estimated: the provider did not count the tokens")


def attached_file(source: str) -> Media:
    """The file or URL of `--file`."""
    try:
        return Media.open(source)
    except UnreadableFile as error:
        raise terminal.InputError(str(error), error.hint) from None


def _question(prompt: tuple[str, ...]) -> str:
    """The text on standard input, unless it is a terminal, and the arguments."""
    return "\n\n".join(text for text in (texts.piped(), " ".join(prompt)) if text)


def _keep(file: Path, recorded: bytes) -> None:
    """Write exchanges to a file that only the user can read: they contain the conversation."""
    if not recorded:
        terminal.note(f"nothing was sent: {file} is not written")
        return
    target = files.target_of(file)
    files.replace(target, files.content_of(target), recorded)
    count = recorded.count(b"\n")
    what = "1 exchange" if count == 1 else f"{count} exchanges"
    terminal.note(f"recorded {what}; read the answer again with: modelbay replay {file}")


class Asking:
    """A question that is sent through a hub, and the display of its answer."""

    def __init__(self, direct: Direct, question: str, ask: Ask, *, stream: bool, quiet: bool) -> None:
        self._direct = direct
        self._name = direct.model
        self._question = question
        self._ask = ask
        self._stream = stream
        self._quiet = quiet
        self._display = Display(quiet=quiet, hold=bool(ask.get("output_format")), calls=bool(ask.get("tools")))
        self._events: list[Event] = []
        self._model: Model | None = None
        self._cost: float | None = None
        self.record = False
        self.recorded = b""
        """The recorded exchanges as lines of JSON."""

    async def run(self, settings: GlobalOptions) -> Reply:
        """The complete answer, or the part that was received, with the error in `error`."""
        try:
            async with Hub(self._direct.config(settings.config)) as hub, self._recording(hub):
                self._check(hub)
                self._model = hub.model(self._name)
                start = perf_counter()
                reply = await self._answer(hub)
                if reply.usage is not None:
                    self._cost = hub.cost(self._model, reply.usage)
                if self._ask.get("output_format") and reply.error is None and not reply.tool_calls:
                    self._print_json(reply)
                self._display.stopped(reply)
                if reply.parts or reply.usage:
                    self._display.note(bill(self._model, reply.usage, perf_counter() - start, self._cost))
        except ModelbayError as error:
            reply = collect(self._events)
            if isinstance(error, TimedOut) and error.stage == "call":
                error.hint = "increase --timeout"
            reply.error = self._direct.explained(terminal.explained(ask_options.in_options(error), settings))
        return reply

    async def count(self, settings: GlobalOptions) -> TokenCount:
        """The input tokens of the question.

        Raises:
            ModelbayError: they cannot be counted.
        """
        try:
            async with Hub(self._direct.config(settings.config)) as hub:
                self._check(hub)
                return await hub.count(self._question, model=self._name, **self._ask)
        except ModelbayError as error:
            raise self._direct.explained(terminal.explained(ask_options.in_options(error), settings)) from None

    @asynccontextmanager
    async def _recording(self, hub: Hub) -> AsyncGenerator[None, None]:
        recorder = hub.record() if self.record else None
        try:
            yield
        finally:
            if recorder:
                self.recorded = recorder.lines()

    def summary(self, reply: Reply) -> dict[str, Any]:
        """The answer for `--json`."""
        row = outcome(reply)
        if (error := reply.error) is not None:
            row["error"] = terminal.error_row(error)
        model = self._model
        return {
            **row,
            "model": model and (model.alias or model.id),
            "provider": model and model.provider,
            "cost": self._cost,
        }

    def _check(self, hub: Hub) -> None:
        for problem in hub.problems:
            terminal.warning(f"{problem}" + (f" ({problem.hint})" if problem.hint else ""))
        if not hub.config.exists:
            raise ConfigError(
                f"no configuration at {hub.config.path}",
                hint="connect a provider with `modelbay provider add`, or use another file with --config FILE",
            )

    def _print_json(self, reply: Reply) -> None:
        """Write the JSON of an answer whose schema was given."""
        try:
            text = object_text(reply)
        except MalformedReply as error:
            reply.error = error
            return
        if not self._quiet:
            terminal.write_line(text)

    async def _answer(self, hub: Hub) -> Reply:
        with terminal.waiting(f"waiting for {self._name or 'the model'}", hidden=self._quiet) as arrived:
            try:
                if not self._stream:
                    reply = await hub.complete(self._question, model=self._name, **self._ask)
                    arrived()
                    self._display.whole(reply)
                    return reply
                async with aclosing(hub.stream(self._question, model=self._name, **self._ask)) as events:
                    async for event in events:
                        arrived()
                        self._events.append(event)
                        self._display.feed(event)
            finally:
                self._display.end_line()
        return collect(self._events)
