"""The server that a launched agent calls: the gateway, or the provider itself if nothing is needed in between."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from modelbay.agents import by_name
from modelbay.agents.agent import ExportedConfig
from modelbay.agents.exported import NO_KEY, ExportedProvider
from modelbay.agents.exporting import exported_provider
from modelbay.agents.gateway_provider import ID, gateway_provider
from modelbay.calling.target import Target, Targets
from modelbay.config.schema import Config, ModelEntry
from modelbay.errors import ModelbayError, UnknownModel, Unsupported
from modelbay.gateway.pass_plan import edited_fields
from modelbay.launching.plan import LaunchModel, LaunchTarget
from modelbay.launching.program import KEY_VARIABLE, AgentProgram
from modelbay.onboarding.fields import APIS
from modelbay.origin import origin
from modelbay.providers import urls
from modelbay.providers.endpoint import SCHEMES, Endpoint, endpoint
from modelbay.providers.upstream import upstream
from modelbay.secrecy import REFERENCE, Hidden

_ADDED = frozenset(("anthropic-version", "accept", "content-type", "user-agent"))
"""Headers that every client of a protocol sends on its own."""
_SCHEME_HEADERS = {"bearer": "authorization"}
"""The header of an authentication scheme, if it does not have the scheme's name."""

_OTHER_TOOLS = frozenset(("compaction", "freeform_tools", "namespaces"))
"""The fields of a dialect that only change requests of agents whose tools are not all functions."""


class ChosenModels(Struct, frozen=True):
    """The models that the user chose for an agent."""

    config: Config
    """The configuration, with the chosen models in its list."""
    main: Target
    small: Target
    """The main model, if none was chosen for small tasks."""


def chosen_models(config: Config, model: str | None, small: str | None) -> ChosenModels:
    """The models with these names. `model`: default, the default model.

    Raises:
        UnknownModel: there is no such model.
        ConfigError: the entry of its provider is not valid.
    """
    main = config.model(model)
    other = config.model(small) if small else main
    models = config.models | {_name(entry): _listed(entry) for entry in (main, other)}
    with_them = replace(config, models=models, default_model=_name(main))
    targets = Targets(with_them)
    return ChosenModels(with_them, targets.of(main), targets.of(other))


def _name(entry: ModelEntry) -> str:
    """The name of a model at the gateway."""
    return f"{entry.alias}:{entry.variant}" if entry.variant else entry.alias


def _listed(entry: ModelEntry) -> ModelEntry:
    """The entry of a model that agents find in a list. A variant is a model of its own for them."""
    own = {} if entry.variant else entry.variants
    return replace(entry, alias=_name(entry), variant=None, variants=own, configured=True)


def _vendor(target: Target) -> str:
    return target.upstream.preset.id if target.upstream.preset is not None else ""


# The gateway


def gateway_target(program: AgentProgram, chosen: ChosenModels, url: str, key: Hidden) -> LaunchTarget:
    """The gateway at a URL, with all models.

    Raises:
        ConfigError: no model can be used.
    """
    where = origin(url)
    settings = chosen.config.gateway
    if settings is None:
        raise chosen.config.invalid("gateway", "correct it: the gateway does not start with it")
    there = replace(settings, host=where.host, port=where.port, auth="keys")
    config = replace(chosen.config, gateway=there)
    provider = gateway_provider(config, program.protocols, config.path, with_keys=False)
    names = {model.alias.removeprefix(f"{ID}/"): model.model for model in provider.models}
    main, small = (_at_gateway(target, provider, names) for target in (chosen.main, chosen.small))
    offered = [
        LaunchModel(id=model.model, key=alias, facts=provider.facts[model.alias], effort=model.default_effort)
        for model, alias in zip(provider.models, names, strict=True)
    ]
    protocol = provider.protocols.get(f"{ID}/{_name(chosen.main.entry)}", provider.protocol)
    return LaunchTarget(
        provider=ID,
        base_url=url if protocol == "google" else f"{url}/v1",
        protocol=protocol,
        key=key,
        through_gateway=True,
        vendor=_vendor(chosen.main),
        model=main,
        small=small,
        models=_first((main, small), offered),
        exported=_exported(program, provider),
    )


def check_keys(chosen: ChosenModels) -> None:
    """Check that the gateway will find the API keys of the chosen models: the agent could not show a good error. The output of a
    command is not checked, because the command would run twice.

    Raises:
        MissingCredential: an API key is missing.
        ConfigError: a key cannot be read.
    """
    for target in (chosen.main, chosen.small):
        if not _runs_command(target):
            _endpoint(chosen.config, target)


def _at_gateway(target: Target, provider: ExportedProvider, names: dict[str, str]) -> LaunchModel:
    name = _name(target.entry)
    if name not in names:  # its entry cannot be used, and the reason is in the notes
        raise UnknownModel(
            f"model {name} cannot be used: {'; '.join(provider.notes)}", hint="run `modelbay config check`"
        )
    return LaunchModel(id=names[name], key=name, facts=target.model, effort=target.entry.default_effort)


def _first(chosen: Sequence[LaunchModel], offered: Sequence[LaunchModel]) -> list[LaunchModel]:
    """The chosen models, then the others."""
    return list({model.id: model for model in (*chosen, *offered)}.values())


def _exported(program: AgentProgram, provider: ExportedProvider) -> ExportedConfig | None:
    """The configuration that `modelbay export` writes, with the key as a variable."""
    if not program.exporter:
        return None
    provider.key = f"{{env:{KEY_VARIABLE}}}"
    return by_name(program.exporter).write([provider])


# The provider


class GatewayReason(Struct, frozen=True):
    """Why an agent cannot call a provider directly."""

    provider: str
    why: str

    def error(self, program: AgentProgram) -> Unsupported:
        """The error if the user forbids the gateway."""
        return Unsupported(
            f"{program.title} cannot call {self.provider} directly: {self.why}",
            setting="--direct",
            hint="omit --direct, so that the gateway is used",
            provider=self.provider,
        )


def direct_target(
    program: AgentProgram, chosen: ChosenModels, *, required: bool = False
) -> LaunchTarget | GatewayReason:
    """The provider of the chosen models, or why the agent needs the gateway. `required`: whether the user forbids the gateway, even
    if it is not known whether it is needed.

    Raises:
        MissingCredential: only the API key is missing.
        ConfigError: the key cannot be read.
    """
    try:
        found = _direct(program, chosen)
        if not required:
            _check_facts(chosen)
        return found
    except _GatewayNeeded as needed:
        which = chosen.small if needed.small else chosen.main
        return GatewayReason(which.entry.provider, str(needed))


class _GatewayNeeded(Exception):
    def __init__(self, why: str, *, small: bool = False) -> None:
        super().__init__(why)
        self.small = small


def _direct(program: AgentProgram, chosen: ChosenModels) -> LaunchTarget:
    main, small = chosen.main, chosen.small
    if (main.entry.provider, main.upstream.protocol, main.upstream.base_url) != (
        small.entry.provider, small.upstream.protocol, small.upstream.base_url,
    ):  # fmt: skip
        raise _GatewayNeeded(f"the model for small tasks, {small.entry.alias}, is at another endpoint", small=True)
    for target in dict.fromkeys((main.entry.alias, small.entry.alias)):
        which = main if target == main.entry.alias else small
        if why := _obstacle(program, chosen.config, which):
            raise _GatewayNeeded(why, small=which is small and small is not main)
    called = _endpoint(chosen.config, main)
    if why := _special(program, called):
        raise _GatewayNeeded(why)
    credential = called.credential.secret if called.credential is not None else None
    model, other = (_at_provider(target) for target in (main, small))
    return LaunchTarget(
        provider=main.entry.provider,
        base_url=main.upstream.base_url,
        protocol=main.upstream.protocol,
        key=Hidden(credential.reveal() if credential is not None else NO_KEY),
        through_gateway=False,
        vendor=_vendor(main),
        bearer=credential is None or "authorization" in map(str.lower, called.headers),
        model=model,
        small=other,
        models=_first((model, other), _others(chosen)),
        exported=_exported_directly(program, chosen),
    )


def _obstacle(program: AgentProgram, config: Config, target: Target) -> str:
    """Why calls of a model need the gateway, by its entry; "" if they do not."""
    entry, to = target.entry, target.upstream
    if to.protocol not in program.protocols:
        spoken = " or ".join(APIS[protocol] for protocol in program.protocols)
        return f"{program.title} speaks {spoken}, and the provider {APIS[to.protocol]}"
    base, user = urls.without_user(to.base_url)
    if (to.preset and to.preset.addressing != "plain") or to.full_url or urls.is_endpoint(base) or user or "?" in base:
        return "an agent cannot use the base URL"
    if changed := _changed(program, config, target):
        return f"requests must be changed for the provider ({', '.join(changed)})"
    if to.protocol in program.drops_thinking and target.model.can("thinking") is not False:
        return f"{program.title} does not return the thinking of {_name(entry)}, which the gateway adds"
    if entry.variant:
        return f"{_name(entry)} is a variant, whose settings the gateway adds"
    if _runs_command(target):
        return "its key is the output of a command, which may change"
    if config.network is None or config.network.proxy or config.network.ca:
        return "[network] has a proxy or certificates"
    return ""


def _runs_command(target: Target) -> bool:
    """Whether the key of a model is the output of a command."""
    entry, provider = target.entry, target.upstream.provider
    written = [entry.api_key or provider.api_key or "", *provider.env.values()]
    return any((found := REFERENCE.fullmatch(value.strip())) and found[1] == "command" for value in written)


def _changed(program: AgentProgram, config: Config, target: Target) -> list[str]:
    """The fields of the dialect for which the gateway changes requests of the provider's own protocol."""
    found = edited_fields(target.upstream.dialect, target.codec.PASS)
    if program.functions_only:
        found = [name for name in found if name not in _OTHER_TOOLS]
    usual = upstream(config, target.upstream.provider, target.entry).dialect
    if not usual.unsupported and "unsupported" in found:
        found.remove("unsupported")  # a rule of the model's family, which agents of its maker's protocol know
    return found


def _check_facts(chosen: ChosenModels) -> None:
    """Check that the facts are known that an agent needs in order to send requests that the provider accepts."""
    for target in (chosen.main, chosen.small):
        name, small = _name(target.entry), target is chosen.small and target is not chosen.main
        if target.model.max_output_tokens is None:
            # agents ask for 16,000 to 262,144 tokens then, and most providers reject more than the maximum
            why = f"the maximum output tokens of {name} are unknown, and the gateway learns them"
            raise _GatewayNeeded(why, small=small)
        if target.upstream.protocol == "openai_responses" and target.model.can("thinking") is None:
            # pi does not request the state of the reasoning then, and sends back its ID, which the provider does not know
            raise _GatewayNeeded(
                f"it is unknown whether {name} thinks, and the gateway corrects its reasoning", small=small
            )


def _endpoint(config: Config, target: Target) -> Endpoint:
    path = target.codec.PASS.path("generate", target.model.id)
    return endpoint(config, target.entry, path)


def _special(program: AgentProgram, called: Endpoint) -> str:
    """Why calls of an endpoint need the gateway; "" if they do not."""
    if called.wants_token:
        return "its login needs new tokens"
    if called.proxy or called.tls:
        return "its entry has a proxy or certificates"
    usual = SCHEMES[called.protocol]
    headers = {name.lower() for name in called.headers} - _ADDED
    accepted = [_SCHEME_HEADERS.get(usual, usual), *(["authorization"] if program.names_scheme else [])]
    if len(headers) != (called.credential is not None) or not headers <= set(accepted):
        return "it needs headers that the agent does not send"
    return ""


def _at_provider(target: Target) -> LaunchModel:
    entry = target.entry
    return LaunchModel(
        id=entry.model,
        key=entry.alias.removeprefix(f"{entry.provider}/"),
        facts=target.model,
        effort=entry.default_effort,
    )


def _others(chosen: ChosenModels) -> list[LaunchModel]:
    """The other models of the provider that can be called in the same way."""
    main, targets = chosen.main, Targets(chosen.config)
    found = []
    for entry in chosen.config.models.values():
        if entry.provider == main.entry.provider and not _own(entry):
            target = targets.of(entry)
            if (target.upstream.protocol, target.upstream.base_url) == (main.upstream.protocol, main.upstream.base_url):
                found.append(_at_provider(target))
    return found


def _own(entry: ModelEntry) -> bool:
    """Whether a model is called differently from its provider's other models."""
    return bool(entry.api_key or entry.oauth or entry.flat)


def _exported_directly(program: AgentProgram, chosen: ChosenModels) -> ExportedConfig | None:
    if not program.exporter:
        return None
    try:
        provider = exported_provider(
            chosen.config, chosen.main.entry.provider, by_name(program.exporter), with_keys=False
        )
    except ModelbayError as error:
        raise _GatewayNeeded(error.message) from None
    if chosen.main.entry.alias not in [model.alias for model in provider.models]:
        raise _GatewayNeeded("; ".join(provider.notes))
    return _exported(program, provider)
