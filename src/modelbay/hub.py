"""The Hub: the library's face. It knows the configuration, and talks to any model in it.

    hub = Hub.open()
    async for event in hub.stream("Why is the sky blue?"): ...
    reply = await hub.complete("Why is the sky blue?", model="claude", max_tokens=500)

Nothing here is one protocol's or one vendor's: a codec writes the call, an endpoint says where it goes, the transport
sends it once, and what comes back is events.
"""

from asyncio import to_thread
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Self, Unpack

from modelbay import prompt as prompts
from modelbay.catalog.knowledge import fitted, model_facts
from modelbay.config.load import load
from modelbay.config.schema import Config, ModelEntry, key_text
from modelbay.conversation import Conversation, Media, Reasoning, ToolResult, Turn
from modelbay.dialect import Dialect
from modelbay.errors import ConfigError, ModelbayError, Unsupported
from modelbay.events import Event, PartDelta, Reply, Warned, collect
from modelbay.hints import About, explain
from modelbay.line import Line, Sending, adapted
from modelbay.logs import LOG
from modelbay.model import Capability, Model
from modelbay.prompt import Ask, Prompt
from modelbay.protocols import efforts
from modelbay.protocols.codec import codec
from modelbay.providers.adaptation import adapt
from modelbay.providers.upstream import Upstream, upstream
from modelbay.usage import Usage

if TYPE_CHECKING:
    from modelbay.catalog.lists.discovery import Discovery
    from modelbay.catalog.lookup import Catalog
    from modelbay.recording import Recorder

_NEEDS: dict[str, Capability] = {
    "image": "image_in",
    "audio": "audio_in",
    "video": "video_in",
}


class Hub:
    """Every provider and model of one configuration. Keeps connections; close it, or use it as `async with`.

    It may be used in several event loops, each of which has connections of its own, and in a forked child, which shares
    none with its parent.
    """

    def __init__(self, config: Config) -> None:
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, as Hub.open(PATH) reads it, not {type(config).__qualname__}")
        self.config = config
        self._known: dict[tuple[str, str | None], tuple[Upstream, Model]] = {}
        self._line = Line(config)
        self._loaded = False
        for provider in config.providers.values():
            if provider.tls and provider.tls.insecure:
                LOG.warning(
                    "providers.%s has tls.insecure = true: whoever is on the way can read and change what is sent, "
                    "the key too (tls.ca names an authority to trust instead)",
                    key_text(provider.id),
                )

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        """The hub of a configuration file, by default `config.toml` in modelbay's home.

        Entries that cannot be used are in `config.problems`; the others work. A path that you name is yours to vouch for: the
        references in the file (`{env:NAME}`, `{file:PATH}`, `{keyring:…}`) are followed wherever it is. For a file from
        elsewhere, `Hub(load(path))` follows only those that the user approved.

        Raises:
            ConfigError: the file cannot be read or does not parse.
        """
        return cls(load(Path(path) if path is not None else None, trusted=path is not None))

    async def __aenter__(self) -> Self:
        await self._ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections for good: a later call raises `HubClosed`. Streams that are still open end."""
        await self._line.aclose()

    def record(self) -> "Recorder":
        """Keeps every exchange with a provider from now on, secrets left out; `lines` of what this returns are for
        `modelbay replay`."""
        from modelbay.recording import Recorder

        self._line.recorder = Recorder()
        return self._line.recorder

    # --- models ---

    @cached_property
    def catalog(self) -> "Catalog":
        """What lists and models.dev say of models."""
        from modelbay.catalog.lookup import Catalog

        return Catalog()

    def models(self) -> list[Model]:
        """Every model that is configured and usable, with the facts known of it."""
        found = []
        for entry in self.config.models.values():
            try:
                found.append(self._facts(entry))
            except ConfigError:
                continue  # its provider cannot be used, which `config.problems` says
        return found

    def model(self, name: str | None = None) -> Model:
        """A model by alias or `provider/wire-id`; without a name, the default.

        Raises:
            UnknownModel, UnknownProvider, ConfigError: there is no such model; the hint offers the nearest names.
        """
        return self._facts(self.config.model(name))

    async def list_models(self, provider: str) -> list[str]:
        """The ids that a provider lists.

        Raises:
            ModelbayError: it has no list, or did not give it.
        """
        return [model.id for model in (await self.discover(provider)).models]

    async def discover(self, provider: str) -> "Discovery":
        """What a provider lists, with the facts its list gives; they are remembered for `model`.

        Raises:
            ModelbayError: it has no list, or did not give it.
        """
        from modelbay.catalog.lists.discovery import discover

        entry = self.config.provider(provider)
        await self._ready()
        try:
            found = await discover(self.config, entry, self._line.fetch)
        except ModelbayError as error:
            error.operation = error.operation or "list"
            raise explain(error, About(provider, self.config.path, known=self.config.providers)) from None
        self.catalog.remember(upstream(self.config, entry), found)
        self._known.clear()
        return found

    def cost(self, model: Model, usage: Usage) -> float | None:
        """Dollars, or None where the price is not known. A bucket without a price of its own costs what input does."""
        from modelbay.catalog.prices import price

        target, _ = self._resolved(self.config.model(model.alias or f"{model.provider}/{model.id}"))
        found = price(model, usage, target, self.catalog)
        return float(found.dollars) if found else None

    # --- asking ---

    def stream(
        self, prompt: Prompt, *, model: str | None = None, **settings: Unpack[Ask]
    ) -> AsyncGenerator[Event, None]:
        """The events of an answer, as they arrive.

        `prompt` is a text, a list of turns or a `Conversation`; `model` an alias or `provider/model-id`, by default the
        default model. Settings: system, files, tools, tool_choice, output_format, effort, max_tokens, temperature, top_p,
        stop. A setting that is missing or None has the default of the model or its provider.

        Leaving the iteration, or cancelling it, closes the connection to the provider at once.

        Raises:
            TypeError, ValueError: at once, for an unknown setting or a wrong value.
            ModelbayError: no answer began. After its beginning, the stream ends with `Finished` or `Failed`.
        """
        prompts.check(prompt, model, settings)
        return self._stream(model, prompt, settings)

    async def _stream(self, model: str | None, prompt: Prompt, ask: Ask) -> AsyncGenerator[Event, None]:
        sending = await self._prepare(model, prompt, ask, stream=True)
        for warning in sending.call.warnings:
            yield warning
        async with aclosing(self._line.events(sending)) as events:
            async for event in events:
                yield event

    async def complete(self, prompt: Prompt, *, model: str | None = None, **settings: Unpack[Ask]) -> Reply:
        """The whole answer, requested without streaming. The arguments are those of `stream`.

        Raises:
            TypeError, ValueError: an unknown setting or a wrong value; nothing was sent.
            ModelbayError: there is no whole answer. `Reply.error` is never set in what this returns.
        """
        prompts.check(prompt, model, settings)
        sending = await self._prepare(model, prompt, settings, stream=False)
        async with aclosing(self._line.events(sending)) as events:
            told = [event async for event in events if not isinstance(event, PartDelta)]  # their text is in `PartEnded`
            reply = collect([*sending.call.warnings, *told])
        if reply.error is not None:
            raise reply.error
        return reply

    # --- the way of one request ---

    async def _ready(self) -> None:
        """Imports what a call needs, in a thread: it takes a second where the disk is slow, and the event loop goes on."""
        self._line.check_open()
        if not self._loaded:
            await to_thread(self._load)
            self._loaded = True

    def _load(self) -> None:
        import modelbay.catalog.lists.discovery
        import modelbay.media
        import modelbay.transport  # noqa: F401

        for provider in self.config.providers.values():
            with suppress(ConfigError):  # it cannot be used, which `config.problems` says
                codec(upstream(self.config, provider).protocol)
        _ = self.catalog

    def _facts(self, entry: ModelEntry) -> Model:
        return self._resolved(entry)[1]

    def _resolved(self, entry: ModelEntry) -> tuple[Upstream, Model]:
        """A model's upstream and facts, worked out once."""
        key = _key(entry)
        if key not in self._known:
            target = fitted(upstream(self.config, self.config.provider_of(entry), entry))
            self._known[key] = target, model_facts(entry, target, self.catalog.said(entry, target))
        return self._known[key]

    async def _prepare(self, name: str | None, prompt: Prompt, ask: Ask, *, stream: bool) -> Sending:
        entry = self.config.model(name)
        await self._ready()
        if _key(entry) not in self._known:
            await to_thread(self._resolved, entry)  # it may read lists of models
        target, model = self._resolved(entry)
        conversation = self._conversation(prompt, ask, model, target.dialect)
        conversation.stream = stream or target.dialect.stream_only
        conversation.include_usage = True if conversation.stream else None
        warnings = _check(conversation, model)
        if any(_media(turn) for turn in conversation.turns):
            conversation = await self._line.with_media(conversation, target)
        of_protocol = codec(target.protocol)
        call = of_protocol.render_request(conversation, model, target.dialect)
        call.warnings = warnings + call.warnings
        call.body |= entry.settings
        call.warnings += [adapted(lesson) for lesson in adapt(call.body, self._line.learnt(target, model))]
        endpoint = await self._line.endpoint(target, call.path, stream=call.stream)
        return Sending(target, model, of_protocol, call, endpoint)

    def _conversation(self, prompt: Prompt, ask: Ask, model: Model, dialect: Dialect) -> Conversation:
        conversation = prompts.conversation(prompt, ask)
        settings = conversation.settings
        if settings.max_output_tokens is None and model.output_tokens_explicit:
            settings.max_output_tokens = model.max_output_tokens
        effort = ask.get("effort")
        if effort is not None or settings.reasoning is None:
            settings.reasoning = self._reasoning(effort, model, dialect)
        return conversation

    def _reasoning(self, effort: str | None, model: Model, dialect: Dialect) -> Reasoning | None:
        """How much to think: the call's word, else `[thinking]`, else what the model's entry says."""
        thinking = self.config.thinking
        if effort is None and model.can("thinking") is not True and model.can("always_thinking") is not True:
            return None
        if effort is None and thinking.enabled is False:
            effort = "off"
        place = "" if effort else "[thinking]" if thinking.effort else f"models.{model.alias}.default_effort"
        effort = efforts.checked(effort or thinking.effort or model.default_effort, model, dialect, place)
        if effort is None:
            return Reasoning(enabled=True) if thinking.enabled else None
        return Reasoning(enabled=effort not in efforts.OFF, effort=None if effort in efforts.ON else effort)


def _key(entry: ModelEntry) -> tuple[str, str | None]:
    return entry.alias, entry.variant


def _check(conversation: Conversation, model: Model) -> list[Warned]:
    """Refuses what the model is known not to take; what is not known is sent, and reported."""
    warnings: list[Warned] = []
    kinds = {part.kind for turn in conversation.turns for part in _media(turn)}
    needs: list[tuple[str, Capability]] = [(kind, _NEEDS[kind]) for kind in sorted(kinds) if kind in _NEEDS]
    tools = conversation.settings.tools or []
    if tools:
        needs.append(("tools", "tool_use"))
    if any(tool.kind == "vendor" and (tool.native or "").startswith("computer") for tool in tools):
        needs.append(("computer tools", "computer_use"))
    if _is_sent_documents(conversation) and model.sources.get("document_in") == "config":
        # others' word for it is not reliable: most hosts read them for a model
        needs.append(("documents", "document_in"))
    for what, capability in needs:
        if model.can(capability) is False:
            raise Unsupported(
                f"{model.alias or model.id} does not take {what}: its `{capability}` is no",
                setting=capability,
                hint=f"choose another model, or correct it: modelbay model set {quote(model.alias)} {capability}=yes",
            )
        if model.can(capability) is None and capability not in ("tool_use", "computer_use"):
            warnings.append(Warned(f"it is not known whether {model.alias or model.id} takes {what}", capability))
    return warnings


def _is_sent_documents(conversation: Conversation) -> bool:
    """Whether there are documents in it that are not plain text."""
    return any(
        part.kind == "document" and part.text is None and part.parts is None
        for turn in conversation.turns
        for part in _media(turn)
    )


def _media(turn: Turn) -> list[Media]:
    inner = [part for result in turn.parts if isinstance(result, ToolResult) for part in result.parts]
    return [part for part in [*turn.parts, *inner] if isinstance(part, Media)]
