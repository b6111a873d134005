"""Requests of real clients, as each provider receives them: nothing of another protocol leaks, nothing breaks."""

import gzip
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from modelbay.conversation import Conversation, UnknownPart, user
from modelbay.dialect import PLAIN
from modelbay.errors import ModelbayError, Unsupported
from modelbay.protocols.codec import NAMES, Call, codec
from modelbay.replay import PROTOCOLS
from tests.corpus import CORPUS
from tests.protocols.provider_rules import ABLE, complaint

FOLDERS = ("corpus", "corpus2", "corpus3")
GEMINI = "/v1beta/models/m:generateContent"


@cache
def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path) as found:
        return [msgspec.json.decode(line) for line in found]


def requests(folder: str) -> Iterator[tuple[str, str, Any]]:
    """Name, protocol and body of every request of a client."""
    place = CORPUS.parent / folder
    if not place.is_dir():
        pytest.skip(f"no recorded requests at {place} (set MODELBAY_CORPUS)")
    for path in sorted(place.glob("*.jsonl.gz")):
        for row in lines(path):
            body = row["body"] if "body" in row else (row.get("request") or {}).get("json")
            protocol = PROTOCOLS.get(row.get("protocol", ""))
            if isinstance(body, dict) and protocol is not None:
                yield row["name"], protocol, body


def conversation(protocol: str, body: dict[str, Any]) -> Conversation | None:
    """A client's conversation; None if it cannot be answered, as its body is invalid or empty."""
    try:
        asked = codec(protocol).parse_request(Call(GEMINI if protocol == "google" else "", body))
        if not any(type(part) is not UnknownPart for turn in asked.turns for part in turn.parts):
            return None
    except (ModelbayError, AttributeError, KeyError, TypeError, ValueError):
        return None
    if asked.turns[-1].role == "assistant":  # a test's history that no client would send yet
        asked.turns = [*asked.turns, user("Go on.")]
    return asked


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize("folder", FOLDERS)
def test_no_provider_complains_of_what_a_client_of_another_protocol_sends(folder, target):
    """Settings that a protocol cannot express are refused by name."""
    complaints = {}
    for name, protocol, body in requests(folder):
        if protocol == target or (asked := conversation(protocol, body)) is None:
            continue
        try:
            call = codec(target).render_request(asked, ABLE, PLAIN)
        except Unsupported as refusal:
            assert refusal.setting
            continue
        # whether an answer may be a list depends on the vendor
        if (found := complaint(target, call)) and "got 'type: \"array\"'" not in found:
            complaints[f"{name} ({protocol})"] = found
    assert complaints == {}
