"""Which requests stored reasoning state may change: the others are sent without a search in it."""

import time
from pathlib import Path

from modelbay.calling.target import Targets
from modelbay.conversation import Thinking
from modelbay.storage.files import FRESH
from modelbay.storage.state_table import DAY
from tests.gateway.test_reasoning_store import asks, call, file, keep, opaques, store, targets, thought

__all__ = ["file", "targets"]

SIGNED = (
    b'{"messages": [{"content": [{"type": "thinking", "signature": "sig-1"}, {"type": "tool_use", "name": "wind"}]}]}'
)
CALLED = b'{"messages": [{"content": [{"type": "tool_use", "name": "wind"}]}]}'
PLAIN_TEXT = b'{"messages": [{"role": "user", "content": "Is it windy?"}]}'


def test_stored_state_concerns_only_requests_that_it_may_change(file: Path, targets: Targets) -> None:
    one, two, kept = targets.find("one"), targets.find("two"), store(file)
    assert not kept.concerns("ann", one, CALLED, passes=False), "there is none"
    keep(kept, one, thought("1"), call("wind"))
    concerned = {
        (name, body, passes)
        for name, target in (("one", one), ("two", two))
        for body in (SIGNED, CALLED, PLAIN_TEXT)
        for passes in (True, False)
        if kept.concerns("ann", target, body, passes=passes)
    }
    assert concerned == {
        ("one", CALLED, True),  # the client has dropped the thinking
        ("two", SIGNED, True),  # of another provider
        *(("one", body, False) for body in (SIGNED, CALLED, PLAIN_TEXT)),
    }
    assert not any(kept.concerns("bob", target, SIGNED, passes=True) for target in (one, two)), "another client"
    kept.close()


def test_state_that_was_refused_concerns_the_provider_that_gave_it(file: Path, targets: Targets) -> None:
    one, other, kept = targets.find("one"), targets.find("other"), store(file)
    keep(kept, one, thought("1"), call("wind"))
    assert not kept.concerns("ann", one, SIGNED, passes=True)
    kept.refuse("ann", one, asks(thought("1"), call("wind")), b"{}")
    assert kept.concerns("ann", one, SIGNED, passes=True)
    assert kept.concerns("ann", other, SIGNED, passes=True), "another family"
    kept.close()


def test_state_concerns_requests_as_long_as_it_is_there(file: Path, targets: Targets) -> None:
    one, now, sent = targets.find("one"), [0.0], asks(call("wind"))
    kept = store(file, days=30, clock=lambda: now[0])
    keep(kept, one, thought("1"), call("wind"))
    for _ in range(3):
        now[0] += 29 * DAY
        assert opaques(kept.restore("ann", one, sent)) == ["sig-1", "wind"]
    keep(kept, targets.find("two"), thought("2"), call("wind"), client="bob")  # removes what has expired
    assert kept.concerns("ann", one, CALLED, passes=True)
    kept.close()


def test_of_a_full_table_the_note_about_state_is_removed_last(file: Path, targets: Targets) -> None:
    one, now = targets.find("one"), [0.0]
    kept = store(file, max_bytes=20_000, clock=lambda: now[0])
    keep(kept, one, thought("1"), call("wind"))
    for number in range(30):
        keep(
            kept,
            targets.find("two"),
            Thinking(texts=["x" * 1000], opaque=f"sig-{number}"),
            call(f"t{number}"),
            client="bob",
        )
        found = opaques(kept.restore("ann", one, asks(call("wind"))))
        time.sleep(FRESH)
        assert kept.concerns("ann", one, CALLED, passes=True) or found == ["wind"]
    assert found == ["wind"]
    kept.close()
