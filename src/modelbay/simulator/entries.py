"""The simulator as an entry of `config.toml`: a provider and a model for each protocol."""

from modelbay.config.provider_types import TYPE_OF
from modelbay.conversation import Protocol

MODEL = "sim-echo"
"""The simulator's strictest: it thinks always, and wants its reasoning back in every protocol."""
BASES: dict[Protocol, str] = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic": "", "google": ""}
"""What a base URL of each protocol has after the address."""


def config_text(url: str, key: str | None) -> str:
    """A configuration that has the simulator as a provider of each protocol."""
    lines = [f'default_model = "{alias("openai_chat")}"']
    for protocol, base in BASES.items():
        lines += ["", f"[providers.{alias(protocol)}]", f'type = "{TYPE_OF[protocol]}"', f'base_url = "{url}{base}"']
        lines += [f'api_key = "{key}"'] if key else []
        lines += ["", f"[models.{alias(protocol)}]", f'provider = "{alias(protocol)}"', f'model = "{MODEL}"']
    return "\n".join(lines) + "\n"


def login_text(url: str) -> str:
    """A provider of the simulator that one logs in to, with a flow of its own."""
    return f"""
[providers.sim-login]
type = "{TYPE_OF["openai_chat"]}"
base_url = "{url}/coding/v1"

[providers.sim-login.oauth]
key = "sim-login"
oauth_host = "{url}"
device_url = "/api/oauth/device_authorization"
token_url = "/api/oauth/token"
client_id = "modelbay"

[models.sim-login]
provider = "sim-login"
model = "{MODEL}"
"""


def alias(protocol: Protocol) -> str:
    """The name of the provider, and of the model, that speaks a protocol."""
    return f"sim-{protocol.removeprefix('openai_')}"
