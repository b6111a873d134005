"""A name of another library is an error that names ours."""

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

import modelbay
from modelbay import Embeddings, Hub, Model, Reply, Usage, errors, other_names, sync
from modelbay.library import blocking, chat, reply_stream, tool_run
from modelbay.testing import ReceivedRequest, Simulator

CLASSES: list[tuple[type, dict[str, str]]] = [
    (Reply, other_names.REPLY),
    (Embeddings, other_names.EMBEDDINGS),
    (Usage, other_names.USAGE),
    (Model, other_names.MODEL),
    (Hub, other_names.HUB),
    (sync.Hub, other_names.HUB),
    (reply_stream.ReplyStream, other_names.STREAM),
    (blocking.ReplyStream, other_names.STREAM),
    (tool_run.ToolRun, other_names.RUN),
    (blocking.ToolRun, other_names.RUN),
    (chat.Chat, other_names.CHAT),
    (blocking.Chat, other_names.CHAT),
    (Simulator, other_names.SIMULATOR),
    (ReceivedRequest, other_names.RECEIVED),
    (errors.ModelbayError, other_names.ERROR),
]
every_class = pytest.mark.parametrize(
    ("kind", "names"), CLASSES, ids=[f"{one.__module__}.{one.__name__}" for one, _ in CLASSES]
)
PROSE = {
    "msgspec.to_builtins(reply, enc_hook=str)",
    "the stream itself: for event in stream",
    "annotations` of `parts",
    "load_chat` of the hub",
    "cost` of the reply",
}


@every_class
def test_each_name_leads_to_one_that_exists(kind: type, names: dict[str, str]) -> None:
    known = {*dir(kind), *getattr(kind, "__annotations__", ()), *re.findall(r"self\.(\w+)", inspect.getsource(kind))}
    for other, ours in names.items():
        assert other not in known, f"{kind.__name__} has {other} itself"
        if ours not in PROSE:
            assert re.match(r"\w+", ours)[0] in known, f"{kind.__name__}.{other}: {ours}"  # type: ignore[index]


@every_class
def test_the_names_are_errors_and_not_listed(kind: Any, names: dict[str, str]) -> None:
    made = {Reply: kind, Usage: kind, Embeddings: lambda: Embeddings([]), Model: lambda: Model("large")}
    value: Any = made.get(kind, lambda: kind.__new__(kind))()
    assert not names.keys() & set(dir(kind))
    for name in names:
        assert not hasattr(value, name)
        with pytest.raises(AttributeError, match=f"has no attribute '{name}': did you mean `"):
            getattr(value, name)


def test_python_can_suggest_a_name_that_is_spelled_alike() -> None:
    reply = Reply()
    with pytest.raises(AttributeError, match=r"^'Reply' object has no attribute 'textt'$") as raised:
        _ = reply.textt  # type: ignore[attr-defined]
    assert (raised.value.name, raised.value.obj) == ("textt", reply)


@pytest.mark.parametrize("name", [*other_names.MODULE, *other_names.ERRORS])
def test_the_names_of_the_module_lead_to_ones_that_exist(name: str) -> None:
    with pytest.raises(AttributeError, match="did you mean modelbay") as raised:
        getattr(modelbay, name)
    found: Any = modelbay
    for part in str(raised.value).rpartition("modelbay.")[2].removesuffix("?").split("."):
        found = getattr(found, part)


def test_a_reply_names_the_attribute_for_its_text() -> None:
    reply = Reply()
    with pytest.raises(AttributeError, match=r"^'Reply' has no attribute 'output_text': did you mean `text`\?$"):
        _ = reply.output_text  # type: ignore[attr-defined]
    assert "output_text" not in dir(reply)
    assert {"text", "usage", "turn"} <= set(dir(reply))


def test_a_blocking_run_names_the_way_to_its_reply(modelbay_simulator: Simulator) -> None:
    """Without `await`, `hub.run` gives a run, and not the reply."""
    with modelbay_simulator.sync_hub() as hub, pytest.raises(AttributeError, match=r"did you mean `reply\(\)\.text`"):
        _ = hub.run("Hi").text  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(value))))]
)
def test_a_copy_of_a_reply_has_its_value_and_its_cost(modelbay_simulator: Simulator, copied: Any) -> None:
    """A process pool, a cache or a queue copies replies."""
    modelbay_simulator.answer({"value": 7})
    modelbay_simulator.embed([0.5])
    with modelbay_simulator.sync_hub() as hub:
        reply = hub.complete("Hi", output=int)
        reply.__dict__["priced"] = lambda usage: usage.total / 4
        found = copied(reply)
        vectors = copied(hub.embed("Hi", model="small"))
    assert (found, found.value, found.cost) == (reply, 7, reply.usage.total / 4)  # type: ignore[union-attr]
    assert (vectors.vectors, vectors.cost) == ([[0.5]], None)
    assert (copied(Reply()).cost, copied(Reply()).value) == (None, None)
