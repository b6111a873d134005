"""Server-sent events decoded as the WHATWG standard says (HTML §9.2.6), from a whole stream: short and slow, to compare with."""

import re


def decode(stream: bytes, *, last_unfinished: bool = True) -> list[tuple[str, bytes]]:
    """(event name, data) of each event.

    last_unfinished: whether an event without its blank line counts, which the standard denies and real servers need.
    """
    lines = re.split(rb"\r\n|\n|\r", stream.removeprefix(b"\xef\xbb\xbf"))
    if last_unfinished:
        lines += [b"", b""]
    events: list[tuple[str, bytes]] = []
    name, data = "", list[bytes]()
    for line in lines[:-1]:
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if data:
                events.append((name, b"\n".join(data)))
            name, data = "", []
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data.append(value)
    return events
