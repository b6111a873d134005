"""Several choices in one response: each is rendered alone by the codec, and its chunks or bodies are then joined."""

from collections.abc import Iterator
from typing import Any

import msgspec

from modelbay.json_text import decode
from modelbay.simulator.odd_streams import rewritten
from modelbay.simulator.responses import Step

LISTS = ("choices", "candidates")
"""The lists of choices in Chat Completions and in Gemini."""

_END = b"data: [DONE]\n\n"


def joined_body(bodies: list[bytes]) -> bytes:
    """One body with the choices of all."""
    found = [decode(body) for body in bodies]
    for index, body in enumerate(found):
        for name in LISTS:
            if name in body:
                found[0][name] = [*(found[0][name] if index else ()), *_numbered(body[name], index)]
    return msgspec.json.encode(found[0])


def joined_stream(streams: list[Iterator[Step]]) -> Iterator[Step]:
    """The chunks of all choices, one choice after the other. The end of the stream and the usage are those of the last one."""
    for index, steps in enumerate(streams):
        last = index == len(streams) - 1

        def change(chunk: dict[str, Any], index: int = index, *, last: bool = last) -> list[dict[str, Any]]:
            for name in LISTS:
                if chunk.get(name):
                    _numbered(chunk[name], index)
                    return [chunk]
            return [chunk] if last else []

        for step in rewritten(steps, change):
            yield step if last or type(step) is not bytes else step.replace(_END, b"")


def _numbered(choices: list[dict[str, Any]], index: int) -> list[dict[str, Any]]:
    for choice in choices:
        choice["index"] = index
    return choices
