"""Recorded exchanges with something wrong in them: no defect of a server or a client may raise anything of its own."""

import copy
import json
import random
from typing import Any

import pytest

from modelbay.conversation import Conversation
from modelbay.dialect import PLAIN
from modelbay.errors import Unsupported
from modelbay.events import collect
from modelbay.model import Model
from modelbay.protocols.codec import Call, codec
from tests.corpus import exchanges
from tests.protocols.invariants import check_events, check_openai_responses

RESPONSES = codec("openai_responses")
JUNK: list[Any] = [None, 0, -1, "", [], {}, True, "x", [1], {"a": 1}, [None], 1.5, [{}]]
SHARES = 4


def damaged(value: Any, randomly: random.Random) -> Any:
    """A copy with a field or two missing, or holding something else."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ():
            places.append((node, key))
            walk(node[key])

    walk(value)
    for node, key in randomly.choices(places, k=randomly.choice([1, 2, 4])):
        if isinstance(node, dict) and randomly.random() < 0.3:
            node.pop(key, None)
        else:
            node[key] = randomly.choice(JUNK)
    return value


def sent_on(events: list[Any]) -> None:
    check_events(events)
    renderer = RESPONSES.stream_renderer(Conversation())
    check_openai_responses(b"".join(renderer.feed(event) for event in events), ended=True)
    RESPONSES.render_reply(collect(events))


@pytest.mark.parametrize("share", range(SHARES))
def test_a_damaged_request_is_read_or_refused(share):
    randomly = random.Random(share)
    for exchange in exchanges("openai_responses")[share::SHARES]:
        body = (exchange["request"] or {}).get("json")
        if not body:
            continue
        try:
            conversation = RESPONSES.parse_request(Call("", damaged(body, randomly)))
            RESPONSES.render_request(conversation, Model(id="m"), PLAIN).encode()
            conversation.protocol = None
            RESPONSES.render_request(conversation, Model(id="m"), PLAIN).encode()
        except Unsupported:
            pass


@pytest.mark.parametrize("share", range(SHARES))
def test_a_damaged_reply_is_read_or_an_error(share):
    randomly = random.Random(share)
    for exchange in exchanges("openai_responses")[share::SHARES]:
        if body := exchange["response"].get("json"):
            sent_on(RESPONSES.parse_reply(json.dumps(damaged(body, randomly)).encode(), PLAIN))


@pytest.mark.parametrize("share", range(SHARES))
def test_a_damaged_stream_is_read_or_an_error(share):
    randomly = random.Random(share)
    for exchange in exchanges("openai_responses")[share::SHARES]:
        sse = exchange["response"].get("sse") or ""
        lines = [line for line in sse.splitlines() if line.startswith("data: {")]
        if not lines or len(sse) > 200_000:
            continue
        for _ in range(4):
            damage = list(lines)
            position = randomly.randrange(len(damage))
            match randomly.randrange(3):
                case 0:
                    del damage[position : position + randomly.choice([1, 3])]
                case 1:
                    damage.insert(position, randomly.choice(lines))
                case _:
                    damage[position] = "data: " + json.dumps(damaged(json.loads(damage[position][6:]), randomly))
            parser = RESPONSES.stream_parser(PLAIN)
            sent_on(parser.feed("\n\n".join([*damage, ""]).encode()) + parser.close())
