"""A program that takes the place of an agent on the PATH. Its arguments are actions, which it does one after the other."""

import json
import os
import signal
import sys
import termios
import time
import tty
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen


def show(file: str) -> None:
    """Write its arguments, environment and process ID to a file, and the content of its settings."""
    seen: dict[str, Any] = {"arguments": sys.argv[1:], "environment": dict(os.environ), "pid": os.getpid()}
    if "--settings" in sys.argv:
        settings = Path(sys.argv[sys.argv.index("--settings") + 1])
        modes = [oct(path.stat().st_mode & 0o777) for path in (settings.parent, settings)]
        seen |= {"settings": json.loads(settings.read_text()), "folder": str(settings.parent), "modes": modes}
    new = Path(f"{file}.new")
    new.write_text(json.dumps(seen))
    new.rename(file)


def ask(file: str) -> None:
    """Ask its model, and write the answer to a file."""
    env = os.environ
    body = {
        "model": env["ANTHROPIC_MODEL"],
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello"}],
    }
    custom = dict(line.split(": ", 1) for line in env.get("ANTHROPIC_CUSTOM_HEADERS", "").splitlines())
    token = {"authorization": f"Bearer {env['ANTHROPIC_AUTH_TOKEN']}"}
    headers = {"content-type": "application/json", "anthropic-version": "2023-06-01"} | custom | token
    url = f"{env['ANTHROPIC_BASE_URL']}/v1/messages"
    with urlopen(Request(url, json.dumps(body).encode(), headers), timeout=60) as response:
        answer = json.load(response)
    Path(file).write_text("".join(part.get("text", "") for part in answer["content"]))


def store(file: str) -> None:
    """Store a model as the default one in a file of the user's home, as `/model` does."""
    path, _, model = file.partition("=")
    target = Path.home() / path
    target.parent.mkdir(parents=True, exist_ok=True)
    before = target.read_text() if target.exists() else ""
    target.write_text(before + f'model = "{model}"\n' if path.endswith(".toml") else json.dumps({"model": model}))


def wait(file: str) -> None:
    """Wait until a file exists."""
    while not Path(file).exists():
        time.sleep(0.02)


def catch(file: str) -> None:
    """Write the names of the signals that it gets to a file, until SIGUSR2."""
    got: list[str] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: got.append(signal.Signals(number).name))
    Path(f"{file}.ready").touch()
    while "SIGUSR2" not in got:
        time.sleep(0.02)
    Path(file).write_text(" ".join(got))


def screen(_: str) -> None:
    """Fill the screen in raw mode, as full-screen agents do: keys are not signals, and it draws again after its stop."""
    before = termios.tcgetattr(0)

    def enter(*_: object) -> None:
        tty.setraw(0)
        os.write(1, b"\x1b[?1049h")
        draw()

    def draw(*_: object) -> None:
        columns, lines = os.get_terminal_size()
        os.write(1, f"\x1b[2J\x1b[Hsize {columns}x{lines}, keys {keys!r}".encode())

    def leave() -> None:
        os.write(1, b"\x1b[?1049l")
        termios.tcsetattr(0, termios.TCSADRAIN, before)

    keys = ""
    signal.signal(signal.SIGWINCH, draw)
    signal.signal(signal.SIGCONT, enter)
    enter()
    while (key := os.read(0, 1).decode()) != "q":
        if key == "\x1a":  # Ctrl-Z
            leave()
            os.kill(os.getpid(), signal.SIGSTOP)
        else:
            keys += key
            draw()
    leave()


def main() -> None:
    words = iter(sys.argv[1:])
    for word in words:
        match word:
            case "--version":
                print("2.3.4 (Fake)")
            case "exit":
                sys.exit(int(next(words)))
            case "die":
                os.kill(os.getpid(), int(next(words)))
            case "show" | "ask" | "store" | "wait" | "catch" | "screen":
                actions = {"show": show, "ask": ask, "store": store, "wait": wait, "catch": catch, "screen": screen}
                actions[word](next(words))


main()
