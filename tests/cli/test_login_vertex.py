"""Vertex AI with Google's default credentials: `modelbay login vertex` checks them, and `ask` sends their token."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelbay.simulator import Simulator
from tests.cli.inside import Inside
from tests.credentials.google_account import service_account, user_account
from tests.credentials.token_server import TokenServer, token_server

ENTRY = """\
[providers.vertexai]
type = "vertexai"
base_url = "SIM"

[providers.vertexai.env]
GOOGLE_CLOUD_PROJECT = "my-project"
GOOGLE_CLOUD_LOCATION = "europe-west4"

[models.gemini]
provider = "vertexai"
model = "gemini-2.5-flash"

[models.claude]
provider = "vertexai"
model = "claude-opus-4"
protocol = "anthropic"
"""
MODELS = {"gemini-2.5-flash": "sim-1", "claude-opus-4": "sim-thinker"}

Account = Callable[[Path, str], Path]
ACCOUNTS = pytest.mark.parametrize(
    ("account", "grant"),
    [(service_account, "jwt-bearer"), (user_account, "refresh_token")],
    ids=["service account", "user"],
)


@pytest.fixture
def google() -> Iterator[TokenServer]:
    with token_server() as server:
        yield server


@pytest.fixture
def bay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, google: TokenServer) -> Inside:
    # google-auth has one URL for refreshing user credentials and ignores the one in their file
    monkeypatch.setattr("google.oauth2.credentials._GOOGLE_OAUTH2_TOKEN_ENDPOINT", google.url)
    return Inside(tmp_path, monkeypatch)


def given(account: Account, bay: Inside, google: TokenServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account(bay.home, google.url)))


def test_a_service_account_is_checked_and_described(
    bay: Inside, google: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(service_account, bay, google, monkeypatch)
    run = bay("login", "vertex")
    assert (run.code, google.grants) == (0, ["jwt-bearer"])
    assert [line.split(None, 1) for line in run.out.splitlines()] == [
        ["credential", "service account"],
        ["source", "HOME/service-account.json"],
        ["account", "tester@proj.iam.gserviceaccount.com"],
        ["project", "proj"],
        ["location", "unknown: set GOOGLE_CLOUD_LOCATION in the provider's env table, for example to global"],
        ["token", "received from Google"],
    ]
    assert run.err == "Next: modelbay provider add vertexai --project proj --location global\n"
    assert google.TOKEN not in run.out + run.err


def test_user_credentials_are_checked_and_described(
    bay: Inside, google: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(user_account, bay, google, monkeypatch)
    bay.file.write_text(ENTRY.replace("SIM", "https://europe-west4-aiplatform.googleapis.com"))
    run = bay("login", "vertex")
    assert (run.code, run.err, google.grants) == (0, "", ["refresh_token"])
    assert [line.split(None, 1) for line in run.out.splitlines()] == [
        ["credential", "gcloud user credentials"],
        ["source", "HOME/application_default_credentials.json"],
        ["account", "unknown"],
        ["project", "my-project"],
        ["location", "europe-west4"],
        ["token", "received from Google"],
    ]


@ACCOUNTS
def test_rejected_credentials_are_named_with_a_hint(
    account: Account, grant: str, bay: Inside, google: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(account, bay, google, monkeypatch)
    google.refuse = True
    run = bay("login", "vertex")
    assert (run.code, run.out, google.grants) == (1, "", [grant])
    assert "Google rejected the application default credentials from HOME/" in run.err
    assert "Token has been expired or revoked" in run.err and "gcloud auth application-default login" in run.err
    assert "key set" not in run.err


def test_a_network_error_is_not_a_rejection(bay: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    account = service_account(bay.home, "http://127.0.0.1:9/token")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    run = bay("login", "vertex")
    assert run.code == 1 and "refused the application" not in run.err and "127.0.0.1:9" in run.err


def test_missing_credentials_get_the_command_in_the_hint(bay: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(bay.home / "gcloud"))
    run = bay("login", "vertex")
    assert run.code == 1 and "gcloud auth application-default login" in run.err
    out = bay("logout", "vertex")
    assert out.code == 1 and "gcloud auth application-default revoke" in out.err


@ACCOUNTS
@pytest.mark.parametrize(("model", "path"), [("gemini", "google"), ("claude", "anthropic")])
def test_ask_sends_google_s_token(
    model: str,
    path: str,
    account: Account,
    grant: str,
    bay: Inside,
    google: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given(account, bay, google, monkeypatch)
    with Simulator(key=google.TOKEN, aliases=MODELS) as simulator:
        bay.file.write_text(ENTRY.replace("SIM", simulator.url))
        assert "You asked: hello." in bay.done("ask", "-m", model, "hello")
        asked = simulator.journal.last.path
    assert f"/projects/my-project/locations/europe-west4/publishers/{path}/models/" in asked
    assert google.grants == [grant]
