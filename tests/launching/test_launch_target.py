"""The choice between the gateway and a direct call: what needs the gateway, and what the agent gets in each case."""

from pathlib import Path
from typing import Any

import pytest

from modelbay.config.load import parse
from modelbay.errors import UnknownModel
from modelbay.launching.launch_target import ChosenModels, GatewayReason, chosen_models, direct_target, gateway_target
from modelbay.launching.plan import LaunchTarget
from modelbay.launching.program import AgentProgram, read
from modelbay.secrecy import Hidden
from tests.launching.test_program import ROW

URL = "http://127.0.0.1:4321"
PROVIDER = (
    '[providers.acme]\ntype = "anthropic"\nbase_url = "https://api.acme.example"\napi_key = "sk-acme-0123456789"\n'
)
MODEL = '[models.m]\nprovider = "acme"\nmodel = "large"\nmax_context_size = 200_000\nmax_output_size = 8_000\n'


def agent(**fields: Any) -> AgentProgram:
    return read({"agent": {**ROW, "protocols": ["anthropic"], **fields}})["agent"]


def chosen(text: str, model: str = "m", small: str | None = None) -> ChosenModels:
    return chosen_models(parse(text, Path("/home/config.toml")), model, small)


def needs_gateway(program: AgentProgram, found: ChosenModels) -> str:
    """Why the agent needs the gateway; "" if it does not."""
    target = direct_target(program, found)
    return target.why if isinstance(target, GatewayReason) else ""


def test_a_provider_of_the_agents_protocol_is_called_directly() -> None:
    found = chosen(PROVIDER + MODEL)
    target = direct_target(agent(), found)
    assert isinstance(target, LaunchTarget)
    assert (target.base_url, target.protocol, target.key) == (
        "https://api.acme.example",
        "anthropic",
        "sk-acme-0123456789",
    )
    assert (target.model.id, target.model.facts.max_context_tokens) == ("large", 200_000)
    assert target.bearer is False
    assert "sk-acme" not in repr(target)


@pytest.mark.parametrize(
    ("provider", "model", "why"),
    [
        ("", 'protocol = "openai_chat"', "Agent speaks Anthropic Messages, and the provider OpenAI Compatible"),
        ('custom_headers = { X-Team = "a" }', "", "it needs headers that the agent does not send"),
        ('proxy = "http://proxy.example:3128"', "", "its entry has a proxy or certificates"),
        ('tls = { ca = "/ca.pem" }', "", "its entry has a proxy or certificates"),
        ("full_url = true", "", "an agent cannot use the base URL"),
        ("dialect = { developer_role = false }", "", "requests must be changed for the provider (developer_role)"),
        ("dialect = { cache_ttl = false }", "", "requests must be changed for the provider (cache_ttl)"),
    ],
)
def test_the_gateway_is_needed_with_a_reason(provider: str, model: str, why: str) -> None:
    found = chosen(f"{PROVIDER}{provider}\n{MODEL}{model}\n")
    target = direct_target(agent(), found)
    assert isinstance(target, GatewayReason)
    assert target.why == why
    error = target.error(agent())
    assert error.message == f"Agent cannot call acme directly: {why}"
    assert error.hint == "omit --direct, so that the gateway is used"


@pytest.mark.parametrize(
    ("thinks", "why"),
    [
        ('capabilities = ["thinking"]', "Agent does not return the thinking of m, which the gateway adds"),
        ("", "Agent does not return the thinking of m, which the gateway adds"),
        ("reasoning = false", ""),
    ],
)
def test_an_agent_that_drops_thinking_needs_the_gateway_for_a_model_that_may_think(thinks: str, why: str) -> None:
    program = agent(drops_thinking=["anthropic"])
    assert needs_gateway(program, chosen(f"{PROVIDER}{MODEL}{thinks}\n")) == why
    assert needs_gateway(agent(), chosen(f"{PROVIDER}{MODEL}{thinks}\n")) == ""


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ('"{command:print-key}"', "its key is the output of a command, which may change"),
        ('"sk-acme-0123456789"', ""),
    ],
)
def test_a_key_that_may_change_needs_the_gateway(key: str, why: str) -> None:
    text = PROVIDER.replace('"sk-acme-0123456789"', key) + MODEL
    assert needs_gateway(agent(), chosen(text)) == why


def test_an_agent_that_cannot_know_the_maximum_output_needs_the_gateway_which_learns_it() -> None:
    unknown = '[models.m]\nprovider = "acme"\nmodel = "large"\n'
    why = "the maximum output tokens of m are unknown, and the gateway learns them"
    assert needs_gateway(agent(), chosen(PROVIDER + unknown)) == why
    known = MODEL.replace("models.m", "models.known")
    assert needs_gateway(agent(), chosen(PROVIDER + known + unknown, "known", "m")) == why
    assert isinstance(direct_target(agent(), chosen(PROVIDER + unknown), required=True), LaunchTarget)


@pytest.mark.parametrize(("fact", "needed"), [("", True), ("reasoning = false", False), ("reasoning = true", False)])
def test_an_agent_that_cannot_know_whether_a_responses_model_thinks_needs_the_gateway(fact: str, needed: bool) -> None:
    text = PROVIDER.replace('"anthropic"', '"openai_responses"') + MODEL.replace("large", "acme-7f3") + fact
    why = "it is unknown whether m thinks, and the gateway corrects its reasoning" if needed else ""
    assert needs_gateway(agent(protocols=["openai_responses"]), chosen(text)) == why


def test_a_proxy_of_all_calls_needs_the_gateway() -> None:
    found = chosen(PROVIDER + MODEL + '[network]\nproxy = "http://proxy.example:3128"\n')
    assert needs_gateway(agent(), found) == "[network] has a proxy or certificates"


def test_a_query_in_the_base_url_needs_the_gateway() -> None:
    found = chosen(PROVIDER.replace("acme.example", "acme.example/?team=a") + MODEL)
    assert needs_gateway(agent(), found) == "an agent cannot use the base URL"


def test_a_small_model_at_another_provider_needs_the_gateway() -> None:
    other = PROVIDER.replace("acme", "other") + MODEL.replace("acme", "other").replace("models.m", "models.tiny")
    found = chosen(PROVIDER + MODEL + other, small="tiny")
    why = "the model for small tasks, tiny, is at another endpoint"
    assert direct_target(agent(), found) == GatewayReason("other", why)


def test_a_small_model_of_the_same_provider_is_called_directly_too() -> None:
    found = chosen(PROVIDER + MODEL + MODEL.replace("models.m", "models.tiny").replace("large", "small"), small="tiny")
    target = direct_target(agent(), found)
    assert isinstance(target, LaunchTarget)
    assert (target.model.id, target.small.id) == ("large", "small")
    assert [model.id for model in target.models] == ["large", "small"]


def test_a_key_in_another_header_than_the_protocols_needs_an_agent_that_can_send_it() -> None:
    text = '[providers.acme]\ntype = "anthropic"\nbase_url = "https://api.acme.example"\n'
    text += 'custom_headers = { Authorization = "Bearer sk-acme-0123456789" }\n' + MODEL
    both = agent(environment={"A": "{bearer_key}", "B": "{header_key}"})
    # the key is in a header of the entry, which no agent can send
    assert needs_gateway(agent(), chosen(text)) == "it needs headers that the agent does not send"
    assert needs_gateway(both, chosen(text)) == "it needs headers that the agent does not send"


@pytest.mark.parametrize(
    ("type", "model", "protocol"),
    [
        ("anthropic", "claude-sonnet-4-5", "anthropic"),
        ("openai_responses", "gpt-5.1-codex", "openai_responses"),
        ("google-genai", "gemini-3-pro", "google"),
    ],
)
def test_the_makers_of_the_protocols_are_called_directly(type: str, model: str, protocol: str) -> None:
    text = f'[providers.maker]\ntype = "{type}"\napi_key = "sk-maker-0123456789"\n'
    text += f'[models.m]\nprovider = "maker"\nmodel = "{model}"\n'
    assert needs_gateway(agent(protocols=[protocol]), chosen(text)) == ""


@pytest.mark.parametrize(
    ("entry", "vendor"),
    [
        ('type = "anthropic"', "anthropic"),
        ('type = "openai"\nbase_url = "https://api.deepseek.com"', "deepseek"),
        ('type = "anthropic"\nbase_url = "https://api.acme.example"', ""),
    ],
)
def test_the_vendor_of_the_model_is_known_directly_and_through_the_gateway(entry: str, vendor: str) -> None:
    found = chosen(f'[providers.acme]\n{entry}\napi_key = "sk-acme-0123456789"\n{MODEL}')
    speaks = agent(protocols=["anthropic"])
    assert gateway_target(speaks, found, URL, Hidden("sk-mb-local")).vendor == vendor
    direct = direct_target(speaks, found)
    assert isinstance(direct, GatewayReason) or direct.vendor == vendor


@pytest.mark.parametrize(
    ("type", "protocol", "field"),
    [("openai", "openai_chat", "freeform_tools"), ("openai_responses", "openai_responses", "namespaces")],
)
def test_only_an_agent_with_other_tools_than_functions_needs_the_gateway_for_them(
    type: str, protocol: str, field: str
) -> None:
    found = chosen(PROVIDER.replace("anthropic", type) + MODEL)
    assert needs_gateway(agent(protocols=[protocol]), found) == ""
    why = needs_gateway(agent(protocols=[protocol], functions_only=False), found)
    assert why.startswith("requests must be changed for the provider") and field in why


def test_the_gateway_offers_all_models_under_their_aliases() -> None:
    other = '[providers.chat]\ntype = "openai"\nbase_url = "https://chat.example/v1"\n'
    other += '[models."chat/x"]\nprovider = "chat"\nmodel = "x"\n'
    target = gateway_target(agent(), chosen(PROVIDER + MODEL + other), URL, Hidden("sk-mb-local"))
    assert (target.base_url, target.through_gateway, target.provider) == (f"{URL}/v1", True, "modelbay")
    assert [model.id for model in target.models] == ["m", "chat/x"]
    assert target.model.facts.max_context_tokens == 200_000


def test_each_model_of_the_gateway_has_its_effort() -> None:
    text = (
        PROVIDER
        + MODEL
        + 'default_effort = "low"\n'
        + MODEL.replace("models.m", "models.n")
        + 'default_effort = "max"\n'
    )
    target = gateway_target(agent(), chosen(text), URL, Hidden("sk-mb-local"))
    assert [(model.id, model.effort) for model in target.models] == [("m", "low"), ("n", "max")]


@pytest.mark.parametrize(("protocol", "used"), [("openai_chat", "openai_responses"), ("anthropic", "anthropic")])
def test_a_model_keeps_its_protocol_at_the_gateway_if_the_agent_speaks_it(protocol: str, used: str) -> None:
    found = chosen(f'{PROVIDER}{MODEL}protocol = "{protocol}"\n')
    speaks = agent(protocols=["openai_responses", "anthropic"])
    assert gateway_target(speaks, found, URL, Hidden("k")).protocol == used


def test_a_model_without_an_entry_and_a_variant_can_be_used() -> None:
    text = PROVIDER + MODEL + "[models.m.variants.fast]\ntemperature = 1\n"
    unlisted = gateway_target(agent(), chosen(text, "acme/other"), URL, Hidden("k"))
    assert unlisted.model.id == "acme/other"
    variant = chosen(text, "m:fast")
    exported = gateway_target(agent(exporter="opencode"), variant, URL, Hidden("k")).exported
    assert exported is not None
    assert exported.default_model["model",] == "modelbay/m:fast"
    assert gateway_target(agent(), variant, URL, Hidden("k")).model.id == "m:fast"
    assert needs_gateway(agent(), variant) == "m:fast is a variant, whose settings the gateway adds"


def test_a_model_for_google_clients_is_a_resource_name_if_it_has_a_slash() -> None:
    text = PROVIDER + MODEL.replace("models.m", 'models."a/m"')
    target = gateway_target(agent(protocols=["google"]), chosen(text, "a/m"), URL, Hidden("k"))
    assert (target.base_url, target.model.id) == (URL, "models/a/m")


def test_a_model_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(UnknownModel):
        chosen(PROVIDER + MODEL, small="none")


@pytest.mark.parametrize("direct", [True, False])
def test_an_exported_file_refers_to_the_key_in_a_variable(direct: bool) -> None:
    row = agent(exporter="opencode", protocols=["openai_chat", "anthropic"])
    found = chosen(PROVIDER + MODEL)
    target = direct_target(row, found) if direct else gateway_target(row, found, URL, Hidden("sk-mb-local"))
    assert isinstance(target, LaunchTarget)
    assert target.exported is not None
    provider = target.exported.settings["provider", "acme" if direct else "modelbay"]
    assert provider["options"]["apiKey"] == "{env:MODELBAY_AGENT_KEY}"  # type: ignore[index]
    assert provider["options"]["baseURL"] == ("https://api.acme.example/v1" if direct else f"{URL}/v1")  # type: ignore[index]
