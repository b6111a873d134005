"""The simulator as an entry of `config.toml`: a provider and a model for each protocol."""

from modelbay.config.provider_types import TYPE_OF
from modelbay.conversation import Protocol

MODEL = "sim-echo"
"""The model with the strictest rules: it always reasons, and requires its reasoning to be sent back."""
BASES: dict[Protocol, str] = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic": "", "google": ""}
"""The path of the base URL, by protocol."""


def config_text(url: str, key: str | None) -> str:
    """A configuration with the simulator as a provider of each protocol."""
    lines = [f'default_model = "{alias("openai_chat")}"']
    for protocol, base in BASES.items():
        lines += ["", f"[providers.{alias(protocol)}]", f'type = "{TYPE_OF[protocol]}"', f'base_url = "{url}{base}"']
        lines += [f'api_key = "{key}"'] if key else []
        lines += ["", f"[models.{alias(protocol)}]", f'provider = "{alias(protocol)}"', f'model = "{MODEL}"']
    return "\n".join(lines) + "\n"


def login_text(url: str) -> str:
    """A provider entry for the simulator that requires a login with a device code."""
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
    """The ID of the provider and the alias of the model for a protocol."""
    return f"sim-{protocol.removeprefix('openai_')}"
