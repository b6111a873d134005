"""The keys of Kimi Code's `config.toml`, whose tables are ours: each is known here. `make agents` looks for new ones."""

import json
from pathlib import Path

import pytest

from modelbay.config.entries import MODEL_KEYS, OAUTH_KEYS, PROVIDER_KEYS, ROUTING_KEYS
from modelbay.config.load import parse
from modelbay.config.schema import Thinking
from tools.kimi import Unreadable, keys_of

PINNED = json.loads(Path(__file__).with_name("kimi_keys.json").read_text())
"""Of the version named there; written by `make agents ARGS=--pin`."""
KEYS = {tuple(key.split(".")) for key in PINNED["keys"]}
ASIDE = {"forced_effort"}
"""What is in the schema of `[thinking]` and is never in a file: it comes from a variable of Kimi Code's shell."""
NAMING = {"provider", "provider_id", "model", "name", "overrides"}
"""Keys of a model that are read before the others."""


def below(*path: str) -> set[str]:
    """The keys of a table."""
    return {key[len(path)] for key in KEYS if len(key) == len(path) + 1 and key[: len(path)] == path}


def test_every_key_of_a_provider_is_known():
    assert below("providers", "*") - PROVIDER_KEYS == set()
    assert below("providers", "*", "oauth") - OAUTH_KEYS == set()


def test_every_key_of_a_model_is_known():
    assert below("models", "*") - MODEL_KEYS - NAMING == set()
    assert below("models", "*", "oauth") - OAUTH_KEYS == set()
    assert below("models", "*", "overrides") - MODEL_KEYS == set()
    assert not below("models", "*", "overrides") & ROUTING_KEYS


def test_every_key_of_thinking_is_known():
    assert below("thinking") - set(Thinking.__struct_fields__) == ASIDE


@pytest.mark.parametrize("key", ["default_model", "default_provider", "providers", "models", "thinking"])
def test_the_tables_that_are_ours_are_those_of_kimi_code(key: str):
    assert key in below()


def test_the_other_tables_are_kept_and_are_no_problem():
    others = below() - {"default_model", "default_provider", "providers", "models", "thinking"}
    config = parse("".join(f"[{name}]\n" for name in sorted(others)), Path("config.toml"))
    assert set(config.extra) == others
    assert not config.problems


BUNDLE = """
SECTION$1 = "providers";
OAuth$1 = object({ storage: _enum(["file", "keyring"]), key: string().min(1) });
Common = { enabled: boolean$1().optional() };
ProviderSchema = object({
	apiKey: string().optional(),
	oauth: OAuth$1.optional(),
	customHeaders: record(string(), string()),
	...Common
});
registerConfigSection(SECTION$1, record(string(), ProviderSchema), {});
Providers = record(string(), ProviderSchema);
registerConfigSection(SECTION$1, Providers, { defaultValue: {} });
ModelBase = object({ model: string(), name: string(), limits: array(object({ a: string() })) });
Override = ModelBase.omit({ model: true }).partial();
Models = record(string(), ModelBase.extend({ overrides: Override.optional() }).passthrough());
registerConfigSection("models", Models);
registerConfigSection("thinking", Thinking, {});
Thinking = object({ enabled: boolean$1().optional(), note: string().default("a, b; {") });
function registerConfigSection(domain, schema, options = {}) {}
"""


def test_keys_are_read_from_the_program():
    assert keys_of(BUNDLE) == [
        "models", "models.*", "models.*.limits", "models.*.limits.a", "models.*.model", "models.*.name",
        "models.*.overrides", "models.*.overrides.limits", "models.*.overrides.limits.a", "models.*.overrides.name",
        "providers", "providers.*", "providers.*.api_key", "providers.*.custom_headers", "providers.*.custom_headers.*",
        "providers.*.enabled", "providers.*.oauth", "providers.*.oauth.key", "providers.*.oauth.storage", "thinking",
        "thinking.enabled", "thinking.note",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "bundle", ["", BUNDLE.replace("registerConfigSection", "section"), BUNDLE.replace("apiKey", "key")]
)
def test_a_program_of_another_form_is_an_error_and_not_a_file_without_keys(bundle: str):
    with pytest.raises(Unreadable, match="another form"):
        keys_of(bundle)
