"""The Hub: the library's face. It knows the configuration, and talks to any model in it.

    hub = Hub.open()
    async for event in hub.stream("claude", "Why is the sky blue?"): ...
    reply = await hub.complete("claude", "Why is the sky blue?")

Nothing here is one protocol's or one vendor's: a codec writes the call, an endpoint says where it goes, the transport
sends it once, and what comes back is events.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from functools import cached_property
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from msgspec.structs import replace

from modelbay.catalog.knowledge import fitted, model_facts
from modelbay.config.load import load
from modelbay.config.schema import Config, ModelEntry, key_text
from modelbay.conversation import (
    Conversation,
    Media,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
    Turn,
    user,
)
from modelbay.dialect import Dialect
from modelbay.errors import ConfigError, ModelbayError, Unsupported
from modelbay.events import Event, PartDelta, Reply, Warned, collect
from modelbay.hints import explain
from modelbay.line import Line, Sending, adapted
from modelbay.logs import LOG
from modelbay.model import Capability, Model
from modelbay.protocols import efforts
from modelbay.protocols.codec import codec
from modelbay.providers.adaptation import adapt
from modelbay.providers.upstream import Upstream, upstream
from modelbay.usage import Usage

if TYPE_CHECKING:
    from modelbay.catalog.discovery import Discovery
    from modelbay.catalog.sources import Catalog
    from modelbay.recording import Recorder

_NEEDS: dict[str, Capability] = {
    "image": "image_in",
    "audio": "audio_in",
    "video": "video_in",
}


class Ask(TypedDict, total=False):
    """What a call says beside its prompt. What is left out is the model's or provider's own default."""

    system: str | None
    files: Sequence[Media]
    """Images, sound, video and documents that go with a prompt of text."""
    tools: list[Tool] | None
    tool_choice: ToolChoice | None
    output_format: OutputFormat | None
    effort: str | None
    """How much to think: the provider's word, or "off"."""
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    stop: list[str] | None


class Hub:
    """Every provider and model of one configuration. Keeps connections; close it, or use it as `async with`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._known: dict[tuple[str, str | None], tuple[Upstream, Model]] = {}
        self._line = Line(config)
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
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the connections."""
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
        from modelbay.catalog.sources import Catalog

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
        from modelbay.catalog.discovery import discover

        entry = self.config.provider(provider)
        try:
            found = await discover(self.config, entry, self._line.fetch)
        except ModelbayError as error:
            raise explain(error, provider, self.config.path) from None
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

    async def stream(
        self, model: str | None, prompt: str | Conversation | Sequence[Turn], **ask: Unpack[Ask]
    ) -> AsyncGenerator[Event, None]:
        """The events of a model's answer, as they come. `ask` is what `Ask` names: system, files, tools, effort ...

        Leaving the iteration, or cancelling it, closes the connection to the provider at once.

        Raises:
            ModelbayError: no answer began. Once one has, the stream ends in `Finished` or `Failed`.
        """
        sending = await self._prepare(model, prompt, ask, stream=True)
        for warning in sending.call.warnings:
            yield warning
        async with aclosing(self._line.events(sending)) as events:
            async for event in events:
                yield event

    async def complete(
        self, model: str | None, prompt: str | Conversation | Sequence[Turn], **ask: Unpack[Ask]
    ) -> Reply:
        """A model's whole answer, asked for in one piece. `ask` as for `stream`.

        Raises:
            ModelbayError: there is no whole answer. `Reply.error` is never set in what this returns.
        """
        sending = await self._prepare(model, prompt, ask, stream=False)
        async with aclosing(self._line.events(sending)) as events:
            told = [event async for event in events if not isinstance(event, PartDelta)]  # their text is in `PartEnded`
            reply = collect([*sending.call.warnings, *told])
        if reply.error is not None:
            raise reply.error
        return reply

    # --- the way of one request ---

    def _facts(self, entry: ModelEntry) -> Model:
        return self._resolved(entry)[1]

    def _resolved(self, entry: ModelEntry) -> tuple[Upstream, Model]:
        """A model's upstream and facts, worked out once."""
        key = (entry.alias, entry.variant)
        if key not in self._known:
            target = fitted(upstream(self.config, self.config.provider_of(entry), entry))
            self._known[key] = target, model_facts(entry, target, self.catalog.said(entry, target))
        return self._known[key]

    async def _prepare(
        self, name: str | None, prompt: str | Conversation | Sequence[Turn], ask: Ask, *, stream: bool
    ) -> Sending:
        entry = self.config.model(name)
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

    def _conversation(
        self, prompt: str | Conversation | Sequence[Turn], ask: Ask, model: Model, dialect: Dialect
    ) -> Conversation:
        if isinstance(prompt, Conversation):
            conversation = replace(prompt, settings=replace(prompt.settings), turns=list(prompt.turns))
        elif isinstance(prompt, str):
            conversation = Conversation([user(prompt, *ask.get("files", ()))])
        else:
            conversation = Conversation(list(prompt))
        if (system := ask.get("system")) is not None:
            conversation.turns.insert(0, Turn("system", [Text(text=system)]))
        settings = conversation.settings
        for name in ("tools", "tool_choice", "output_format", "max_output_tokens", "temperature", "top_p", "stop"):
            if (value := ask.get(name)) is not None:
                setattr(settings, name, value)
        if settings.max_output_tokens is None and model.output_tokens_explicit:
            settings.max_output_tokens = model.max_output_tokens
        if settings.reasoning is None:
            settings.reasoning = self._reasoning(ask.get("effort"), model, dialect)
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
