"""The provider without I/O: makes the response to a request. It checks routes, keys, models and rules, then calls the brain."""

import hmac
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from urllib.parse import parse_qsl
from uuid import uuid4

import msgspec
from msgspec import Struct, field

from modelbay.conversation import Conversation, Extra, user
from modelbay.conversion import convert
from modelbay.errors import MalformedReply, ModelbayError
from modelbay.json_text import decode
from modelbay.protocols.codec import Call, Codec, codec
from modelbay.serving.keys import keys_of
from modelbay.serving.model_lists import ModelList
from modelbay.serving.replies import token_count
from modelbay.serving.routes import (
    MOUNTS,
    ROWS,
    Action,
    ListForm,
    Route,
    RouteRow,
    RouteTable,
    client_version,
    list_form,
    protocol_of,
)
from modelbay.simulator import brain, error_messages, faults, login_server, responses
from modelbay.simulator.embeddings import embedded_texts, google_embeddings, openai_embeddings
from modelbay.simulator.form_fields import FormFields, form_of, is_form
from modelbay.simulator.limitations import Limitations
from modelbay.simulator.login_server import LoginServer, managed_form
from modelbay.simulator.other_apis import APIS, ApiRequest
from modelbay.simulator.request_rules import CheckedRequest, check
from modelbay.simulator.request_rules.fields import are_counted
from modelbay.simulator.responses import Pause, SimulatedResponse
from modelbay.simulator.script import Script, ScriptedReply
from modelbay.simulator.signatures import SECRET
from modelbay.simulator.simulated_exchange import SimulatedExchange
from modelbay.simulator.simulated_models import DEFAULT, RELEASED, SimulatedModel, SimulatedModels
from modelbay.simulator.stored_responses import PROTOCOL, StoredResponses, compacted, resumed
from modelbay.simulator.token_counts import PromptCache, prompt_tokens
from modelbay.simulator.traits import TRAITS, ProtocolTraits

_CODING = "/coding"
"""The mount that only a login gives access to."""
_UPLOAD = RouteRow(("POST",), "/files", "upload", "openai_chat")
TABLE = RouteTable((*ROWS, _UPLOAD, *login_server.ROWS), (*MOUNTS, _CODING))
_KEYLESS: frozenset[Action] = frozenset(("device", "token", "revoke", "about_login", "simulate", "page"))
"""Actions without a key: they provide the token for other requests."""
_VERSIONED = re.compile(r"/openai/(?:deployments/|responses|models)")
_VERSION = "api-version"
"""Azure's paths without a version require one in the query."""
FAULT_HEADER = "x-simulate"


class Incoming(Struct):
    """A received request. Header names are in lower case."""

    method: str
    path: str
    """The raw path, still percent-encoded."""
    query: str
    headers: dict[str, str]
    body: bytes = b""
    conversation: Conversation | None = None
    """The conversation in the request, once it is parsed."""

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class Outcome(Struct):
    """A response, and facts about the request for the journal."""

    answer: SimulatedResponse
    protocol: str
    model: str | None = None
    fault: str | None = None
    scripted: ScriptedReply | None = None


class SimulatorSettings(Struct):
    """The settings of a simulator."""

    key: str | None = None
    """The key that requests must contain; None: no key is required."""
    pace: float = 0.0
    """Seconds between two pieces of a stream."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Additional names of models."""
    secret: bytes = SECRET
    """The secret for signatures. A simulator with another secret refuses them."""
    without: Collection[str] = ()
    """Features that the provider lacks: keys of `limitations.LIMITATIONS`, optionally with `=refuse`."""
    any_model: bool = False
    """Whether unknown models are accepted."""
    strict: bool = False
    """Whether requests without a scripted reply are refused."""


class SimulatedProvider:
    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.models = SimulatedModels.with_aliases(settings.aliases, settings.any_model)
        self.limitations = Limitations(settings.without)
        self.reset()
        self._actions: dict[str, Callable[[Incoming, Route, ProtocolTraits], Outcome]] = {
            "generate": self._generate,
            "count": self._count,
            "models": self._models,
            "model": self._model,
            "model_info": self._models,
            "api_json": self._models,
            "registry": self._models,
            "embed": self._embed,
            **dict.fromkeys(APIS, self._other),
            **dict.fromkeys(("retrieve", "delete", "input_items", "cancel"), self._stored_response),
            "compact": self._compact,
            "upload": self._upload,
            "managed": self._managed,
            "device": self._log_in,
            "token": self._log_in,
            "revoke": self._log_in,
            "about_login": self._log_in,
            "simulate": self._log_in,
            "page": self._log_in,
        }

    def reset(self) -> None:
        """Clear scripted replies, the prompt cache, the counts of faults, stored responses, uploaded files and logins."""
        self.script = Script()
        self._stored = StoredResponses()
        self._cache = PromptCache()
        self._happened: Counter[str] = Counter()
        self._files: dict[str, int] = {}
        self.logins = LoginServer()

    def handle(self, incoming: Incoming) -> Outcome:
        """The response to a request. An invalid request gets an error response; no modelbay error is raised."""
        route, methods = TABLE.find(incoming.method, incoming.path)
        protocol = (route.protocol if route else "") or protocol_of(incoming.path, incoming.headers, incoming.query)
        traits = TRAITS[protocol]
        outcome = Outcome(responses.whole(500, b""), protocol)
        try:
            if route is None or route.action not in self._actions:
                raise self._no_route(incoming, protocol, exists=route is None and bool(methods))
            if route.action not in _KEYLESS:
                self._check_key(incoming, protocol)
            if _VERSIONED.match(incoming.path) and _VERSION not in dict(parse_qsl(incoming.query)):
                raise error_messages.bad_request(protocol, "Resource not found", code="404", status=404)
            outcome = self._actions[route.action](incoming, route, traits)
            if route.action != "generate":
                self._apply_fault(outcome, incoming, traits, (outcome.model or "").partition("!")[2])
        except ModelbayError as error:
            outcome.answer = responses.whole(*codec(protocol).render_error(error))
            if route is not None and route.action == "generate" and incoming.conversation is not None:
                outcome.model = incoming.conversation.model
        if outcome.scripted is not None and outcome.scripted.first:
            outcome.answer.steps = chain([Pause(outcome.scripted.first)], outcome.answer.steps)
        outcome.answer.headers.setdefault(traits.request_id, f"req_{uuid4().hex[:24]}")
        return outcome

    def _no_route(self, incoming: Incoming, protocol: str, *, exists: bool) -> ModelbayError:
        if not exists:
            return error_messages.unknown_path(protocol, incoming.method, incoming.path)
        if incoming.headers.get("upgrade", "").lower() == "websocket":
            # clients that try a WebSocket first fall back to HTTP immediately only on status 426
            return error_messages.bad_request(protocol, "WebSocket is not served here; use HTTP.", status=426)
        return error_messages.wrong_method(protocol, incoming.method)

    def _check_key(self, incoming: Incoming, protocol: str) -> None:
        managed = incoming.path.startswith(f"{_CODING}/")
        if self.settings.key is None and not managed:
            return
        given = keys_of(incoming.headers, incoming.query)
        if any(self.logins.accepts(token) for token in given):
            return
        wanted = (self.settings.key or "").encode()
        if not wanted or not any(hmac.compare_digest(key.encode("utf-8", "replace"), wanted) for key in given):
            raise error_messages.wrong_key(protocol, given[0] if given else "")

    # --- actions -------------------------------------------------------------------------------------------------------

    def _generate(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        speaker = codec(traits.protocol)
        call = self._call(incoming, route, traits)
        conversation = self._conversation(incoming, call, route, traits, speaker)
        named = conversation.model or ""
        conversation.model, _, spec = named.partition("!")
        facts = self._facts(conversation.model, traits)
        secret, stored = self.settings.secret, self._stored
        request = CheckedRequest(conversation, facts, traits, call, self._files.keys(), secret, stored.has_reasoning)
        self.limitations.apply(request)
        check(request)
        scripted = self._scripted(conversation, traits)
        replies = [
            brain.answer(
                conversation,
                facts,
                traits,
                secret,
                choice,
                scripted.reply(conversation) if scripted is not None else None,
            )
            for choice in range(1, (conversation.settings.n or 1) + 1)
        ]
        exchange = SimulatedExchange(
            conversation=conversation,
            codec=speaker,
            traits=traits,
            reply=replies[0],
            usage=self.limitations.counted(self._cache.count(conversation, facts.id, traits)),
            id=f"{traits.reply_id}{uuid4().hex[:24]}",
            created=int(time.time()),
            pace=self.settings.pace if scripted is None or scripted.between is None else scripted.between,
            others=replies[1:],
        )
        if traits.protocol == PROTOCOL:
            exchange.echo = stored.echo(call.body)
        outcome = Outcome(exchange.answer(), traits.protocol, named, scripted=scripted)
        self._apply_fault(outcome, incoming, traits, spec, exchange)
        if outcome.fault is None and exchange.echo.get("store"):
            kept = stored.keep(exchange, call.body)
            if kept.status is not None and not exchange.stream:
                outcome.answer = _json(kept.body, traits).answer
        return outcome

    def _apply_fault(
        self,
        outcome: Outcome,
        incoming: Incoming,
        traits: ProtocolTraits,
        spec: str = "",
        exchange: SimulatedExchange | None = None,
    ) -> None:
        """Apply the fault that a request asks for, or that its scripted reply has."""
        spec = spec or incoming.headers.get(FAULT_HEADER, "") or (outcome.scripted.fault if outcome.scripted else "")
        if not spec:
            return
        asked = faults.parse(spec)
        if asked is None:
            known = ", ".join(faults.FAULTS)
            raise error_messages.bad_request(traits.protocol, f"Unknown fault `{spec}`: must be one of {known}")
        happened = f"{incoming.path} {outcome.model} {spec}"
        self._happened[happened] += 1
        if asked.times is not None and self._happened[happened] > asked.times:
            return
        outcome.fault = spec
        subject = faults.FaultyRequest(asked, traits, incoming.target, outcome.model or "", outcome.answer, exchange)
        outcome.answer = faults.apply(subject)

    def _scripted(
        self, conversation: Conversation, traits: ProtocolTraits, *, embeds: bool = False
    ) -> ScriptedReply | None:
        """The scripted reply for a request, if there is one. Raises ProviderError if there must be one."""
        scripted = self.script.take(conversation, embeds=embeds)
        if scripted is None and self.settings.strict:
            raise error_messages.bad_request(traits.protocol, self.script.refuse(conversation))
        return scripted

    def _call(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Call:
        body = self._body(incoming, traits)
        if traits.protocol == PROTOCOL:
            body = self._stored.resolved(body)
        return Call(incoming.target, body, incoming.headers, stream=bool(route.stream or body.get("stream")))

    def _conversation(
        self, incoming: Incoming, call: Call, route: Route, traits: ProtocolTraits, speaker: Codec
    ) -> Conversation:
        conversation = self._parse(call, traits, speaker)
        if route.model is not None:
            conversation.model = route.model
        if route.stream is not None:
            conversation.stream = route.stream
        incoming.conversation = conversation
        if not conversation.model:
            raise error_messages.bad_request(traits.protocol, "you must provide a model parameter")
        return conversation

    def _parse(self, call: Call, traits: ProtocolTraits, speaker: Codec) -> Conversation:
        """The conversation with the types of all values checked: providers refuse values that a lenient parser accepts."""
        try:
            conversation = speaker.parse_request(call)
            convert(msgspec.to_builtins(conversation), Conversation)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise error_messages.bad_request(traits.protocol, f"Invalid request: {error}") from error
        return conversation

    def _body(self, incoming: Incoming, traits: ProtocolTraits) -> Extra:
        try:
            body = decode(incoming.body)
        except MalformedReply as error:
            message = f"We could not parse the JSON body of your request: {error}"
            raise error_messages.bad_request(traits.protocol, message) from None
        if not isinstance(body, dict):
            raise error_messages.bad_request(traits.protocol, "The body must be a JSON object")
        return body

    def _facts(self, model: str | None, traits: ProtocolTraits) -> SimulatedModel:
        facts = self.models.find(model or "")
        if facts is None:
            raise error_messages.unknown_model(traits.protocol, model or "")
        return facts

    def _embed(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        body = self._body(incoming, traits)
        named, facts = self._named(route, body, traits)
        asked = Conversation([user("\n".join(embedded_texts(body)))], model=named)
        scripted = self._scripted(asked, traits, embeds=True)
        vectors = scripted.vectors if scripted is not None else None
        google = traits.protocol == "google"
        embedded = google_embeddings(body, vectors) if google else openai_embeddings(body, facts.id, vectors)
        outcome = _json(embedded, traits, named)
        outcome.scripted = scripted
        return outcome

    def _other(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        """The APIs besides conversations. Their requests may be forms, because they contain files."""
        kind = incoming.headers.get("content-type", "")
        fields = form_of(kind, incoming.body) if is_form(kind) else FormFields(self._body(incoming, traits))
        if route.action == "moderations":
            fields.values.setdefault("model", DEFAULT)
        named, facts = self._named(route, fields.values, traits)
        request = ApiRequest(route.path, fields, facts, facts.id, uuid4().hex[:24], int(time.time()))
        return Outcome(APIS[route.action](request), traits.protocol, named)

    def _named(self, route: Route, body: Extra, traits: ProtocolTraits) -> tuple[str, SimulatedModel]:
        """The model's name in a request, which may end in a fault, and the model."""
        named = str(route.model or body.get("model") or "")
        return named, self._facts(named.partition("!")[0], traits)

    def _stored_response(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        match route.action:
            case "delete":
                return _json(self._stored.delete(route.id), traits)
            case "input_items":
                return _json(self._stored.input_items(route.id, incoming.query), traits)
            case "cancel":
                return _json(self._stored.cancel(route.id), traits)
        stored, asked = self._stored.find(route.id), dict(parse_qsl(incoming.query))
        if asked.get("stream") == "true":
            exchange = stored.exchange
            steps = exchange.render(exchange.events())
            return Outcome(exchange.streamed(resumed(steps, asked.get("starting_after"))), traits.protocol)
        return _json(stored.polled(), traits)

    def _compact(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        call = self._call(incoming, route, traits)
        conversation = self._conversation(incoming, call, route, traits, codec(traits.protocol))
        self._facts(conversation.model, traits)
        return _json(compacted(call.body, prompt_tokens(conversation), int(time.time())), traits, conversation.model)

    def _count(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        are_counted(Call(incoming.target, self._body(incoming, traits)), traits)
        call = self._call(incoming, route, traits)
        conversation = self._conversation(incoming, call, route, traits, codec(traits.protocol))
        self._facts(conversation.model, traits)
        return _json(token_count(traits.protocol, prompt_tokens(conversation)), traits)

    def _upload(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        """Store a file as Moonshot does. A conversation then refers to it as `ms://<id>`."""
        form = form_of(incoming.headers.get("content-type", ""), incoming.body)
        file, purpose = form.files.get("file"), form.values.get("purpose")
        if file is None or purpose is None:
            raise error_messages.bad_request(traits.protocol, "file and purpose are required", param="file")
        id = f"file-{uuid4().hex[:24]}"
        self._files[id] = len(file.data)
        said = {
            "id": id,
            "object": "file",
            "bytes": len(file.data),
            "created_at": int(time.time()),
            "filename": file.name,
            "purpose": purpose,
            "status": "ok",
        }
        return _json(said, traits)

    def _models(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        return _json(self._listed(incoming).body(self._form(incoming, route)), traits)

    def _model(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        model = self._facts(route.model, traits).model
        return _json(self._listed(incoming).item(self._form(incoming, route), model), traits)

    def _listed(self, incoming: Incoming) -> ModelList:
        models = [facts.model for facts in self.models.by_id.values()]
        return ModelList(models, _origin(incoming), RELEASED, client_version=client_version(incoming.query))

    def _form(self, incoming: Incoming, route: Route) -> ListForm:
        return list_form(route.action, incoming.path, incoming.headers, incoming.query)

    def _managed(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        return _json({"object": "list", "data": [managed_form(facts) for facts in self.models.by_id.values()]}, traits)

    def _log_in(self, incoming: Incoming, route: Route, traits: ProtocolTraits) -> Outcome:
        origin = _origin(incoming)
        match route.action:
            case "device":
                answer = self.logins.device(incoming.body, origin)
            case "token":
                answer = self.logins.token(incoming.body)
            case "revoke":
                answer = self.logins.revocation(incoming.body)
            case "about_login":
                answer = self.logins.metadata(origin)
            case "page":
                answer = self.logins.page(incoming.query)
            case _:
                what = incoming.path.rpartition("/")[2]
                answer = self.logins.simulate(what, incoming.body, incoming.query)
        return Outcome(answer, traits.protocol)


def _json(body: Extra, traits: ProtocolTraits, model: str | None = None) -> Outcome:
    return Outcome(responses.whole(200, msgspec.json.encode(body)), traits.protocol, model)


def _origin(incoming: Incoming) -> str:
    """The URL of the simulator, as the client addresses it."""
    return f"http://{incoming.headers.get('host', 'localhost')}"
