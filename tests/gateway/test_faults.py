"""Every fault of the simulator through the gateway: what a client of each protocol gets, passed on and translated."""

from collections.abc import Iterator
from urllib.parse import quote

import aiohttp
import pytest

from modelbay.config.provider_types import TYPE_OF
from modelbay.dialect import PLAIN
from modelbay.events import Failed, Reply, collect
from modelbay.gateway import retries
from modelbay.protocols.codec import codec
from modelbay.routing.retry import Policy
from modelbay.simulator import Simulator, simulated_provider
from modelbay.simulator.faults import parse
from tests.fault_config import BASES, KEY, LONG, REACHED, noted
from tests.gateway.running import KEY as CLIENT_KEY
from tests.gateway.running import PROTOCOLS, RunningGateway
from tests.gateway.test_app import request
from tests.test_fault_matrix import TABLE, Row

PROMPT = "Say hello"
ATTEMPTS = 3
STATUSES = {
    "BadRequest": {400},
    "AuthenticationFailed": {403},
    "PermissionDenied": {403},
    "NotFound": {404},
    "RequestTooLarge": {413},
    "RateLimited": {429},
    "ContextOverflow": {400},
    "QuotaExhausted": {402, 429, 400},
    "ServerError": {500, 502},
    "Overloaded": {503, 529},
    "TimedOut": {504},
    "MalformedReply": {502},
    "IncompleteReply": {502},
    "Disconnected": {502},
    "Redirected": {502},
}
"""The status of a failure before content. Protocols have several for an account without credit and for overload."""
FINISHES = {"content_filter": {"content_filter", "refusal"}, "refusal": {"content_filter", "refusal"}}
"""Reasons that a client's protocol may have instead."""
UNKNOWN_REASON = {"openai_chat": "length", "openai_responses": "length", "anthropic": "length"}
"""The reason that a client of each protocol gets for an unknown one."""


def other(row: Row, client: str) -> str:
    """Another protocol than the client's: over all rows, every pair occurs."""
    others = [protocol for protocol in PROTOCOLS if protocol != client]
    return others[TABLE.index(row) % len(others)]


def config_text(url: str) -> str:
    """A provider of each protocol, and one for each limit that a fault reaches."""
    lines = []
    for protocol, base in BASES.items():
        for fault in ("", *REACHED):
            limits = REACHED.get(fault, {})
            waits = {name: limits.get(name, LONG) for name in ("connect", "first_byte", "idle", "content")}
            waits["first_event"] = waits["content"]
            lines += [
                f"[providers.{protocol}{fault and '-' + fault}]",
                f'type = "{TYPE_OF[protocol]}"',
                f'base_url = "{url}{base}"',
                f'api_key = "{KEY}"',
                f"timeout = {{ {', '.join(f'{name} = {value}' for name, value in waits.items())} }}",
            ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(key=KEY) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def url(sim: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = tmp_path_factory.mktemp("gateway") / "config.toml"
    config.write_text(config_text(sim.url))
    with RunningGateway(config) as gateway:
        yield gateway.url


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "USUAL", Policy(ATTEMPTS, base=0.01, cap=0.01, patience=retries.USUAL.patience))


class Told:
    """A response as a client of its protocol reads it."""

    def __init__(self, protocol: str, status: int, headers: dict[str, str], data: bytes) -> None:
        self.status = status
        self.headers = headers
        self.data = data
        of = codec(protocol)
        if status >= 400:
            assert headers["content-type"].startswith(("application/json", "text/html")), headers
            self.reply: Reply = collect([Failed(of.parse_error(status, headers, data))])
        elif headers["content-type"].startswith("text/event-stream"):
            parser = of.stream_parser(PLAIN)
            self.reply = collect([*parser.feed(data), *parser.close()])
        else:
            self.reply = collect(of.parse_reply(data, PLAIN))


async def asked(url: str, client: str, model: str, *, stream: bool) -> Told:
    path, body = request(client, quote(model, safe="/!") if client == "google" else model, PROMPT, stream=stream)
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {CLIENT_KEY}"}) as session,
        session.post(url + path, json=body) as response,
    ):
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Told(client, response.status, headers, await response.read())


def expected(row: Row, upstream: str, *, stream: bool) -> tuple[str, int]:
    """How the reply ends, and the attempts: those of the Hub, but at most `ATTEMPTS`."""
    wanted = row.but.get(upstream, row.stream)
    if not stream:
        wanted = row.whole or ("stop" if row.fault == "missing-end=mark" else wanted)
    if row.fault == "503=0*3":
        wanted = "Overloaded"
    attempts = row.attempts if stream else row.whole_attempts or row.attempts
    return wanted, min(attempts, ATTEMPTS)


def sent_again(fault: str) -> bool:
    """Whether the transport may send a call once more: a kept connection that ends without a reply may have been closed
    before."""
    return fault.startswith("cut-before")


@pytest.mark.parametrize("way", ["passed", "translated"])
@pytest.mark.parametrize("client", PROTOCOLS)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.fault)
async def test_a_fault_ends_as_its_client_understands(
    sim: Simulator, url: str, row: Row, client: str, way: str
) -> None:
    upstream = client if way == "passed" else other(row, client)
    provider = f"{upstream}-{row.fault}" if row.fault in REACHED else upstream
    for stream in (True, False) if "date:" not in row.fault else (True,):
        sim.reset()
        told = await asked(url, client, f"{provider}/sim-1!{row.fault}", stream=stream)
        wanted, attempts = expected(row, upstream, stream=stream)
        assert KEY not in told.data.decode("utf-8", "replace") + str(told.headers)
        if wanted in STATUSES:
            # white space that fills the buffer of a stream counts as content
            begun = stream and attempts == 1 and (bool(row.text) or row.fault.startswith("gzip-bomb"))
            check_failure(row, told, wanted, begun=begun)
        else:
            check_success(row, told, wanted, client)
        assert len(sim.journal.calls()) in {*noted(row.fault, attempts), attempts + sent_again(row.fault)}
        if "x-modelbay-attempts" in told.headers:
            assert told.headers["x-modelbay-attempts"] == str(attempts)
        for entry in sim.journal.calls():
            await entry.wait_over(LONG)


def check_success(row: Row, told: Told, wanted: str, client: str) -> None:
    assert told.status == 200, told.data
    assert told.reply.text.startswith(row.text)
    if row.text == "You asked":
        assert PROMPT in told.reply.text, "the whole answer"
    if wanted == "other" and client == "google":
        assert b'"finishReason":"' in told.data  # its clients know OTHER, which our parser reads as a failure
        return
    assert told.reply.error is None, told.data
    assert told.reply.finish
    reasons = FINISHES.get(wanted, {wanted})
    assert told.reply.finish.reason in reasons | ({UNKNOWN_REASON[client]} if wanted == "other" else set()), told.data


def check_failure(row: Row, told: Told, wanted: str, *, begun: bool) -> None:
    """`begun`: content was sent before the failure, which is then an event of the stream."""
    assert told.reply.error is not None, told.data
    assert told.reply.error.message
    fault = parse(row.fault)
    assert fault
    if begun:
        assert told.status == 200
        assert told.reply.text.startswith(row.text), "the part before the failure"
        assert PROMPT not in told.reply.text or fault.name in ("missing-end", "odd-finish")
        return
    assert told.status in STATUSES[wanted], told.data
    if row.fault == "429=90":
        assert told.headers["retry-after"] == "90"


SIDE_STATUSES = {
    "400": 400,
    "401": 403,
    "403": 403,
    "404": 404,
    "413": 413,
    "429": 429,
    "429=7": 429,
    "500": 500,
    "503": 503,
    "html": 502,
    "html=502": 502,
    "redirect": 502,
    "cut-before": 502,
    "cut-before=close": 502,
    "slow-headers": 504,
    "slow-first-token": 504,
}


@pytest.mark.parametrize("fault", SIDE_STATUSES)
@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/completions", "/v1/moderations"])
async def test_a_call_that_is_only_sent_on_fails_with_a_fitting_status(
    sim: Simulator, url: str, path: str, fault: str
) -> None:
    sim.reset()
    provider = f"openai_chat-{fault}" if fault in REACHED else "openai_chat"
    body = {"model": f"{provider}/sim-1", "input": "Hello", "prompt": "Hello", "encoding_format": "base64"}
    headers = {"Authorization": f"Bearer {CLIENT_KEY}", "openai-fault": fault}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulated_provider, "FAULT_HEADER", "openai-fault")
        async with aiohttp.ClientSession(headers=headers) as session, session.post(url + path, json=body) as response:
            data = await response.read()
    assert response.status == SIDE_STATUSES[fault], data
    error = codec("openai_chat").parse_error(response.status, {}, data)
    assert error.message
    assert KEY not in data.decode()
    if fault == "429=7":
        assert response.headers["retry-after"] == "7"
    assert len(sim.journal) in {*noted(fault, 1), 1 + sent_again(fault)}
