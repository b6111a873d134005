"""The device flow: against the simulator's login server, with a clock of its own, and against servers with other behavior."""

import json
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import parse_qsl

import pytest

from modelbay.credentials.oauth import CODES, Code, Flow, Refused, TokenSet, log_in, refreshed, revoke
from modelbay.errors import (
    AuthenticationFailed,
    ConnectFailed,
    Disconnected,
    MalformedReply,
    ModelbayError,
    ServerError,
    TimedOut,
)
from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from modelbay.transport import Request, Transport


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


class Server:
    """Answers forms with what a test says, in turn; the last again and again."""

    def __init__(self, *answers: tuple[int, bytes] | ModelbayError) -> None:
        self.answers = list(answers)
        self.forms: list[dict[str, str]] = []

    async def __call__(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        self.forms.append(dict(parse_qsl((body or b"").decode())))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ModelbayError):
            raise answer
        return answer[0], {}, answer[1]


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        yield running


async def kept(tokens: TokenSet) -> None:
    """Tokens are looked at, and not stored."""


def flow(sim: Simulator) -> Flow:
    return Flow(f"{sim.url}/api/oauth/device_authorization", f"{sim.url}/api/oauth/token", "tests", "models")


async def logged_in(sim: Simulator, time: Time, show: Callable[[Code], object] = lambda _: None) -> TokenSet:
    sim.provider.logins.clock = time
    async with Transport() as transport:

        async def send(
            method: str, url: str, headers: dict[str, str], body: bytes | None
        ) -> tuple[int, Mapping[str, str], bytes]:
            async with await transport.send(Request(method, url, headers, body)) as response:
                return response.status, response.headers, await response.read()

        return await log_in(flow(sim), send, show, kept, clock=time, sleep=time.sleep)


CODE = b'{"device_code":"d-1234567","user_code":"AB-CD","verification_uri":"https://acme.test/device"%b}'
FLOW = Flow("https://acme.test/device", "https://acme.test/token", "tests")
GRANT = b'{"access_token":"a-1234567","refresh_token":"r-1234567","expires_in":900}'
PENDING = b'{"error":"authorization_pending"}'


async def test_a_login_that_is_approved_gives_tokens_that_work(sim: Simulator) -> None:
    time, shown = Time(), list[Code]()
    tokens = await logged_in(sim, time, shown.append)
    assert sim.provider.logins.accepts(tokens.access_token)
    assert tokens.refresh_token and tokens.expires_in == 900 and tokens.token_url == flow(sim).token_url
    assert time.slept == [5.0] * 3, "RFC 8628's five seconds, as the server gives no interval"
    assert len(shown) == 1 and shown[0].uri_complete == f"{sim.url}/simulate/approve?user_code={shown[0].user_code}"
    assert "sim-access" not in repr(tokens)


async def test_a_person_approves_at_the_page(sim: Simulator) -> None:
    sim.provider.logins.behave(LoginBehavior(approve_after=None))
    time = Time()

    def approve(code: Code) -> None:
        assert sim.provider.logins.decide(code.user_code)

    assert (await logged_in(sim, time, approve)).access_token


async def test_a_denied_login_is_over(sim: Simulator) -> None:
    sim.provider.logins.behave(LoginBehavior(approve_after=None))
    with pytest.raises(AuthenticationFailed, match="denied: the user said no"):
        await logged_in(sim, Time(), lambda code: sim.provider.logins.decide(code.user_code, approve=False))


async def test_slow_down_slows_for_good(sim: Simulator) -> None:
    time = Time()
    sim.provider.logins.behave(LoginBehavior(interval=1, faults=["slow_down", "", "slow_down"]))
    await logged_in(sim, time)
    assert time.slept == [1.0, 6.0, 6.0, 11.0, 11.0]


async def test_an_expired_code_is_followed_by_a_new_one(sim: Simulator) -> None:
    time, shown = Time(), list[Code]()
    sim.provider.logins.behave(LoginBehavior(approve_after=3, code_lasts=12))
    sim.provider.logins.behavior.faults = []

    def show(code: Code) -> None:
        shown.append(code)
        if len(shown) == 2:
            sim.provider.logins.behavior.approve_after = 0

    await logged_in(sim, time, show)
    assert len({code.user_code for code in shown}) == 2


async def test_a_server_that_says_expired_early_is_asked_for_a_new_code(sim: Simulator) -> None:
    shown = list[Code]()
    sim.provider.logins.behave(LoginBehavior(faults=["expired"]))
    await logged_in(sim, Time(), shown.append)
    assert len(shown) == 2


async def test_a_server_that_lets_every_code_expire_is_given_up(sim: Simulator) -> None:
    shown = list[Code]()
    sim.provider.logins.behave(LoginBehavior(faults=["expired"] * 100))
    with pytest.raises(Refused, match="expired_token"):
        await logged_in(sim, Time(), shown.append)
    assert len(shown) == CODES


async def test_a_null_error_is_not_an_error() -> None:
    time = Time()
    server = Server((200, CODE % b',"error":null'), (200, GRANT.replace(b"}", b',"error":null}')))
    old = await log_in(FLOW, server, lambda _: None, kept, clock=time, sleep=time.sleep)
    assert (await refreshed(FLOW, old, server)).access_token == "a-1234567"


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b'{"access_token":""}',
        b'{"access_token":7}',
        b'{"access_token":"a\\u0007b"}',
        b'{"access_token":"a-1234567","token_type":"DPoP"}',
        b'{"access_token":"a-1234567","token_type":7}',
    ],
)
async def test_an_unusable_grant_is_reported_at_once(answer: bytes) -> None:
    time, server = Time(), Server((200, CODE % b""), (400, PENDING), (200, answer))
    with pytest.raises(MalformedReply, match="invalid response from the login server"):
        await log_in(FLOW, server, lambda _: None, kept, clock=time, sleep=time.sleep)
    assert len(server.forms) == 3


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
async def test_the_token_type_is_read_without_its_case(kind: str) -> None:
    time, server = Time(), Server((200, CODE % b""), (200, GRANT.replace(b"}", b',"token_type":"%b"}' % kind.encode())))
    assert (await log_in(FLOW, server, lambda _: None, kept, clock=time, sleep=time.sleep)).obtained_by == "modelbay"


def metadata(**said: object) -> tuple[int, bytes]:
    return 200, json.dumps({"token_endpoint": "https://acme.test/token", **said}).encode()


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (metadata(revocation_endpoint="https://acme.test/revoke"), True),
        (metadata(revocation_endpoint="https://evil.test/revoke"), False),
        (metadata(revocation_endpoint="http://acme.test/revoke"), False),
        (metadata(revocation_endpoint=["https://acme.test/revoke"]), False),
        (metadata(token_endpoint="https://acme.test/other", revocation_endpoint="https://acme.test/revoke"), False),
        ((404, b"not found"), False),
        ((200, b"<html>"), False),
        (ConnectFailed("no route"), False),
    ],
)
async def test_a_token_is_revoked_only_where_its_own_server_says(
    answer: tuple[int, bytes] | ModelbayError, asked: bool
) -> None:
    server = Server(answer, (200, b"")) if asked else Server(answer)
    tokens = TokenSet(access_token="a-1234567", refresh_token="r-1234567")
    assert await revoke(FLOW, tokens, server) is asked
    form = {"token": "r-1234567", "token_type_hint": "refresh_token", "client_id": "tests"}
    assert [form for form in server.forms if form] == [form] * asked


async def test_the_metadata_of_an_issuer_in_a_folder_is_found() -> None:
    asked: list[str] = []

    async def send(method: str, url: str, *_: object) -> tuple[int, Mapping[str, str], bytes]:
        asked.append(url)
        return 404, {}, b""

    flow = Flow("https://a.test/d", "https://a.test/realms/acme/protocol/openid-connect/token", "tests")
    assert not await revoke(flow, TokenSet(access_token="a-1234567"), send)
    assert "https://a.test/realms/acme/.well-known/openid-configuration" in asked
    assert "https://a.test/.well-known/oauth-authorization-server" in asked


async def test_a_network_that_fails_while_polling_is_waited_for(sim: Simulator) -> None:
    sim.provider.logins.behave(LoginBehavior(faults=["drop", "500", "drop"]))
    assert (await logged_in(sim, Time())).access_token


async def test_a_login_without_approval_ends_after_fifteen_minutes(sim: Simulator) -> None:
    time, shown = Time(), list[Code]()
    sim.provider.logins.behave(LoginBehavior(approve_after=None))
    with pytest.raises(TimedOut, match="within 15 minutes"):
        await logged_in(sim, time, shown.append)
    assert time.now - 1_000 <= 900
    assert len(shown) == 2, "a code lasts ten"


async def test_a_lasting_network_failure_is_reported_at_the_end() -> None:
    time = Time()
    server = Server((200, CODE % b""), ConnectFailed("no route"))
    with pytest.raises(ConnectFailed):
        await log_in(FLOW, server, lambda _: None, kept, clock=time, sleep=time.sleep)
    assert 800 < time.now - 1_000 <= 900


async def test_a_device_code_is_good_once(sim: Simulator) -> None:
    logins, shown = sim.provider.logins, list[Code]()
    await logged_in(sim, Time(), shown.append)
    form = f"grant_type=urn:ietf:params:oauth:grant-type:device_code&device_code={shown[0].device_code}"
    assert logins.token(form.encode()).status == 400


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, b'{"error":"invalid_client"}'), Refused),
        ((404, b"<html>nothing here</html>"), Refused),
        ((502, b"<html>"), ServerError),
        ((200, b"<html>"), MalformedReply),
        ((200, b"[]"), MalformedReply),
        ((200, b'{"user_code":"A"}'), MalformedReply),
        ((200, CODE.replace(b"https:", b"javascript:") % b""), MalformedReply),
        (Disconnected("gone"), Disconnected),
    ],
)
async def test_a_server_without_a_code_is_reported(
    answer: tuple[int, bytes] | ModelbayError, error: type[ModelbayError]
) -> None:
    with pytest.raises(error):
        await log_in(FLOW, Server(answer), lambda _: None, kept)


@pytest.mark.parametrize("interval", [b"0", b"-3", b'"x"', b"null"])
async def test_an_interval_that_makes_no_sense_is_five_seconds(interval: bytes) -> None:
    time = Time()
    server = Server((200, CODE % (b',"interval":' + interval)), (400, PENDING), (200, GRANT))
    await log_in(FLOW, server, lambda _: None, kept, clock=time, sleep=time.sleep)
    assert time.slept == [5.0, 5.0]


async def test_the_forms_are_those_of_the_rfcs() -> None:
    time, server = Time(), Server((200, CODE % b""), (200, GRANT))
    flow = Flow(FLOW.device_url, FLOW.token_url, "tests", "models offline_access")
    old = await log_in(flow, server, lambda _: None, kept, clock=time, sleep=time.sleep)
    await refreshed(flow, old, server)
    assert server.forms == [
        {"client_id": "tests", "scope": "models offline_access"},
        {
            "client_id": "tests",
            "device_code": "d-1234567",
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        },
        {"client_id": "tests", "grant_type": "refresh_token", "refresh_token": "r-1234567"},
    ]


async def test_a_server_that_rotates_nothing_leaves_the_refresh_token_good() -> None:
    old = TokenSet(access_token="a", refresh_token="kept-1234", scope="s", origin="https://api.acme.test")
    new = await refreshed(FLOW, old, Server((200, b'{"access_token":"b-1234567","expires_in":"60"}')), lambda: 100.0)
    assert (new.access_token, new.refresh_token, new.expires_at) == ("b-1234567", "kept-1234", 160)
    assert (new.scope, new.origin) == ("s", "https://api.acme.test")


@pytest.mark.parametrize(
    ("status", "body", "final"),
    [
        (400, b'{"error":"invalid_grant"}', True),
        (401, b'{"error":"invalid_grant"}', True),
        (200, b'{"error":"bad_refresh_token"}', True),
        (401, b'{"error":"unauthorized"}', False),
        (401, b'{"error":"invalid_client"}', False),
        (403, b'{"message":"blocked by the firewall"}', False),
        (403, b'{"error":{"code":"invalid_grant"}}', False),
        (403, b"<html>a proxy's page</html>", False),
        (400, b'{"error":"invalid_request"}', False),
        (404, b"", False),
    ],
)
async def test_only_an_error_about_the_refresh_token_ends_a_login(status: int, body: bytes, final: bool) -> None:
    with pytest.raises(Refused) as caught:
        await refreshed(FLOW, TokenSet(access_token="a", refresh_token="r"), Server((status, body)))
    assert caught.value.final is final
