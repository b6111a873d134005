import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from modelbay.origin import Origin, is_open, origin


@pytest.mark.parametrize(
    ("url", "expected", "text"),
    [
        ("https://api.openai.com/v1", ("https", "api.openai.com", 443), "https://api.openai.com"),
        ("HTTPS://API.OpenAI.com.:443/", ("https", "api.openai.com", 443), "https://api.openai.com"),
        ("http://u:p@localhost:8080/v1?x=1", ("http", "localhost", 8080), "http://localhost:8080"),
        ("http://[::1]:1234", ("http", "::1", 1234), "http://[::1]:1234"),
        ("https://h:80", ("https", "h", 80), "https://h:80"),
    ],
)
def test_a_url_has_an_origin(url, expected, text):
    assert origin(url) == Origin(*expected)
    assert str(origin(url)) == text


@pytest.mark.parametrize(
    "url",
    ["", "api.openai.com", "ftp://h", "https://", "https://h:port", "https://h:99999", "http://[::1", "https://h\n"],
)
def test_an_invalid_url_has_no_origin(url):
    with pytest.raises(ValueError, match="the URL"):
        origin(url)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1234", True),
        ("http://server.localhost", True),
        ("http://127.0.0.1", True),
        ("http://127.8.9.10", True),
        ("http://[::1]", True),
        ("http://127.0.0.1.evil.example", False),
        ("http://notlocalhost", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
    ],
)
def test_loopback_hosts_are_recognized(url, loopback):
    assert origin(url).loopback is loopback


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost.", "x.localhost", "LOCALHOST", "127.0.0.1", "127.0.0.1.", "127.1", "0177.0.0.1", "2130706433",
     "0x7f000001", "0x7f.1", "0.0.0.0", "0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "100.100.100.200", "192.0.0.192", "224.0.0.1", "255.255.255.255", "[::]", "[::1]", "[fe80::1]", "[fe80::1%25eth0]",
     "[fd00:ec2::254]", "[ff02::1]", "[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[::127.0.0.1]", "[64:ff9b::10.0.0.1]",
     "[2002:7f00:1::]", "[2001:db8::1]", "metadata.google.internal", "printer.local", "x.localdomain", "box.lan",
     "nas.home.arpa", "ⓛocalhost", "①②⑦.⓪.⓪.①", "127。0。0。1", "local\ufe0fhost", "metadata.google.\uff49nternal",
     "[2001:4860::5efe:10.0.0.1]", "[fec0::1]", "[64:ff9b:1::1]"],
)  # fmt: skip
def test_local_and_private_hosts_are_recognized(host):
    assert not is_open(origin(f"http://{host}/v1"))


@pytest.mark.parametrize(
    "host",
    ["acme.example", "acme.example.", "8.8.8.8", "[2606:4700::1111]", "[64:ff9b::8.8.8.8]", "1e100.net", "10.acme.example",
     "0xdeadbeef.example", "bücher.example", "localhost.example", "internal.example"],
)  # fmt: skip
def test_public_hosts_are_recognized(host):
    assert is_open(origin(f"http://{host}/v1"))


URLS = st.text("ab1.:/@\\?#%[]x&=;,'!~ⓛ。é\t ", max_size=12)


@given(st.sampled_from(["http://", "https://", "HTTP://", "http:/", "http:\\"]), URLS, URLS)
@example("http://", "good.example\\@", "evil.example")
@example("http://", "evil.example#@", "good.example")
@example("http://", "a@b@", "c:80")
def test_the_url_and_its_origin_name_the_same_host(scheme, before, after):
    """Two readings of one address would send a key to another host than the one that it was compared with."""
    url = scheme + before + after
    try:
        where = origin(url)
    except ValueError:
        return
    try:
        asked = URL(url, encoded=url.isascii())
    except ValueError:
        return
    if where.host.isascii():
        assert ((asked.raw_host or "").rstrip("."), asked.port, asked.scheme) == (where.host, where.port, where.scheme)
    else:
        assert asked.host is None or asked.port == where.port
