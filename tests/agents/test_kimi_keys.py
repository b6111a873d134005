"""modelbay knows every key of Kimi Code's `config.toml`, which has the same tables. `make agents` looks for new keys."""

import json
from pathlib import Path

import pytest

from modelbay.config.keys import ROUTING_KEYS, known
from modelbay.config.load import parse
from tools.kimi import Unreadable, keys_of

PINNED = json.loads(Path(__file__).with_name("kimi_keys.json").read_text())
"""The keys of one version, which the file names. `make agents ARGS=--pin` writes it."""
KEYS = [tuple(key.split(".")) for key in PINNED["keys"]]


@pytest.mark.parametrize("path", [path for path in KEYS if path[-1] != "*"], ids=".".join)
def test_every_key_of_kimi_code_is_known(path: tuple[str, ...]):
    assert known(path) is not False


@pytest.mark.parametrize("table", [("providers", "*"), ("models", "*"), ("models", "*", "overrides"), ("thinking",)])
def test_the_tables_of_providers_and_models_are_compared(table: tuple[str, ...]):
    assert sum(path[: len(table)] == table for path in KEYS) > 3
    assert known((*table, "api_keyy")) is False


def test_overrides_ignore_the_same_keys_as_in_kimi_code():
    assert not {path[3] for path in KEYS if path[:3] == ("models", "*", "overrides") and len(path) > 3} & ROUTING_KEYS


def test_other_tables_are_kept_without_an_error():
    others = {path[0] for path in KEYS} - {"default_model", "default_provider", "providers", "models", "thinking"}
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
def test_a_program_with_another_form_is_an_error(bundle: str):
    with pytest.raises(Unreadable, match="another form"):
        keys_of(bundle)
