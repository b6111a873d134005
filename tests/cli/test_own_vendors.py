"""A company's own vendor on the command line: added by its name, through every command, without a fork."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from modelbay.simulator.login_server import LoginBehavior
from tests.cli.command import KEY, Command

ACME = """\
name = "Acme Gateway"
hosts = ["HOST"]
base_url = "SIM/v1"
protocols = ["openai_chat", "anthropic"]
key_url = "https://wiki.acme.example/keys"

[base_urls]
anthropic = "SIM"

[dialect.openai_chat]
body = { acme_team = "seven" }

[[logins]]
id = "acme-sso"
title = "Acme single sign-on"
by = "device"
base_url = "SIM/coding/v1"
host = "SIM"
device_path = "/api/oauth/device_authorization"
token_path = "/api/oauth/token"
client_id = "modelbay"

[[logins]]
id = "acme-key"
title = "Acme key"
by = "key"
base_url = "SIM/v1"
"""


class Company(Command):
    def writes(self, text: str = ACME, simulator: Simulator | None = None) -> Path:
        folder = self.home / "presets"
        folder.mkdir(mode=0o700, exist_ok=True)
        url = (simulator or self.simulator).url
        path = folder / "acme.toml"
        path.write_text(text.replace("SIM", url).replace("HOST", url.replace("http://127.0.0.1", "localhost")))
        path.chmod(0o600)
        return path

    @property
    def written(self) -> dict[str, dict[str, dict[str, object]]]:
        return tomllib.loads((self.home / "config.toml").read_text())

    def sent(self, path: str) -> dict[str, object]:
        """The body of the last request to a path."""
        body: dict[str, object] = json.loads(
            next(one for one in reversed(self.simulator.journal) if one.path == path).body
        )
        return body


@pytest.fixture
def sim() -> Iterator[Simulator]:
    with Simulator() as running:
        running.provider.logins.behave(LoginBehavior(approve_after=1, interval=1))
        yield running


@pytest.fixture
def company(tmp_path: Path, sim: Simulator) -> Company:
    return Company(tmp_path, sim)


def test_a_vendor_is_added_by_its_name_and_its_dialect_is_used(company: Company) -> None:
    company.writes()
    assert "7 models" in company("provider", "models", "acme", "--api-key", KEY).err
    run = company("provider", "add", "Acme-Gateway", "--api-key", KEY, "--model", "sim-1")
    assert run.code == 0 and run.out.startswith("Added provider acme: Acme Gateway at SIM"), run
    assert company("ask", "hello").code == 0
    assert company.sent("/v1/chat/completions")["acme_team"] == "seven"
    shown = json.loads(company("provider", "show", "acme", "--json").out)
    assert (shown["vendor"], shown["vendor_file"]) == ("Acme Gateway", "HOME/presets/acme.toml")


@pytest.mark.parametrize(
    ("arguments", "url"),
    [
        (("add", "acme", "--api", "anthropic"), "SIM"),
        (("add", "SIM/v1", "--id", "acme"), "SIM/v1"),
        (("add", "SIM/v1/chat/completions", "--id", "acme"), "SIM/v1/chat/completions"),
        (("add", "SIM/v1/models", "--id", "acme"), "SIM/v1"),
        (("custom", "acme", "--name", "Mine", "--base-url", "SIM/v1"), "SIM/v1"),
    ],
)
def test_every_way_of_adding_finds_the_vendor(company: Company, arguments: tuple[str, ...], url: str) -> None:
    company.writes()
    words = [word.replace("SIM", company.simulator.url) for word in arguments]
    run = company("provider", *words, "--api-key", KEY, "--model", "sim-1")
    assert run.code == 0, run
    assert company.written["providers"]["acme"]["base_url"] == url.replace("SIM", company.simulator.url)
    assert json.loads(company("provider", "show", "acme", "--json").out)["vendor"] == "Acme Gateway"


def test_elsewhere_a_provider_has_the_dialect_of_the_vendor_by_name(company: Company) -> None:
    company.writes(ACME.replace('"SIM', '"https://llm.acme.example').replace("HOST", "llm.acme.example"))
    run = company(
        "provider", "add", "acme", "--base-url", f"{company.simulator.url}/v1", "--api-key", KEY, "--model", "sim-1"
    )
    assert run.code == 0, run
    assert company.written["providers"]["acme"]["dialect"] == "acme"
    assert company("ask", "hello").code == 0
    assert company.sent("/v1/chat/completions")["acme_team"] == "seven"
    run = company("provider", "edit", "acme", "--dialect", "acmee")
    assert run.code != 0 and 'unknown dialect "acmee"' in run.err


def test_its_logins_are_listed_and_used(company: Company) -> None:
    company.writes()
    run = company("login", "acme-sso")
    assert run.code == 0 and run.out.startswith("Logged in to acme-sso"), run
    entry = company.written["providers"]["acme-sso"]
    assert entry["oauth"] == {"storage": "file", "key": "oauth/acme-sso"}
    model = company.written["models"]["acme-sso/sim-1"]
    assert "capabilities" not in model, "a list that does not describe its models leaves them unknown"
    assert "thinking" not in company.written
    assert company("ask", "-m", "acme-sso/sim-1", "hello").code == 0
    assert "acme-sso" in company("login", "--status").out
    run = company("login", "acme-key", "--api-key", KEY)
    assert run.code == 0 and run.out.startswith("Logged in to acme-key"), run
    assert company("ask", "-m", "acme-key/sim-1", "hello").code == 0
    run = company("login", "nothing")
    assert run.code == 1 and "acme-sso" in run.err
    assert company("logout", "acme-sso").code == 0
    assert "acme-sso" not in company.written["providers"]


def test_a_refresh_keeps_the_facts_that_the_user_set(company: Company) -> None:
    company.writes()
    assert company("login", "acme-sso").code == 0
    assert company("model", "set", "acme-sso/sim-1", "image_in=no", "max_output_size=77").code == 0
    before = company.written["models"]["acme-sso/sim-1"]
    assert company("provider", "refresh", "acme-sso").code == 0
    assert company.written["models"]["acme-sso/sim-1"] == before


def test_a_changed_file_does_not_send_a_key_or_a_token_elsewhere(company: Company) -> None:
    company.writes()
    assert company("provider", "add", "acme", "--api-key", KEY, "--model", "sim-1").code == 0
    assert company("login", "acme-sso").code == 0
    with Simulator() as other:
        company.writes(simulator=other)
        assert company("ask", "-m", "acme/sim-1", "hello").code == 0
        path = company.home / "config.toml"
        path.write_text(path.read_text().replace(f"{company.simulator.url}/coding", f"{other.url}/coding"))
        run = company("ask", "-m", "acme-sso/sim-1", "hello")
        assert run.code == 1 and "its tokens are not sent to" in run.err, run
        assert list(other.journal) == []


def test_a_bad_file_is_reported_by_every_command_that_lists_errors(company: Company) -> None:
    assert company("config", "check").code == 0
    path = company.writes(ACME.replace("hosts", "host"))
    expected = "HOME/presets/acme.toml:2: host: unknown key"
    run = company("config", "check")
    assert run.code == 1 and run.out == f'{expected}\n  hint: rename it to "hosts"\n'
    company.configure(
        '[providers.p]\ntype = "openai"\nbase_url = "SIM/v1"\n\n[models.m]\nprovider = "p"\nmodel = "sim-1"\n'
    )
    assert company("config", "check").code == 1
    for line in ("provider list", "model list", "ask -m m hello"):
        run = company(*line.split())
        assert run.code == 0 and expected in run.err, (line, run)
    run = company("provider", "add", "acme")
    assert run.code != 0 and f"hint: correct {expected}" in run.err
    path.unlink()
    assert "is valid" in company("config", "check").err
    company.writes()
    assert company("config", "check").err.endswith("providers: 1, models: 1, own vendors: acme\n")
