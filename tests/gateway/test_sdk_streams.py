"""Official SDKs read streams with keep-alives and with failures, passed on and translated."""

from collections.abc import Iterator

import anthropic
import pytest
from anthropic import Anthropic
from google import genai
from google.genai import errors, types
from openai import APIError, OpenAI

from modelbay.gateway import exchange, responder
from modelbay.simulator import Simulator
from tests.gateway.running import KEY, PROTOCOLS, RunningGateway, config_text

FAILURES = ("cut-after-first", "malformed-chunk", "error-in-200", "missing-end", "odd-finish=network_error", "500")
FAULTS = {"silent-first": "slow-headers=0.4", "silent-later": "stall=0.4"}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    config = tmp_path_factory.mktemp("gateway") / "config.toml"
    with Simulator() as upstream:
        models = [
            f'[models.{protocol}-{name}]\nprovider = "{protocol}"\nmodel = "sim-1!{fault}"\n'
            for protocol in PROTOCOLS
            for name, fault in (*FAULTS.items(), *((failure.replace("=", "-"), failure) for failure in FAILURES))
        ]
        config.write_text(config_text(upstream.url) + "".join(models))
        with RunningGateway(config) as gateway:
            yield gateway.url


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "PATIENCE", 0.03)
    monkeypatch.setattr(responder, "SILENCE", 0.03)


def text(client: str, url: str, model: str) -> str:
    """The text of a reply as the SDK of a protocol returns it."""
    prompt = "Say hello"
    if client == "google":
        options = types.HttpOptions(base_url=url)
        with genai.Client(api_key=KEY, http_options=options) as gemini:
            chunks = gemini.models.generate_content_stream(model=model, contents=prompt)
            return "".join(chunk.text or "" for chunk in chunks)
    if client == "anthropic":
        with (
            Anthropic(base_url=url, api_key=KEY, max_retries=0) as claude,
            claude.messages.stream(
                model=model, max_tokens=1000, messages=[{"role": "user", "content": prompt}]
            ) as stream,
        ):
            return "".join(stream.text_stream)
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as gpt:
        if client == "openai_responses":
            with gpt.responses.stream(model=model, input=prompt) as events:
                return str(events.get_final_response().output_text)
        with gpt.chat.completions.create(
            model=model, messages=[{"role": "user", "content": prompt}], stream=True
        ) as parts:
            return "".join(part.choices[0].delta.content or "" for part in parts if part.choices)


@pytest.mark.parametrize("silence", FAULTS)
@pytest.mark.parametrize("way", ["passed", "translated"])
@pytest.mark.parametrize("client", PROTOCOLS)
def test_an_sdk_ignores_keep_alives(url: str, client: str, way: str, silence: str) -> None:
    at = PROTOCOLS.index(client) + (way == "translated")
    assert "Say hello" in text(client, url, f"{PROTOCOLS[at % 4]}-{silence}")


@pytest.mark.filterwarnings("ignore:.*is not a valid FinishReason")
@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("way", ["passed", "translated"])
@pytest.mark.parametrize("client", PROTOCOLS)
def test_an_sdk_never_takes_a_part_for_the_whole(url: str, client: str, way: str, failure: str) -> None:
    at = PROTOCOLS.index(client) + (way == "translated")
    with pytest.raises(Exception) as caught:
        text(client, url, f"{PROTOCOLS[at % 4]}-{failure.replace('=', '-')}")
    if isinstance(caught.value, RuntimeError):  # the SDK has no error for `response.failed`
        assert client == "openai_responses"
        assert str(caught.value) == "Didn't receive a `response.completed` event."
    else:
        assert isinstance(caught.value, APIError | anthropic.APIError | errors.APIError)
