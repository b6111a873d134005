"""The proxy for an origin, for every form of the environment variables and of `[network]`."""

import pytest

from modelbay.config.proxies import SETTING, proxies
from modelbay.origin import origin

CLEAN = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD")


def found(monkeypatch: pytest.MonkeyPatch, url: str, setting: str | None = None, **variables: str) -> str | None:
    for name in CLEAN:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxies(setting).of(origin(url))
    return None if proxy is None else f"{proxy.url} ({proxy.setting})"


@pytest.mark.parametrize(
    ("variables", "url", "wanted"),
    [
        ({}, "https://a.example", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://a.example", "http://p:1 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://p:1"}, "http://a.example", None),
        ({"https_proxy": "http://p:1"}, "https://a.example", "http://p:1 (https_proxy)"),
        (
            {"https_proxy": "http://low:1", "HTTPS_PROXY": "http://up:1"},
            "https://a.example",
            "http://low:1 (https_proxy)",
        ),
        ({"HTTP_PROXY": "p:3128"}, "http://a.example", "http://p:3128 (HTTP_PROXY)"),
        ({"http_proxy": "p:3128"}, "http://a.example", "http://p:3128 (http_proxy)"),
        ({"HTTP_PROXY": "http://p:1", "REQUEST_METHOD": "GET"}, "http://a.example", None),
        ({"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "http://a.example", "http://p:1 (http_proxy)"),
        ({"ALL_PROXY": "socks5h://p:1"}, "https://a.example", "socks5h://p:1 (ALL_PROXY)"),
        ({"all_proxy": "socks://p:1"}, "http://a.example", "socks5://p:1 (all_proxy)"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "http://p:1"}, "https://a.example", "http://p:1 (HTTPS_PROXY)"),
        ({"ALL_PROXY": "http://all:1", "HTTPS_PROXY": "  "}, "https://a.example", "http://all:1 (ALL_PROXY)"),
        ({"ALL_PROXY": "HTTP://p:1"}, "http://a.example", "http://p:1 (ALL_PROXY)"),
    ],
)
def test_the_proxy_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, wanted: str | None
) -> None:
    assert found(monkeypatch, url, **variables) == wanted


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://127.8.8.8", "http://localhost", "https://a.localhost", "http://[::1]"]
)
@pytest.mark.parametrize("setting", [None, "http://p:1"])
def test_this_machine_is_never_reached_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, url: str, setting: str | None
) -> None:
    assert found(monkeypatch, url, setting, ALL_PROXY="http://p:1") is None


@pytest.mark.parametrize(
    ("entries", "url", "direct"),
    [
        ("*", "https://a.example", True),
        ("a.example", "https://a.example", True),
        ("A.Example", "https://a.EXAMPLE", True),
        ("a.example.", "https://a.example", True),
        ("a.example", "https://x.a.example", True),
        ("a.example", "https://xa.example", False),
        (".a.example", "https://x.a.example", True),
        (".a.example", "https://a.example", True),
        ("*.a.example", "https://x.a.example", True),
        ("x.a.example", "https://a.example", False),
        ("b.example, a.example", "https://a.example", True),
        ("b.example a.example", "https://a.example", True),
        ("b.example,,a.example,", "https://a.example", True),
        ("a.example:443", "https://a.example", True),
        ("a.example:8443", "https://a.example", False),
        ("a.example:8443", "https://a.example:8443", True),
        (".example:80", "http://a.example", True),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.0.0.7/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "http://a.example", False),
        ("10.1.2.3", "http://10.1.2.3:8000", True),
        ("10.1.2.3:8000", "http://10.1.2.3:8000", True),
        ("10.1.2.3:8001", "http://10.1.2.3:8000", False),
        ("10.1.2.3", "http://110.1.2.3", False),
        ("2.3", "http://10.1.2.3", False),
        ("fd00::/8", "http://[fd00::1]", True),
        ("[fd00::]/8", "http://[fd00::1]", True),
        ("fd00::1", "http://[fd00::1]:1", True),
        ("[fd00::1]", "http://[fd00:0::1]:1", True),
        ("[fd00::1]:2", "http://[fd00::1]:1", False),
        ("::ffff:10.1.2.3", "http://10.1.2.3", True),
        ("nonsense/99", "http://a.example", False),
        (".", "http://a.example", False),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
@pytest.mark.parametrize("setting", [None, "http://p:1"])
def test_no_proxy_lists_hosts_for_direct_connections(
    monkeypatch: pytest.MonkeyPatch, entries: str, url: str, direct: bool, name: str, setting: str | None
) -> None:
    assert (found(monkeypatch, url, setting, ALL_PROXY="http://p:1", **{name: entries}) is None) is direct


def test_the_setting_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(monkeypatch, "https://a.example", "p:2", HTTPS_PROXY="http://p:1") == f"http://p:2 ({SETTING})"
    assert found(monkeypatch, "https://a.example", "none", HTTPS_PROXY="http://p:1") is None
    assert found(monkeypatch, "https://a.example", "None", HTTPS_PROXY="http://p:1") is None
