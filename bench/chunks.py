"""What one chunk of a stream costs: decoded, and translated from each protocol to each."""

import json
from collections.abc import Callable, Iterator

import httpx2
import msgspec

from bench.clock import microseconds
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


def report() -> str:
    decoded, translated = [], []
    for protocol in NAMES:
        stream = Stream(protocol)
        payloads = stream.payloads
        base = microseconds(lambda payloads=payloads: [json.loads(payload) for payload in payloads], DELTAS)  # type: ignore[misc]
        fast = microseconds(lambda payloads=payloads: [msgspec.json.decode(payload) for payload in payloads], DELTAS)  # type: ignore[misc]
        ours = microseconds(decoding(protocol, stream), DELTAS)
        sdk = official(protocol, stream)
        theirs = microseconds(sdk, DELTAS) if sdk else None
        size = f"{sum(map(len, payloads)) // DELTAS}"
        decoded.append(
            [
                protocol,
                size,
                f"{base:.2f}",
                ratio(fast, base),
                ratio(ours, base),
                ratio(theirs, base) if theirs else "-",
            ]
        )
        out = [microseconds(translating(protocol, to, stream), DELTAS) for to in NAMES]
        translated.append([protocol, *[ratio(took, base) for took in out]])
    head = ["", "bytes", "json.loads µs", "msgspec alone", "modelbay", "official SDK"]
    return "\n".join(
        [
            table("Decode a chunk (ratios to json.loads of the same chunk)", head, decoded),
            table(
                "Decode, to events, encode (ratios to json.loads of the chunk read)", ["from, to", *NAMES], translated
            ),
        ]
    )
