"""One library in a process of its own: `python -m bench.library.worker NAME PLACE`. Some libraries have threads that work in the
background, whose processor time would count for another one.

It reads what to do from standard input, and prints the processor time in seconds after each: `call N` makes N calls one after the
other, `stream N` reads N streams at the same time.
"""

import asyncio
import gc
import sys
import time

import msgspec

from bench.gateway.traffic import text_of
from bench.library.clients import CLIENTS, Client, Place
from bench.streams import WORDS


async def run(name: str, place: Place) -> None:
    client = await CLIENTS[name](place)
    streamed = "".join(WORDS[number % len(WORDS)] for number in range(place.stream.chunks))
    print("ready", flush=True)
    while words := (await asyncio.to_thread(sys.stdin.readline)).split():
        gc.collect()
        began = time.process_time()
        if words[0] == "call":
            found = [await client.call() for _ in range(int(words[1]))]
            expected = text_of(place.whole.bytes)
        else:
            found = await asyncio.gather(*(_read(client) for _ in range(int(words[1]))))
            expected = streamed
        took = time.process_time() - began
        if any(text != expected for text in found):
            raise RuntimeError(f"{name} read another text: {found[0][:100]}")
        print(took, flush=True)
    if client.close is not None:
        await client.close()


async def _read(client: Client) -> str:
    return "".join([text async for text in client.stream()])


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Place)))
