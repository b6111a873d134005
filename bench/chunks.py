"""Cost of one chunk of a stream: decoding, and translation from each protocol to each."""

import json
from collections.abc import Callable, Iterator

import httpx2
import msgspec

from bench.clock import side_by_side
from bench.streams import DELTAS, Stream
from bench.table import ratio, table
from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN
from modelbay.protocols.codec import NAMES, codec


def decoding(protocol: str, stream: Stream) -> Callable[[], object]:
    def run() -> None:
        parser = codec(protocol).stream_parser(PLAIN)
        for read in stream.reads:
            parser.feed(read)
        parser.close()

    return run


def translating(protocol: str, to: str, stream: Stream) -> Callable[[], object]:
    def run() -> None:
        parser = codec(protocol).stream_parser(PLAIN)
        renderer = codec(to).stream_renderer(Conversation(model="m", stream=True))
        for read in stream.reads:
            b"".join([renderer.feed(event) for event in parser.feed(read)])
        parser.close()

    return run


class _Body(httpx2.SyncByteStream):
    """A body that arrives in the reads of a stream."""

    def __init__(self, reads: list[bytes]) -> None:
        self._reads = reads

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._reads)


def _client(stream: Stream) -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=_Body(stream.reads))

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def official(protocol: str, stream: Stream) -> Callable[[], object] | None:
    """The official SDK of a protocol reading the stream, with everything but the network."""
    if protocol == "openai_chat":
        import openai

        chat = openai.OpenAI(api_key="none", http_client=_client(stream)).chat.completions

        def run_openai() -> None:
            for _ in chat.create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=True):
                pass

        return run_openai
    if protocol == "openai_responses":
        import openai

        responses = openai.OpenAI(api_key="none", http_client=_client(stream)).responses

        def run_responses() -> None:
            for _ in responses.create(model="m", input="Hi", stream=True):
                pass

        return run_responses
    if protocol == "anthropic":
        import anthropic

        messages = anthropic.Anthropic(api_key="none", http_client=_client(stream)).messages

        def run_anthropic() -> None:
            for _ in messages.create(
                model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}], stream=True
            ):
                pass

        return run_anthropic
    return None


def _each(decode: Callable[[bytes], object], payloads: list[bytes]) -> Callable[[], object]:
    return lambda: [decode(payload) for payload in payloads]


def report() -> str:
    decoded, translated = [], []
    kinds = [(protocol, "text") for protocol in NAMES] + [("openai_chat", "thinking"), ("openai_chat", "arguments")]
    for protocol, kind in kinds:
        stream = Stream(protocol, kind=kind)
        plain = [_each(json.loads, stream.payloads), _each(msgspec.json.decode, stream.payloads)]
        ours = [decoding(protocol, stream), *[translating(protocol, to, stream) for to in NAMES]]
        sdk = official(protocol, stream)
        base, fast, ours_in, *out = side_by_side([*plain, *ours, *([sdk] if sdk else [])], DELTAS)
        theirs = ratio(out.pop(), base) if sdk else "-"
        size = sum(map(len, stream.payloads)) // DELTAS
        name = protocol if kind == "text" else f"{protocol}, {kind}"
        decoded.append([name, f"{size}", f"{base:.2f}", ratio(fast, base), ratio(ours_in, base), theirs])
        translated.append([name, *[ratio(took, base) for took in out]])
    head = ["", "bytes", "json.loads µs", "msgspec alone", "modelbay", "official SDK"]
    return "\n".join(
        [
            table("Decode a chunk (ratios to json.loads of the same chunk)", head, decoded),
            table(
                "Decode, to events, encode (ratios to json.loads of the chunk read)", ["from, to", *NAMES], translated
            ),
        ]
    )
