"""A test double for programs that call models, with any SDK: a provider on this machine, whose replies the test decides.

    def test_a_greeting():
        with Simulator() as simulator:
            simulator.say("Hello!")
            client = OpenAI(base_url=simulator.base_url(), api_key=simulator.api_key)
            assert greet(client) == "Hello!"
            assert simulator.requests[0].prompt == "Greet me."

It speaks all four protocols, accepts every model name, and refuses requests that real providers refuse. Requests without a
scripted reply are answered by the simulator's own model, which repeats the prompt and calls tools that the prompt is about.
"""

from collections.abc import Collection, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Self

from msgspec import Meta

from modelbay.config.provider_types import TYPE_OF, TYPES
from modelbay.conversation import Protocol
from modelbay.library.prompt import check_type
from modelbay.other_names import SIMULATOR, unknown
from modelbay.simulator import server
from modelbay.simulator.config_entries import BASES
from modelbay.simulator.journal import ReceivedRequest
from modelbay.simulator.script import Condition, ScriptedReply, quoted
from modelbay.typed import Name

if TYPE_CHECKING:
    from modelbay import hub, sync

__all__ = ["ReceivedRequest", "ScriptedReply", "Simulator"]

_ANY_KEY = "sk-simulated"
_MODEL = "sim-1"
"""The default model of hubs."""
_LISTED = 10
"""Maximum number of requests and replies in a failure message."""


class Simulator(server.Simulator):
    """The simulated provider, on a free port and in a thread of this process, inside `with` or `async with`.

    `say`, `think`, `call`, `answer`, `embed` and `fail` each add a scripted reply, which can be extended by the same methods:
    `simulator.think("Paris?").call("get_weather", city="Paris")`. A request gets the first reply that is for it and is not used
    yet. At the end, unused replies are an AssertionError.
    """

    def __init__(
        self,
        *,
        key: str | None = None,
        pace: float = 0.0,
        strict: bool = False,
        without: Collection[str] = (),
    ) -> None:
        """`key`: the API key that requests must contain; default: any, or none. `pace`: seconds between two pieces of a stream.
        `strict`: whether a request without a scripted reply is refused, and is an AssertionError at the end. `without`: features
        that the provider lacks, such as `["images"]` or `["json-schema=refuse"]`, from the simulator's reference."""
        check_type(key, Name | None, "key")
        check_type(pace, Annotated[float, Meta(ge=0)], "pace")
        if isinstance(without, str):
            raise TypeError("without must be a list of features, not str")
        super().__init__(key=key, pace=pace, without=without, strict=strict, any_model=True)
        self.api_key = key or _ANY_KEY
        """A key that the simulator accepts."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            raise unknown(self, name, SIMULATOR)

    def start(self) -> Self:
        """Start the server, as `with` does.

        Raises:
            RuntimeError: it is running already.
        """
        if self._server is not None:
            raise RuntimeError("the simulator is running already: make one for each `with`")
        return super().start()

    # --- connection ---

    @property
    def url(self) -> str:
        """The base URL without a path.

        Raises:
            RuntimeError: the simulator was not started, so it has no port.
        """
        if not self.port:
            raise RuntimeError("the simulator is not running: use it inside `with`")
        return super().url

    def base_url(self, protocol: Protocol = "openai_chat") -> str:
        """The base URL as the SDKs of a protocol expect it. Raises what `url` raises."""
        check_type(protocol, Protocol, "protocol")
        return self.url + BASES[protocol]

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that SDKs read base URLs and API keys from, for `mock.patch.dict(os.environ, …)`."""
        found: dict[str, str] = {}
        for protocol, type in TYPE_OF.items():
            found |= dict.fromkeys(TYPES[type].url_names, self.base_url(protocol))
            found |= dict.fromkeys(TYPES[type].key_names, self.api_key)
        return found | {"GEMINI_API_BASE": self.url, "GEMINI_API_KEY": self.api_key}  # LiteLLM's names

    def hub(self, protocol: Protocol = "openai_chat") -> "hub.Hub":
        """A hub of this provider, in which every model can be called by its ID; it has a default model."""
        from modelbay.hub import Hub

        return Hub.of(base_url=self.base_url(protocol), api_key=self.api_key, protocol=protocol, model=_MODEL)

    def sync_hub(self, protocol: Protocol = "openai_chat") -> "sync.Hub":
        """The blocking counterpart of `hub`."""
        from modelbay.sync import Hub

        return Hub.of(base_url=self.base_url(protocol), api_key=self.api_key, protocol=protocol, model=_MODEL)

    # --- scripted replies ---

    def when(self, condition: Condition) -> ScriptedReply:
        """Add a reply to requests with this text in the user's last prompt. The condition may also be a pattern, or a function of
        the request's `Conversation`. Such a reply is preferred to one for every request."""
        return self.provider.script.add(condition)

    def say(self, text: str) -> ScriptedReply:
        """Add a reply with a text: see `ScriptedReply.say`."""
        return self.provider.script.add().say(text)

    def think(self, text: str) -> ScriptedReply:
        """Add a reply with thinking: see `ScriptedReply.think`."""
        return self.provider.script.add().think(text)

    def call(self, name: str, arguments: Any = None, /, **more: Any) -> ScriptedReply:
        """Add a reply with a tool call: see `ScriptedReply.call`."""
        return self.provider.script.add().call(name, arguments, **more)

    def answer(self, value: Any) -> ScriptedReply:
        """Add a structured answer: see `ScriptedReply.answer`."""
        return self.provider.script.add().answer(value)

    def embed(self, *vectors: Sequence[float]) -> ScriptedReply:
        """Add a reply to a request for embeddings: see `ScriptedReply.embed`."""
        return self.provider.script.add().embed(*vectors)

    def fail(self, fault: int | str, *, retry_after: float | None = None) -> ScriptedReply:
        """Add a failure: see `ScriptedReply.fail`."""
        return self.provider.script.add().fail(fault, retry_after=retry_after)

    # --- assertions ---

    @property
    def requests(self) -> list[ReceivedRequest]:
        """All requests so far, oldest first, those that were refused too."""
        return list(self.journal)

    def check(self) -> None:
        """Check that all scripted replies were used; in strict mode also that each request had one.

        Raises:
            AssertionError: the message lists the replies, and the requests.
        """
        __tracebackhide__ = True  # of pytest: show the line of the test
        problems = self._problems()
        if problems:
            raise AssertionError("\n".join((*problems, *self._received())))

    def conclude(self, error: BaseException | None) -> None:
        """End a test that failed with `error`, or did not fail: `check`, or add a note with the requests to the error."""
        __tracebackhide__ = True
        if error is None:
            self.check()
        elif isinstance(error, Exception):
            error.add_note("\n".join((*self._problems(), *self._received())))

    def _problems(self) -> list[str]:
        unused, refusals = self.provider.script.unused, self.provider.script.refusals
        lines = [f"a request without a scripted reply: {refusal}" for refusal in refusals[:_LISTED]]
        if unused:
            lines.append(f"{len(unused)} of {len(self.provider.script)} scripted replies not used:")
            lines += [
                f"  {reply}{f' ({reply.left} more times)' if reply.left != 1 else ''}" for reply in unused[:_LISTED]
            ]
        return lines

    def _received(self) -> list[str]:
        requests = self.requests
        if not requests:
            return ["the simulator received no request"]
        count = len(requests)
        head = (
            f"the simulator received {count} request{'s' if count > 1 else ''}{', at last' if count > _LISTED else ''}:"
        )
        return [head, *map(_line, requests[-_LISTED:])]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        self.stop()
        self.conclude(error)


def _line(request: ReceivedRequest) -> str:
    words = [
        f"  {request.method} {request.path}",
        request.model or "",
        quoted(request.prompt) if request.prompt else "",
    ]
    return f"{' '.join(filter(None, words))}: {request.scripted or request.status or 'no response yet'}"
