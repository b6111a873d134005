"""The terminal app: a letter typed in the model picker among 5,000 models, as a ratio to the same among 20; an answer of 2,000
lines, as a ratio to reading its stream without showing it; and a resize with 5,000 lines of code, as a ratio to one with 50."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from textual import events

from bench.search import rows
from bench.table import ratio, table
from modelbay.config.load import parse
from modelbay.conversation import Text, Turn
from modelbay.hub import Hub
from modelbay.model import Model
from modelbay.stored_chats.stored_chat import StoredChat
from modelbay.tui.app import ModelbayApp
from modelbay.tui.dialogs.model_picker import ModelPicker

FEW = 20
LINES, CODE_LINES = 2_000, 5_000
QUERY = "claude sonnet"
CONFIG = """\
default_model = "m"
[providers.here]
type = "openai"
base_url = "URL/v1"
auth = "none"
[models.m]
provider = "here"
model = "m"
"""
TEXT = [
    "## Part {n}\n", "\n", "A line of **text** that says something of `x` and of what it does to others, for a while.\n",
    "Another one, plain, which goes on about the same matter as the one before it did.\n", "\n", "- one\n", "- two\n", "\n",
    "```python\n", "def f(x):\n", "    return x + {n}\n", "```\n", "\n",
]  # fmt: skip
PACED, STEP = 8.0, 0.02
"""Seconds that the answer takes when it comes slowly, and between two writes of it."""
PIECE = 12
"""Letters that come at once."""


def report() -> str:
    return asyncio.run(_report())


async def _report() -> str:
    with TemporaryDirectory() as folder:
        models = rows()
        few, many = await _typing(models[:FEW], folder), await _typing(models, folder)
        lines = [[f"a letter among {len(models):,} models", f"{many * 1e3:.1f}", ratio(many, few) + f" (among {FEW})"]]
        for seconds, how in ((0.0, "at once"), (PACED, f"in {PACED:.0f} s")):
            async with _server(seconds) as url:
                alone, shown = await _reading(url), await _showing(url, folder)
            what = f"an answer of {LINES:,} lines that comes {how}, to its last paint"
            lines.append([what, f"{shown * 1e3:.0f}", ratio(shown, alone) + " (read only)"])
        few, many = await _resizing(50, folder), await _resizing(CODE_LINES, folder)
        what = f"a resize with {CODE_LINES:,} lines of code"
        lines.append([what, f"{many * 1e3:.0f}", ratio(many, few) + " (50 lines)"])
    return table("The terminal app, 80 x 24", ["", "ms", "ratio"], lines)


async def _typing(models: list[Model], folder: str) -> float:
    """Seconds of the processor from a letter to what it changes on the screen, the median of those of a query."""
    models = [msgspec.structs.replace(model, alias=f"{model.provider}/{model.id}") for model in models]
    app = ModelbayApp(Path(folder) / "none.toml")
    took = []
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(ModelPicker(app.state, models))
        await pilot.pause(0.5)
        for letter in QUERY * 2:
            start = time.process_time()
            app.post_message(events.Key("space" if letter == " " else letter, letter))
            await pilot.pause()
            took.append(time.process_time() - start)
        await pilot.press("escape", "escape")
    return sorted(took)[len(took) // 2]


async def _resizing(lines: int, folder: str) -> float:
    """Seconds of the processor for another width of the terminal, the median of several."""
    code = "".join(f"def function_{n}(x, y): return x + {n} * y\n" for n in range(lines))
    app = ModelbayApp(Path(folder) / "none.toml")
    took = []
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("escape")
        await app.chat_screen.transcript.show([Turn("assistant", [Text(text=f"```python\n{code}```\n")])])
        await pilot.pause(0.5)
        for width in (100, 70, 90, 60, 80):
            start = time.process_time()
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
            took.append(time.process_time() - start)
    return sorted(took)[len(took) // 2]


async def _reading(url: str) -> float:
    """Seconds in which the stream is read, its events made and thrown away."""
    async with Hub(parse(CONFIG.replace("URL", url), Path("config.toml"))) as hub:
        start = time.perf_counter()
        async for _ in StoredChat().ask(hub, "go"):
            pass
        return time.perf_counter() - start


async def _showing(url: str, folder: str) -> float:
    """Seconds until all of it is on the screen."""
    path = Path(folder) / "config.toml"
    path.write_text(CONFIG.replace("URL", url))
    app = ModelbayApp(path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.2)
        start = time.perf_counter()
        app.chat_screen.ask("go")
        while app.chat_screen.answering:
            await asyncio.sleep(0.01)
        await pilot.pause()
        return time.perf_counter() - start


@asynccontextmanager
async def _server(seconds: float) -> AsyncIterator[str]:
    """A provider that answers everything with the long answer, which it sends in so many seconds."""
    text = "".join(islice((line.replace("{n}", str(n // len(TEXT))) for n, line in enumerate(cycle(TEXT))), LINES))
    pieces = [text[at : at + PIECE] for at in range(0, len(text), PIECE)]
    chunks = [msgspec.json.encode({"choices": [{"index": 0, "delta": {"content": piece}}]}) for piece in pieces]
    end = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    steps = max(round(seconds / STEP), 1)
    size = -(-len(chunks) // steps)
    bodies = [
        b"".join(b"data: " + chunk + b"\n\n" for chunk in chunks[at : at + size]) for at in range(0, len(chunks), size)
    ]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for body in [*bodies, end]:
            writer.write(body)
            await writer.drain()
            await asyncio.sleep(STEP if seconds else 0)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
