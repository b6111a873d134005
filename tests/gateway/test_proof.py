"""The proof that a gateway gives to a launcher before the launcher sends a key."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from modelbay.config.load import load
from modelbay.gateway.proof import proof, state_of
from modelbay.simulator import Simulator
from tests.gateway.running import RunningGateway, config_text

KEY_OF_LOCAL = "sk-mb-local-key-of-the-tests-0123456789"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[RunningGateway]:
    with Simulator() as upstream:
        file = tmp_path / "config.toml"
        file.write_text(config_text(upstream.url))
        with RunningGateway(file) as running:
            running.clients.local_file.write_text(f"{KEY_OF_LOCAL}\n")
            yield running


def answer(gateway: RunningGateway, challenge: str) -> tuple[int, Any]:
    try:
        with urlopen(f"{gateway.url}/proof?challenge={challenge}", timeout=60) as response:
            return response.status, json.load(response)
    except HTTPError as error:
        return error.code, json.load(error)


def expected(gateway: RunningGateway, challenge: str) -> str:
    port = urlsplit(gateway.url).port
    assert port is not None
    return proof(KEY_OF_LOCAL, challenge, port, state_of(load(gateway.config)))


def test_a_challenge_is_answered_without_a_key(gateway: RunningGateway) -> None:
    challenge = secrets.token_hex(32)
    status, body = answer(gateway, challenge)
    assert (status, body) == (200, {"proof": expected(gateway, challenge)})
    assert answer(gateway, secrets.token_hex(32))[1] != body


@pytest.mark.parametrize("challenge", ["", "0", "A" * 64, "0" * 65])
def test_a_challenge_of_another_form_is_refused(gateway: RunningGateway, challenge: str) -> None:
    assert answer(gateway, challenge)[0] == 400


def test_a_gateway_without_the_local_key_proves_nothing(gateway: RunningGateway) -> None:
    gateway.clients.local_file.unlink()
    assert answer(gateway, secrets.token_hex(32))[0] == 400


def test_the_answer_is_for_the_current_configuration_file(gateway: RunningGateway) -> None:
    challenge = secrets.token_hex(32)
    before = expected(gateway, challenge)
    gateway.config.write_text(gateway.config.read_text() + "\n# changed\n")
    assert answer(gateway, challenge)[1]["proof"] == expected(gateway, challenge) != before


def test_a_gateway_that_cannot_use_the_file_proves_nothing(gateway: RunningGateway) -> None:
    gateway.config.write_text("[gateway]\nport = 'none'\n")
    assert answer(gateway, secrets.token_hex(32))[0] == 400


def test_the_answer_depends_on_each_of_its_parts() -> None:
    answers = {
        proof("key", "0" * 64, 1, "state"),
        proof("other", "0" * 64, 1, "state"),
        proof("key", "1" * 64, 1, "state"),
        proof("key", "0" * 64, 2, "state"),
        proof("key", "0" * 64, 1, "other"),
    }
    assert len(answers) == 5
