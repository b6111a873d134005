import pytest

from modelbay.config.origin import Origin, origin


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
def test_what_the_origin_of_a_url_is(url, expected, text):
    assert origin(url) == Origin(*expected)
    assert str(origin(url)) == text


@pytest.mark.parametrize(
    "url",
    ["", "api.openai.com", "ftp://h", "https://", "https://h:port", "https://h:99999", "http://[::1", "https://h\n"],
)
def test_what_has_no_origin(url):
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
def test_what_is_the_machine_itself(url, loopback):
    assert origin(url).loopback is loopback
