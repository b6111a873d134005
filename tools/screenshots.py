"""Takes the pictures of the terminal app for docs/: `python -m tools.screenshots`. A fictional provider answers.

The pictures are SVG. With resvg_py installed, those of the README are PNG too: not every page of a package shows SVG.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from textual import events
from textual.pilot import Pilot

from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from modelbay.tui.app import ModelbayApp

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
SIZE = (80, 24)
PICTURES = ("chat", "chat-light", "model", "providers", "custom", "login")
IN_README = ("chat", "chat-light")
FONT = "DejaVu Sans Mono"
QUESTION = "Why is the sky blue? Show me the formula in Python."
THOUGHT = "Rayleigh scattering: the shorter the wave, the more of it is scattered."
ANSWER = """\
Air scatters **short waves** far more than long ones: blue light about five times as much as red. So blue comes at us \
from all over the sky.

```python
def scattered(wavelength_nm: float) -> float:
    return (550 / wavelength_nm) ** 4   # relative to green
```

| color | nm | scattered |
|---|---|---|
| blue | 450 | 2.2 |
| red | 680 | 0.4 |
"""
CONFIG = """\
default_model = "claude-sonnet"
[providers.anthropic]
name = "Anthropic"
type = "anthropic"
api_key = "none"
[models.claude-sonnet]
provider = "anthropic"
model = "claude-sonnet-4-5"
[models.claude-opus]
provider = "anthropic"
model = "claude-opus-4-5"
[providers.openrouter]
name = "OpenRouter"
type = "openai"
base_url = "https://openrouter.ai/api/v1"
api_key = "none"
[models.kimi-k2]
provider = "openrouter"
model = "moonshotai/kimi-k2-thinking"
[models.glm]
provider = "openrouter"
model = "z-ai/glm-4.6"
[providers.openai]
name = "OpenAI"
type = "openai_responses"
api_key = "none"
[models.gpt]
provider = "openai"
model = "gpt-5.1"
[providers.here]
name = "llama.cpp"
type = "openai"
base_url = "URL/v1"
auth = "none"
[models.qwen]
provider = "here"
model = "qwen3-coder"
max_context_size = 32000
capabilities = ["thinking"]
"""
LOGIN = """\
[providers.acme]
name = "Acme"
type = "openai"
base_url = "LOGIN/coding/v1"

[providers.acme.oauth]
key = "acme"
device_url = "LOGIN/api/oauth/device_authorization"
token_url = "LOGIN/api/oauth/token"
client_id = "me"
"""


async def take() -> list[Path]:
    """Take all of them."""
    with TemporaryDirectory() as home:
        os.environ["MODELBAY_HOME"] = home
        os.environ.pop("NO_COLOR", None)
        async with _provider() as url, Simulator() as logins:
            logins.provider.logins.behave(LoginBehavior(approve_after=None))
            path = Path(home) / "config.toml"
            path.write_text((CONFIG + LOGIN).replace("LOGIN", logins.url).replace("URL", url), encoding="utf-8")
            app = ModelbayApp(path)
            async with app.run_test(size=SIZE) as pilot:
                return [await _shown(name, app, pilot) for name in PICTURES]


async def _shown(name: str, app: ModelbayApp, pilot: Pilot[None]) -> Path:
    """The app in one of its states, as a picture."""
    match name:
        case "chat":
            await _says("/new", app, pilot)  # removes the notice of the first start
            await _says("/model qwen", app, pilot)
            await _says(QUESTION, app, pilot)
            while app.chat_screen.answering or not app.state.chat.turns:
                await pilot.pause(0.05)
            app.chat_screen.transcript.toggle_thinking()
            app.chat_screen.say("")
        case "chat-light":
            await _says("/theme light", app, pilot)
            app.chat_screen.say("")
        case "model":
            await _says("/theme dark", app, pilot)
            await _says("/new", app, pilot)
            await _says("/model claude-sonnet", app, pilot)
            app.chat_screen.say("")
            await _says("/model", app, pilot)
        case "providers":
            await _says("/provider", app, pilot)
        case "custom":
            await _says("/provider", app, pilot)
            await pilot.press("end", "enter")
            await pilot.pause(0.3)
            await pilot.press("down", "down", "enter")
            await pilot.pause(0.3)
            for text in ("acme-ai", "Acme AI", "", "https://api.acme.example/v1", "sk-acme"):
                await _types(text, app, pilot)
                await pilot.press("down")
        case _:
            await _says("/login acme", app, pilot)
            await pilot.pause(1)
    await pilot.pause(0.5)
    picture = _saved(name, app.export_screenshot(title="modelbay"))
    while len(app.screen_stack) > 2:
        await pilot.press("escape")
    return picture


async def _says(text: str, app: ModelbayApp, pilot: Pilot[None]) -> None:
    await _types(text, app, pilot)
    await pilot.press("enter")
    await pilot.pause(0.3)


async def _types(text: str, app: ModelbayApp, pilot: Pilot[None]) -> None:
    for letter in text:
        app.post_message(events.Key("space" if letter == " " else letter, letter))
    await pilot.pause()


def _saved(name: str, svg: str) -> Path:
    """Write a picture without the fonts that it would fetch, and equal to the last one if the app is unchanged."""
    svg = re.sub(r"@font-face\s*{[^}]*}\s*", "", svg).replace("Fira Code", FONT)
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    svg = re.sub(r"127\.0\.0\.1:\d{5}", "127.0.0.1:18080", svg)  # another port and code each time
    svg = re.sub(r"\b[0-9A-F]{4}-[0-9A-F]{4}\b", "7F3A-91C2", svg)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.svg"
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")
    if name not in IN_README:
        return path
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        return path
    path.with_suffix(".png").write_bytes(bytes(svg_to_bytes(svg_string=svg)))
    return path


@asynccontextmanager
async def _provider() -> AsyncIterator[str]:
    """Say its one answer to everything."""

    def chunk(**delta: str) -> bytes:
        return b"data: " + msgspec.json.encode({"choices": [{"index": 0, "delta": delta}]}) + b"\n\n"

    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
           "usage": {"prompt_tokens": 23, "completion_tokens": 168, "total_tokens": 191}}  # fmt: skip
    pieces = [ANSWER[at : at + 9] for at in range(0, len(ANSWER), 9)]
    body = chunk(reasoning_content=THOUGHT) + b"".join(chunk(content=piece) for piece in pieces)
    body += b"data: " + msgspec.json.encode(end) + b"\n\ndata: [DONE]\n\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + body)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


if __name__ == "__main__":
    for picture in asyncio.run(take()):
        print(picture.relative_to(FOLDER.parent.parent))
