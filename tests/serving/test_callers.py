"""Allowed callers of modelbay's servers."""

import pytest

from modelbay.serving.callers import Callers


def refused(bound: str, host: str | None, origin: str | None = None, *names: str) -> bool:
    headers = [] if host is None else [(b"host", host.encode())]
    headers += [] if origin is None else [(b"origin", origin.encode())]
    return Callers(bound, frozenset(names)).refusal(headers) is not None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8750", "localhost", "LOCALHOST:1", "a.localhost:2", "[::1]:8750"]
)
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0", "::"])
def test_this_machine_by_its_own_names(host: str, bound: str) -> None:
    assert not refused(bound, host)
    assert not refused(bound, host, f"http://{host}")
    assert not refused(bound, host, "http://localhost:3000")


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:8750", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.5",
     "user@127.0.0.1", "127.0.0.1/x", "127.0.0.1 evil", "[::1", "169.254.169.254"],
)  # fmt: skip
def test_other_names_are_refused(host: str | None) -> None:
    assert refused("127.0.0.1", host)


@pytest.mark.parametrize(
    "origin",
    ["null", "", "https://evil.example", "http://127.0.0.1.evil.example", "http://192.168.1.5", "file://", "localhost",
     "chrome-extension://abcdef", "http://localhost@evil.example", "http://evil.example/localhost"],
)  # fmt: skip
def test_pages_of_other_sites_are_refused(origin: str) -> None:
    assert refused("127.0.0.1", "127.0.0.1:8750", origin)


@pytest.mark.parametrize(
    ("host", "fix"),
    [
        ("models.lan", ": add models.lan to hosts"),
        ("10.0.0.5:8484", ": add 10.0.0.5 to hosts"),
        ("a b", ""),
        ("<x>", ""),
        ("", ""),
    ],
)
def test_a_refusal_says_how_to_accept_a_name(host: str, fix: str) -> None:
    callers = Callers("127.0.0.1", fix="add {} to hosts")
    assert callers.refusal([(b"host", host.encode())]) == f"the Host header does not name this server{fix}"


def test_two_hosts_are_none() -> None:
    assert Callers("127.0.0.1").refusal([(b"host", b"127.0.0.1"), (b"host", b"evil.example")])


@pytest.mark.parametrize("origins", [("http://127.0.0.1", "https://evil.example"), ("http://127.0.0.1",) * 2])
def test_two_origins_are_refused(origins: tuple[str, str]) -> None:
    headers = [(b"host", b"127.0.0.1"), *((b"origin", origin.encode()) for origin in origins)]
    assert Callers("127.0.0.1").refusal(headers)


def test_bound_and_allowed_hosts_are_served() -> None:
    assert not refused("192.168.1.5", "192.168.1.5:8750", "http://192.168.1.5:8750")
    assert not refused("box.lan", "BOX.lan:1")
    assert refused("192.168.1.5", "192.168.1.6")
    assert not refused("127.0.0.1", "box.lan:1", "https://box.lan", "box.lan")


def test_a_server_at_all_addresses_is_called_by_any_address_but_by_no_foreign_name() -> None:
    assert not refused("0.0.0.0", "192.168.1.5:8750")
    assert not refused("::", "[fd00::5]:8750")
    assert refused("0.0.0.0", "evil.example")
