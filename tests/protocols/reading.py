"""A stream read by a codec, with what must hold of any reading checked on the way."""

from modelbay.dialect import PLAIN, Dialect
from modelbay.events import Event, Reply, collect
from modelbay.protocols.codec import codec
from tests.protocols.invariants import check_events
from tests.protocols.likeness import told


def events_of(protocol: str, stream: bytes, dialect: Dialect = PLAIN) -> list[Event]:
    """The events of a stream, which are in valid order and the same when its bytes come one by one."""
    parser = codec(protocol).stream_parser(dialect)
    events = parser.feed(stream) + parser.close()
    check_events(events)
    parser = codec(protocol).stream_parser(dialect)
    slowly = [event for i in range(len(stream)) for event in parser.feed(stream[i : i + 1])] + parser.close()
    assert told(slowly) == told(events)
    return events


def read(protocol: str, stream: bytes, dialect: Dialect = PLAIN) -> Reply:
    return collect(events_of(protocol, stream, dialect))
