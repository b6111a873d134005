"""The Hub: the entry point of the library. It reads a configuration and calls any model in it.

    hub = Hub.open()
    async for event in hub.stream("Why is the sky blue?"): ...
    reply = await hub.complete("Why is the sky blue?", model="claude", max_tokens=500)

Nothing here is specific to a protocol or vendor: a codec renders the call, an endpoint has the URL and headers, the
transport sends it once, and the response becomes events.
"""

from asyncio import to_thread
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, Unpack, cast

from msgspec.structs import replace

from modelbay.calling.fallback import ModelCall, first_answer
from modelbay.calling.opened import Sending
from modelbay.calling.provider_client import ProviderClient
from modelbay.calling.target import Target, Targets
from modelbay.config.load import load
from modelbay.config.schema import IN_CODE, Config, Problem, ProviderEntry, key_text
from modelbay.conversation import Conversation, Turn
from modelbay.dialect import Dialect
from modelbay.embedding import EmbeddingRequest, Embeddings
from modelbay.errors import ConfigError, Unsupported
from modelbay.events import Event, OutputT, PartDelta, Reply, Warned, collect, failure
from modelbay.hints import explaining
from modelbay.library import prompt as prompts
from modelbay.library.chat import Chat, loaded_chat, new_chat
from modelbay.library.deadline import Deadline
from modelbay.library.embedding_settings import EmbeddingSettings, embedding_advice, embedding_request
from modelbay.library.input_counts import InputCounts
from modelbay.library.many_prompts import many_prompts, replies
from modelbay.library.prompt import Ask, Count, Prompt, check_type, checked
from modelbay.library.provider_settings import ProviderSettings
from modelbay.library.reply_stream import ReplyStream, reply_stream
from modelbay.library.thinking import thinking
from modelbay.library.tool_run import ToolRun, Work
from modelbay.library.typed_output import output_type
from modelbay.logs import LOG
from modelbay.model import Model
from modelbay.other_names import HUB, unknown
from modelbay.protocols.codec import add_settings, codec
from modelbay.providers import presets
from modelbay.providers.upstream import upstream
from modelbay.routing.retry import Policy
from modelbay.storage.paths import config_file
from modelbay.typed import Name
from modelbay.usage import Usage

if TYPE_CHECKING:
    from modelbay.calling.recording import Recorder
    from modelbay.catalog.lists.discovery import Discovery
    from modelbay.catalog.lookup import Catalog
    from modelbay.counting.learned_counts import Expected
    from modelbay.counting.provider_count import TokenCount


F = TypeVar("F", bound=Callable[..., None])
NOT_COPIED = "a hub has API keys and connections, so it cannot be pickled or copied: open one in each process"


def of_a_configuration(init: F) -> F:
    """The initializer of a hub, with a message for a program that passes nothing: clients of other libraries need no argument."""

    @wraps(init)
    def checked_init(self: object, *given: Any, **named: Any) -> None:
        if not given and not named:
            raise TypeError(
                "Hub() needs a configuration: call Hub.open() to read config.toml, or Hub.of(VENDOR, api_key=KEY) to "
                "describe a provider"
            )
        init(self, *given, **named)

    return cast(F, checked_init)


class Hub:
    """All providers and models of a configuration. Keeps connections open: close it, or use it as an async context
    manager.

    It can be used in several event loops, each with its own connections, and in a forked child, which shares none.
    """

    @of_a_configuration
    def __init__(self, config: Config) -> None:
        if not isinstance(config, Config):
            raise TypeError(
                f"config must be a Config, not {type(config).__qualname__}: call Hub.open(PATH), or Hub.of(VENDOR)"
            )
        self.config = config
        """The configuration, with its providers and models."""
        self._targets = Targets(config)
        self._client = ProviderClient(config)
        self._counts = InputCounts()
        self._loaded = False
        for provider in config.providers.values():
            _warn_if_insecure(provider)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, HUB | {"close": "aclose"})

    def __repr__(self) -> str:
        return hub_words(self.config)

    def __reduce__(self) -> NoReturn:
        raise TypeError(NOT_COPIED)

    @classmethod
    def open(cls, path: Path | str | None = None) -> Self:
        """The hub of a config file. Default: `config.toml` in modelbay's home, which may be missing.

        Entries that are invalid are listed in `problems`; the others work. References in a file that you name
        (`{env:NAME}`, `{file:PATH}`, `{keyring:…}`) are resolved wherever the file is. For a file from elsewhere, use
        `Hub(load(path))`: it resolves only references that the user approved.

        Raises:
            ValueError: the path is empty.
            UnreadableFile: a file that you name does not exist.
            ConfigError: the file cannot be read or parsed.
        """
        check_type(path, Path | Name | None, "path")
        file = None if path is None else Path(path)
        with explaining(Config(path=file or config_file())):
            return cls(load(file, trusted=path is not None))

    @classmethod
    def of(cls, provider: str | None = None, *, model: str | None = None, **settings: Unpack[ProviderSettings]) -> Self:
        """The hub of one provider that the program describes, without a config file: `Hub.of("anthropic", api_key=KEY)`.

        `provider`: the name of a vendor. `model`: the default model. The settings are those of `ProviderSettings`: `base_url`, the
        URL of another server; `api_key`, the key, or a reference such as `{env:NAME}`; `protocol`, `headers`, `proxy`, `timeout`
        and `tls`.

        Every model of the provider can be called by its ID.

        Raises:
            TypeError: neither `provider` nor `base_url` is given, a setting is unknown, or a value has another type.
            ValueError: there is no such protocol, a value is empty, or a header or proxy cannot be used.
            ConfigError: there is no such vendor, or the values do not describe a provider.
            MissingCredential: the vendor requires an API key.
        """
        check_type(model, Name | None, "model")
        hub = cls(Config(path=IN_CODE, exists=False, trusted=True, names_are_ids=True))
        id = hub.add(provider, **settings)
        hub.config.default_provider = id
        hub.config.default_model = f"{id}/{model}" if model is not None else None
        return hub

    def add(self, provider: str | None = None, *, id: str | None = None, **settings: Unpack[ProviderSettings]) -> str:
        """Add a provider to this hub, not to its file. Its models are `ID/model-id`. Returns the ID: by default that of the vendor,
        or one that follows from the host. The settings, and what is raised, are those of `of`.

        Raises:
            ConfigError: the hub has a provider with this ID already.
        """
        from modelbay.draft import as_entry
        from modelbay.library.provider_in_code import provider_in_code

        with explaining(self.config):
            made = provider_in_code(provider, settings, id)
            if made.id in self.config.providers:
                raise ConfigError(f'the hub has a provider "{made.id}" already', hint="pass another id")
            entry = as_entry(self.config, made.id, made.table)
            upstream(self.config, entry)
        _warn_if_insecure(entry)
        self.config.providers[made.id] = entry
        return made.id

    async def __aenter__(self) -> Self:
        await self._ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections. Later calls raise `HubClosed`; open streams end."""
        await self._client.aclose()

    def record(self) -> "Recorder":
        """Start recording all exchanges with providers, without secrets. Returns the recorder; write its `lines` to a
        file for `modelbay replay`."""
        from modelbay.calling.recording import Recorder

        self._client.recorder = Recorder()
        return self._client.recorder

    @property
    def problems(self) -> list[Problem]:
        """Entries of the configuration, and vendor files of the user, that cannot be used."""
        return self.config.problems + presets.problems()

    # --- models ---

    @property
    def catalog(self) -> "Catalog":
        """Facts about models from providers' lists and models.dev."""
        return self._targets.catalog

    @catalog.setter
    def catalog(self, catalog: "Catalog") -> None:
        self._targets.catalog = catalog

    def models(self) -> list[Model]:
        """All configured and usable models, with their facts."""
        return [target.model for target in self._targets.all()]

    def embedding_models(self) -> list[str]:
        """The aliases of the configured models that compute embeddings. They are recognized by their IDs."""
        from modelbay.catalog.lists.entry_facts import kind_of

        return [alias for alias, entry in self.config.models.items() if kind_of({}, entry.identity) == "embedding"]

    def model(self, name: str | None = None) -> Model:
        """A model by alias or `provider/model-id`; without a name, the default model.

        Raises:
            UnknownModel, UnknownProvider, ConfigError: there is no such model; the hint suggests similar names.
        """
        with explaining(self.config):
            return self._targets.find(name).model

    async def list_models(self, provider: str) -> list[str]:
        """The IDs of the models that a provider lists.

        Raises:
            ModelbayError: it has no list, or the request failed.
        """
        return [model.id for model in (await self.discover(provider)).models]

    async def discover(self, provider: str) -> "Discovery":
        """The models that a provider lists, with facts from its list. The facts are also used by `model`.

        Raises:
            ModelbayError: it has no list, or the request failed.
        """
        from modelbay.catalog.lists.discovery import discover

        with explaining(self.config, provider):
            entry = self.config.provider(provider)
            await self._ready()
            found = await discover(self.config, entry, self._client.fetch)
        self.catalog.remember(upstream(self.config, entry), found)
        self._targets.forget()
        return found

    def cost(self, model: Model, usage: Usage) -> float | None:
        """Cost in US dollars, or None if the price is unknown. Counts without a price of their own cost as much as
        input."""
        from modelbay.catalog.prices import price

        if not isinstance(model, Model):
            raise TypeError(f"model must be a Model, as hub.model(NAME) gives, not {type(model).__qualname__}")
        target = self._targets.find(model.alias or f"{model.provider}/{model.id}")
        found = price(model, usage, target.upstream, self.catalog)
        return float(found.dollars) if found else None

    # --- asking ---

    def stream(
        self, prompt: Prompt, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> ReplyStream[OutputT]:
        """A reply that is read while it arrives: as events, as text (`text`) or as a whole (`reply`).

        `prompt` is a text, a list of turns or a `Conversation`. `model` is an alias or `provider/model-id`; default: the default
        model. In a list of models, the next one is asked if one fails before it replies. The settings are those of `Ask`, such as
        `system`, `files`, `tools`, `effort`, `max_tokens`, `temperature` and `timeout`. A setting that is missing or None has the
        default of the model or its provider.

        Closing the stream, or cancelling the task that reads it, closes the connection to the provider at once.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value.
            ModelbayError: when it is read, if the reply did not start. After its start, the events end with `Finished` or
                `Failed`.
        """
        settings = checked(prompt, model, settings, empty=prompt == [])
        call, whole = self._call(model, prompt, settings, stream=True)
        return reply_stream(call, whole, settings.get("timeout"))

    def _whole(self, ask: Ask, expected: "list[Expected]", events: list[Event], target: Target | None) -> Reply:
        """The reply of these events, with what is known about its target, and its value. Raises the error of a reply that
        failed."""
        reply = collect(events)
        if target is not None:
            reply.provider = target.upstream.provider.id
            reply.__dict__["priced"] = partial(self.cost, target.model)
            self._counts.learn(target, expected, reply)
        if (error := failure(reply)) is not None:
            raise error
        if ask.get("output") is not None and not reply.tool_calls:
            reply.__dict__["answer"] = output_type(ask["output"]).value(reply)
        return reply

    async def complete(
        self, prompt: Prompt, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask[OutputT]]
    ) -> Reply[OutputT]:
        """The complete reply, requested without streaming. The arguments are those of `stream`.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value; nothing was sent.
            ModelbayError: there is no complete reply. `Reply.error` is never set in the result; `reply` of the error has the
                complete parts of a reply that failed.
        """
        settings = checked(prompt, model, settings)
        return await self._complete(prompt, model, settings)

    async def _complete(self, prompt: Prompt, model: str | Sequence[str] | None, ask: Ask) -> Reply:
        deadline = Deadline(ask.get("timeout"))
        call, whole = self._call(model, prompt, ask, stream=False)
        told: list[Event] = []
        while isinstance(step := await deadline.within(call.step()), Warned):
            deadline.warned(step)
            told.append(step)
        async with step as opened:
            while (events := await deadline.within(opened.events())) is not None:
                told += [event for event in events if type(event) is not PartDelta]  # `PartEnded` has their text
        return whole(told, call.target)

    async def map(
        self,
        prompts: Iterable[Prompt],
        *,
        model: str | Sequence[str] | None = None,
        limit: int = 20,
        progress: Callable[[int, Reply[OutputT]], object] | None = None,
        **settings: Unpack[Ask[OutputT]],
    ) -> list[Reply[OutputT]]:
        """The replies to many prompts, in their order, with at most `limit` calls at a time.

        A call that fails does not end the others: its reply has the error in `error`, and the parts that arrived. `progress` is
        called with the index of each prompt whose call has ended, and the reply; an exception in it ends all calls, and is raised.
        The other arguments are those of `stream`.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value; nothing was sent.
        """
        ready = many_prompts(prompts, model, limit, progress, settings)
        return await replies(ready, lambda prompt, ask: self._complete(prompt, model, ask))

    def run(
        self,
        prompt: Prompt,
        *,
        model: str | Sequence[str] | None = None,
        max_steps: int = 10,
        **settings: Unpack[Ask[OutputT]],
    ) -> ToolRun[OutputT]:
        """A conversation in which the model calls functions until it answers:
        `reply = await hub.run(prompt, tools=[f, g]).reply()`.

        `tools` are functions, and tools made with `Tool.of`. The calls of a reply run at the same time; functions without `async`
        run in threads. An error of a function is its result, so that the model can react to it. `max_steps`: maximum number of
        replies. A `tool_choice` that forces a call holds for the first reply only. The other arguments are those of `stream`;
        `timeout` and `retries` are limits of each reply.

        Raises:
            TypeError, ValueError: immediately, for an unknown setting or an invalid value.
            ModelbayError: when it is read or awaited, if a reply did not start, or failed.
            TooManySteps: if the model still calls tools after `max_steps` replies.
        """
        settings = checked(prompt, model, settings, empty=prompt == [])
        check_type(max_steps, Count, "max_steps")
        with explaining(self.config):
            begun = prompts.conversation(prompt, prompts.with_open_files(settings))
        rest: Ask = {name: value for name, value in settings.items() if name in prompts.OF_THE_CALL}  # type: ignore[assignment]

        def ask(turns: list[Turn], step: int) -> ReplyStream:
            choice = begun.settings.tool_choice
            if step > 0 and choice is not None and choice.mode in ("required", "tool"):
                begun.settings.tool_choice = replace(choice, mode=None, names=[], namespaces=[])
            return self.stream(replace(begun, turns=list(turns)), model=model, **rest)

        return ToolRun(Work(list(begun.turns), begun.settings.tools or [], ask, max_steps))

    def chat(self, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask]) -> Chat:
        """A conversation with a model, turn by turn: `reply = await chat.complete("Hi")`. The arguments are those of `stream`
        without `files`. They hold for all questions.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value.
        """
        return new_chat(self, model, settings)

    def load_chat(self, text: str, *, model: str | Sequence[str] | None = None, **settings: Unpack[Ask]) -> Chat:
        """The chat of a text that `Chat.dumps` made. `model` and `system` replace those of the text; all other settings must be
        passed again. Any model of any provider can continue it: signatures and encrypted reasoning are sent only to the provider
        and the model family that they came from. The text is trusted like a prompt.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value.
            UnreadableChat: the text is not a chat, or a newer version of modelbay wrote it.
        """
        return loaded_chat(self, text, model, settings)

    # --- embeddings ---

    async def embed(
        self, texts: str | Iterable[str], *, model: str | None = None, **settings: Unpack[EmbeddingSettings]
    ) -> Embeddings:
        """The vectors of one text or of many, in their order: `(await hub.embed(texts, model="small")).vectors`.

        Many texts are sent in several requests, at most 8 at a time. If one fails, the call fails. `model` is an embedding model:
        its alias or `provider/model-id`; default: the default model. The settings are those of `EmbeddingSettings`: `dimensions`,
        `input_type`, `user`, `extra_body`, `extra_headers`, `timeout` and `retries`.

        Raises:
            TypeError, ValueError: an unknown setting, an invalid value or an empty text; nothing was sent.
            Unsupported: the model's protocol does not have embeddings; nothing was sent.
            ModelbayError: there are no vectors, for example because a text is too long.
        """
        asked = embedding_request(texts, model, settings)
        deadline = Deadline(settings.get("timeout"))
        return await deadline.within(self._embed(asked, model, settings, deadline))

    async def _embed(
        self, asked: EmbeddingRequest, model: str | None, settings: EmbeddingSettings, deadline: Deadline
    ) -> Embeddings:
        from modelbay.calling.embedding_call import EmbeddingCall

        with explaining(self.config):
            target = await self._target(model)
            headers = dict(settings.get("extra_headers") or {})
            try:
                call = EmbeddingCall(self._client, target, asked, self._policy(settings.get("retries")), headers)
            except Unsupported as error:
                error.provider, error.hint = (
                    target.upstream.provider.id,
                    embedding_advice(self.config, self.embedding_models()) or error.hint,
                )
                raise
            found = await call.run(deadline.warned)
        found.__dict__["priced"] = partial(self.cost, target.model)
        return found

    # --- counting tokens ---

    async def count(
        self,
        prompt: Prompt,
        *,
        model: str | Sequence[str] | None = None,
        estimate: bool = False,
        **settings: Unpack[Ask],
    ) -> "TokenCount":
        """The input tokens of a call, without making it: `(await hub.count("Why is the sky blue?", system="Be brief.")).tokens`.

        Providers of Messages, Responses and Gemini count them, and some of Chat Completions. For the others, the tokens are
        estimated, and `estimated` is true. An estimate is usually off by less than a tenth. Later estimates are corrected by
        the counts in the replies of the model. `estimate`: whether to always estimate, without a request to the provider.
        The other arguments are those of `stream`. Of a list of models, the first available one is asked.

        Raises:
            TypeError, ValueError: an unknown setting or an invalid value; nothing was sent.
            ModelbayError: the call cannot be prepared, or the provider rejects the credential, limits requests or does not respond.
        """
        settings = checked(prompt, model, settings, empty=True)
        models = [model] if model is None or isinstance(model, str) else model
        deadline = Deadline(settings.get("timeout"))
        count = partial(self._count, prompt=prompt, ask=settings, estimate=estimate, deadline=deadline)
        return await deadline.within(first_answer(models, count, deadline.failed))

    async def _count(
        self, name: str | None, prompt: Prompt, ask: Ask, estimate: bool, deadline: Deadline
    ) -> "TokenCount":
        from modelbay.counting import provider_count

        with explaining(self.config):
            target, conversation = await self._asked(name, prompt, ask)
            if not estimate:
                policy = self._policy(ask.get("retries"))
                ready = partial(self._sending, conversation=conversation, ask=ask)
                found = await provider_count.provider_count(
                    self._client, target, conversation, ready, policy, deadline.warned
                )
                if found is not None:
                    return found
            return await self._counts.estimated(target, conversation)

    # --- preparing a call ---

    async def _ready(self) -> None:
        """Import the modules that a call needs, in a thread: on a slow disk this takes a second, which would block the
        event loop."""
        self._client.check_open()
        if not self._loaded:
            await to_thread(self._load)
            self._loaded = True

    def _load(self) -> None:
        import modelbay.calling.media
        import modelbay.catalog.lists.discovery
        import modelbay.transport  # noqa: F401

        for provider in self.config.providers.values():
            with suppress(ConfigError):  # its provider is invalid, as `problems` reports
                codec(upstream(self.config, provider).protocol)
        _ = self.catalog

    def _call(
        self, model: str | Sequence[str] | None, prompt: Prompt, ask: Ask, *, stream: bool
    ) -> tuple[ModelCall, Callable[[list[Event], Target | None], Reply]]:
        expected: list[Expected] = []
        prepare = partial(self._prepare, prompt, ask, expected, stream)
        names = [model] if model is None or isinstance(model, str) else model
        policy = self._policy(ask.get("retries"))
        return ModelCall(self._client, names, prepare, policy), partial(self._whole, ask, expected)

    async def _prepare(
        self, prompt: Prompt, ask: Ask, expected: "list[Expected]", stream: bool, name: str | None
    ) -> Sending:
        """The call to a model. `expected` becomes its expected count, if the reply is learned from."""
        if prompt == []:
            prompts.check_content([])
        with explaining(self.config):
            target, conversation = await self._asked(name, prompt, ask)
            conversation.stream = stream
            expected[:] = await self._counts.expected(target, conversation)
            return await self._sending(target, conversation, ask)

    async def _asked(self, name: str | None, prompt: Prompt, ask: Ask) -> tuple[Target, Conversation]:
        """The target of a name, and what it is asked. Raises what `model` raises."""
        self.config.model(name)  # an unknown name is an error before files are read
        if prompts.has_paths(ask):
            ask = await to_thread(prompts.with_open_files, ask)
        target = await self._target(name)
        return target, self._conversation(prompt, ask, target.model, target.upstream.dialect)

    async def _sending(self, target: Target, conversation: Conversation, ask: Ask) -> Sending:
        sending = await self._client.ready(conversation, target)
        sending.call.headers |= ask.get("extra_headers") or {}
        add_settings(sending.call.body, prompts.extra_fields(ask, sending.call.body))
        return sending

    async def _target(self, name: str | None) -> Target:
        """The target of a name. Raises what `model` raises."""
        entry = self.config.model(name)
        await self._ready()
        known = self._targets.known(entry)
        return await to_thread(self._targets.of, entry) if known is None else known  # may read model lists from disk

    def _policy(self, retries: int | None) -> Policy | None:
        """The retries of a call; None for the usual ones."""
        return None if retries is None else replace(self._client.policy, attempts=retries + 1)

    def _conversation(self, prompt: Prompt, ask: Ask, model: Model, dialect: Dialect) -> Conversation:
        conversation = prompts.conversation(prompt, ask)
        settings = conversation.settings
        if settings.max_output_tokens is None and model.output_tokens_explicit:
            settings.max_output_tokens = model.max_output_tokens
        settings.reasoning = thinking(ask, settings.reasoning, self.config.thinking, model, dialect)
        return conversation


def hub_words(config: Config) -> str:
    """The repr of a hub. A configuration may have hundreds of models."""
    counts = {"provider": len(config.providers), "model": len(config.models)}
    return f"<Hub of {config.path}: {', '.join(f'{n} {name}' + 's' * (n != 1) for name, n in counts.items())}>"


def _warn_if_insecure(provider: ProviderEntry) -> None:
    if provider.tls and provider.tls.insecure:
        LOG.warning(
            "providers.%s has tls.insecure = true: certificates are not checked, so requests and the API key can be "
            "intercepted; set tls.ca to a CA bundle instead",
            key_text(provider.id),
        )
