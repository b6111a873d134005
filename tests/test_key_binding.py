"""Origins that never get a key: redirect targets, new URLs in lists and files, and similar-looking hosts."""

from pathlib import Path

import pytest

from modelbay import Hub, errors
from tests.fault_config import KEY
from tests.faults.calls import answers
from tests.faults.raw_server import Client, RawServer, head, reply

ANSWER = b'{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"content":"Hi"}}]}'


def config_of(folder: Path, base: str, more: str = "") -> Path:
    path = folder / "config.toml"
    path.write_text(f'[providers.p]\ntype = "openai"\nbase_url = "{base}"\napi_key = "{KEY}"\n{more}', encoding="utf-8")
    return path


def received(server: RawServer) -> str:
    return repr([(request.target, request.headers, request.body) for request in server.requests])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    async with RawServer(answers(reply(ANSWER))) as thief:

        async def away(client: Client) -> None:
            while True:
                await client.request()
                await client.send(head(status, f"Location: {thief.url}/v1/chat/completions", length=0))

        async with RawServer(away) as server, Hub.open(config_of(tmp_path, f"{server.url}/v1")) as hub:
            with pytest.raises(errors.Redirected) as caught:
                await hub.complete("Hi", model="p/m")
            assert KEY in received(server)
        assert not thief.clients
        assert caught.value.attempts == 1


async def test_an_imported_provider_does_not_take_its_key_along(tmp_path: Path) -> None:
    """A list that is fetched again and again may change models, and so must not choose where the key goes."""
    async with RawServer(answers(reply(ANSWER))) as thief, RawServer(answers(reply(ANSWER))) as server:
        source = 'source = { kind = "apiJson", url = "https://lists.example/api.json" }\n'
        model = f'[models.m]\nprovider = "p"\nmodel = "m"\nbase_url = "{thief.url}/v1"\n'
        async with Hub.open(config_of(tmp_path, f"{server.url}/v1", source + model)) as hub:
            with pytest.raises(errors.ConfigError, match="its key is not sent to"):
                await hub.complete("Hi", model="m")
            assert (await hub.complete("Hi", model="p/other")).text == "Hi"
        assert not thief.clients


@pytest.mark.parametrize("change", ["host", "port", "scheme"])
async def test_a_stored_key_is_bound_to_scheme_host_and_port(
    tmp_path: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "p").write_text(KEY)
    async with RawServer(answers(reply(ANSWER))) as thief, RawServer(answers(reply(ANSWER))) as server:
        (keys / "p.origin").write_text(server.url)
        looks = {
            "host": f"http://localhost:{server.port}/v1",
            "port": f"{thief.url}/v1",
            "scheme": f"https://127.0.0.1:{server.port}/v1",
        }
        path = config_of(tmp_path, f"{server.url}/v1")
        path.write_text(path.read_text().replace(KEY, "{file:keys/p}"))
        async with Hub.open(path) as hub:
            assert (await hub.complete("Hi", model="p/m")).text == "Hi"
        path.write_text(path.read_text().replace(f"{server.url}/v1", looks[change]))
        async with Hub.open(path) as hub:
            with pytest.raises(errors.ConfigError, match="this API key was set for"):
                await hub.complete("Hi", model="p/m")
        assert not thief.clients
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "lookalike",
    ["http://{0}@{1}/v1", "http://{0}.{1}/v1", "http://{1}#@{0}/v1", "http://{1}?@{0}/v1", "http://{1}\\\\@{0}/v1"],
)
async def test_a_host_that_resembles_the_origin_is_another_origin(
    tmp_path: Path, lookalike: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real host in the user part, as a prefix, behind a fragment, a query, a backslash: it is never who is asked."""
    monkeypatch.setenv("MODELBAY_HOME", str(tmp_path))
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "p").write_text(KEY)
    (keys / "p.origin").write_text("http://api.example")
    async with RawServer(answers(reply(ANSWER))) as thief:
        path = config_of(tmp_path, lookalike.format("api.example", f"localhost:{thief.port}"))
        path.write_text(path.read_text().replace(KEY, "{file:keys/p}"))
        async with Hub.open(path) as hub:
            with pytest.raises(errors.ModelbayError):
                await hub.complete("Hi", model="p/m")
        assert KEY not in received(thief)


async def test_a_model_with_its_own_url_is_standalone_despite_a_default_provider(tmp_path: Path) -> None:
    async with RawServer(answers(reply(ANSWER))) as other, RawServer(answers(reply(ANSWER))) as server:
        model = f'[models.{{0}}]\nmodel = "m"\nprotocol = "openai"\nbase_url = "{other.url}/v1"\n'
        models = model.format("bare") + model.format("keyed") + 'api_key = "sk-of-its-own"\n'
        path = config_of(tmp_path, f"{server.url}/v1", models + '[models.usual]\nmodel = "u"\n')
        path.write_text('default_provider = "p"\n' + path.read_text())
        async with Hub.open(path) as hub:
            for name in ("bare", "keyed", "usual"):
                assert (await hub.complete("Hi", model=name)).text == "Hi"
        bare, keyed = other.requests
        assert "authorization" not in bare.headers
        assert keyed.headers["authorization"] == "Bearer sk-of-its-own"
        assert KEY not in received(other)
        assert KEY in received(server)
