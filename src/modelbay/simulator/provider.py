"""The provider: a request in, an answer out. Routes, keys, model names, rules; then the brain. It does no I/O."""

import hmac
import time
from collections import Counter
from collections.abc import Callable, Mapping
from email import message_from_bytes
from urllib.parse import parse_qsl
from uuid import uuid4

import msgspec
from msgspec import Struct, field

from modelbay.conversation import Conversation, Extra
from modelbay.errors import MalformedReply, ModelbayError
from modelbay.json_text import decode
from modelbay.protocols.codec import Call, Codec, codec
from modelbay.simulator import answers, brain, complaints, faults
from modelbay.simulator.answers import Answer
from modelbay.simulator.authorisation import Authorisation, managed_form
from modelbay.simulator.exchange import Exchange
from modelbay.simulator.lists import COUNTS, FORMS
from modelbay.simulator.manners import MANNERS, Manners
from modelbay.simulator.models import Facts, Models
from modelbay.simulator.routes import KEYLESS, Action, Route, find, protocol_of
from modelbay.simulator.rules import Request, check
from modelbay.simulator.signatures import SECRET
from modelbay.simulator.usage import PromptCache, prompt_tokens

_KEY_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
FAULT_HEADER = "x-simulate"


class Incoming(Struct):
    """A request as it came: header names in lower case."""

    method: str
    path: str
    """As it stood on the wire, still quoted."""
    query: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def target(self) -> str:
        return f"{self.path}?{self.query}" if self.query else self.path


class Outcome(Struct):
    """An answer, and what of the request the journal should know."""

    answer: Answer
    protocol: str
    model: str | None = None
    fault: str | None = None


class Settings(Struct):
    """How a simulator is set up."""

    key: str | None = None
    """The key every request must carry; None: none is asked for."""
    pace: float = 0.0
    """Seconds between two pieces of a stream."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other names for the models."""
    secret: bytes = SECRET
    """What signatures are made with; another one makes another provider."""


class Provider:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.models = Models.with_aliases(settings.aliases)
        self.reset()
        self._actions: dict[Action, Callable[[Incoming, Route, Manners], Outcome]] = {
            "generate": self._generate,
            "count": self._count,
            "models": self._models,
            "model": self._model,
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
        """Forgets the prompts it has seen and the faults that have happened."""
        self._cache = PromptCache()
        self._happened: Counter[str] = Counter()
        self._files: dict[str, int] = {}
        self.logins = Authorisation()

    def handle(self, incoming: Incoming) -> Outcome:
        """Never raises a modelbay error: what is wrong with a request becomes its answer."""
        route, exists = find(incoming.method, incoming.path)
        protocol = (route.protocol if route else "") or protocol_of(incoming.path, incoming.headers)
        manners = MANNERS[protocol]
        outcome = Outcome(answers.whole(500, b""), protocol)
        try:
            if route is None:
                raise self._no_route(incoming, protocol, exists)
            if route.action not in KEYLESS:
                self._check_key(incoming, protocol)
            if route.needs and route.needs not in dict(parse_qsl(incoming.query)):
                raise complaints.bad_request(protocol, "Resource not found", code="404", status=404)
            outcome = self._actions[route.action](incoming, route, manners)
            if route.action != "generate":
                self._spoil(outcome, incoming, manners)
        except ModelbayError as error:
            outcome.answer = answers.whole(*codec(protocol).render_error(error))
        outcome.answer.headers.setdefault(manners.request_id, f"req_{uuid4().hex[:24]}")
        return outcome

    def _no_route(self, incoming: Incoming, protocol: str, exists: bool) -> ModelbayError:
        if not exists:
            return complaints.unknown_path(protocol, incoming.method, incoming.path)
        if incoming.headers.get("upgrade", "").lower() == "websocket":
            # clients that try a WebSocket first fall back to HTTP at once on a 426, and only then
            return complaints.bad_request(protocol, "WebSocket is not served here; use HTTP.", status=426)
        return complaints.wrong_method(protocol, incoming.method)

    def _check_key(self, incoming: Incoming, protocol: str) -> None:
        managed = incoming.path.startswith("/coding/")
        if self.settings.key is None and not managed:
            return
        given = [incoming.headers[name].removeprefix("Bearer ") for name in _KEY_HEADERS if name in incoming.headers]
        given += [value for name, value in parse_qsl(incoming.query) if name == "key"]
        if any(self.logins.accepts(token) for token in given):
            return
        wanted = (self.settings.key or "").encode()
        if not wanted or not any(hmac.compare_digest(key.encode("utf-8", "replace"), wanted) for key in given):
            raise complaints.wrong_key(protocol, given[0] if given else "")

    # --- actions -------------------------------------------------------------------------------------------------------

    def _generate(self, incoming: Incoming, route: Route, manners: Manners) -> Outcome:
        speaker = codec(manners.protocol)
        call = self._call(incoming, route, manners)
        conversation = self._conversation(call, route, manners, speaker)
        named = conversation.model or ""
        conversation.model, _, spec = named.partition("!")
        facts = self._facts(conversation.model, manners)
        check(Request(conversation, facts, manners, call, self._files.keys(), self.settings.secret))
        exchange = Exchange(
            conversation=conversation,
            codec=speaker,
            manners=manners,
            said=brain.answer(conversation, facts, manners, self.settings.secret),
            usage=self._cache.count(conversation, facts.id, manners),
            id=f"{manners.reply_id}{uuid4().hex[:24]}",
            created=int(time.time()),
            pace=self.settings.pace,
        )
        outcome = Outcome(exchange.answer(), manners.protocol, named)
        self._spoil(outcome, incoming, manners, spec, exchange)
        return outcome

    def _spoil(
        self, outcome: Outcome, incoming: Incoming, manners: Manners, spec: str = "", exchange: Exchange | None = None
    ) -> None:
        """Lets the fault happen that the request asks for."""
        spec = spec or incoming.headers.get(FAULT_HEADER, "")
        if not spec:
            return
        asked = faults.parse(spec)
        if asked is None:
            known = ", ".join(faults.FAULTS)
            raise complaints.bad_request(manners.protocol, f"There is no fault `{spec}`; there are {known}")
        happened = f"{incoming.path} {outcome.model} {spec}"
        self._happened[happened] += 1
        if asked.times is not None and self._happened[happened] > asked.times:
            return
        outcome.fault = spec
        subject = faults.Subject(asked, manners, incoming.target, outcome.model or "", outcome.answer, exchange)
        outcome.answer = faults.apply(subject)

    def _call(self, incoming: Incoming, route: Route, manners: Manners) -> Call:
        body = self._body(incoming, manners)
        return Call(incoming.target, body, incoming.headers, stream=bool(route.stream or body.get("stream")))

    def _conversation(self, call: Call, route: Route, manners: Manners, speaker: Codec) -> Conversation:
        conversation = self._parse(call, manners, speaker)
        if route.model is not None:
            conversation.model = route.model
        if route.stream is not None:
            conversation.stream = route.stream
        if not conversation.model:
            raise complaints.bad_request(manners.protocol, "you must provide a model parameter")
        return conversation

    def _parse(self, call: Call, manners: Manners, speaker: Codec) -> Conversation:
        """The conversation, each value of the type it must have: providers refuse what a lenient parser lets through."""
        try:
            conversation = speaker.parse_request(call)
            msgspec.convert(msgspec.to_builtins(conversation), Conversation)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise complaints.bad_request(manners.protocol, f"Invalid request: {error}") from error
        return conversation

    def _body(self, incoming: Incoming, manners: Manners) -> Extra:
        try:
            body = decode(incoming.body)
        except MalformedReply as error:
            message = f"We could not parse the JSON body of your request: {error}"
            raise complaints.bad_request(manners.protocol, message) from None
        if not isinstance(body, dict):
            raise complaints.bad_request(manners.protocol, "The body must be a JSON object")
        return body

    def _facts(self, model: str | None, manners: Manners) -> Facts:
        facts = self.models.find(model or "")
        if facts is None:
            raise complaints.unknown_model(manners.protocol, model or "")
        return facts

    def _count(self, incoming: Incoming, route: Route, manners: Manners) -> Outcome:
        call = self._call(incoming, route, manners)
        conversation = self._conversation(call, route, manners, codec(manners.protocol))
        self._facts(conversation.model, manners)
        count = COUNTS[manners.protocol](prompt_tokens(conversation))
        return Outcome(answers.whole(200, msgspec.json.encode(count)), manners.protocol)

    def _upload(self, incoming: Incoming, route: Route, manners: Manners) -> Outcome:
        """A file as Moonshot takes it; `ms://<id>` then names it in a conversation."""
        head = b"content-type: " + incoming.headers.get("content-type", "").encode() + b"\r\n\r\n"
        form = message_from_bytes(head + incoming.body)
        fields = {part.get_param("name", header="content-disposition"): part for part in form.walk()}
        file, purpose = fields.get("file"), fields.get("purpose")
        if file is None or purpose is None:
            raise complaints.bad_request(manners.protocol, "file and purpose are required", param="file")
        data = file.get_payload(decode=True)
        size = len(data) if isinstance(data, bytes) else 0
        id = f"file-{uuid4().hex[:24]}"
        self._files[id] = size
        said = {
            "id": id,
            "object": "file",
            "bytes": size,
            "created_at": int(time.time()),
            "filename": file.get_filename(),
            "purpose": str(purpose.get_payload()).strip(),
            "status": "ok",
        }
        return Outcome(answers.whole(200, msgspec.json.encode(said)), manners.protocol)

    def _models(self, incoming: Incoming, route: Route, manners: Manners) -> Outcome:
        one, many = FORMS[manners.protocol]
        listed = many([one(facts) for facts in self.models.by_id.values()])
        return Outcome(answers.whole(200, msgspec.json.encode(listed)), manners.protocol)

    def _managed(self, incoming: Incoming, route: Route, manners: Manners) -> Outcome:
        listed = {"object": "list", "data": [managed_form(facts) for facts in self.models.by_id.values()]}
        return Outcome(answers.whole(200, msgspec.json.encode(listed)), manners.protocol)

    def _log_in(self, incoming: Incoming, route: Route, manners: Manners) -> Outcome:
        origin = f"http://{incoming.headers.get('host', 'localhost')}"
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
        return Outcome(answer, manners.protocol)

    def _model(self, incoming: Incoming, route: Route, manners: Manners) -> Outcome:
        one, _ = FORMS[manners.protocol]
        return Outcome(
            answers.whole(200, msgspec.json.encode(one(self._facts(route.model, manners)))), manners.protocol
        )
