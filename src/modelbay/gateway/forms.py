"""Multipart bodies, such as uploads of audio and images: they pass as they are, but for the value of the field `model`.

The pieces of a body are held back only until its model is known, which decides where it is sent.
"""

import re

from modelbay.errors import BadRequest

_BOUNDARY = re.compile(r'multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]+)"|([^;\s"]+))', re.IGNORECASE)
_PARAMETER = re.compile(rb';\s*([\w*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]*))')
_DISPOSITION = re.compile(rb"^content-disposition\s*:\s*form-data\b([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_ESCAPED = re.compile(rb"\\(.)")
LONGEST = 16 * 1024
"""Maximum bytes of the headers of a part."""
FIELD = b"model"


class UploadForm:
    """A multipart body that arrives in pieces: feed all of them, and call `begin` once its model or its end is known.

    Raises:
        BadRequest: the content type is not a multipart form with a boundary.
    """

    def __init__(self, content_type: str) -> None:
        found = _BOUNDARY.match(content_type.strip())
        if found is None:
            raise BadRequest("the request body must be JSON, or a multipart form with a boundary", status=400)
        self.model: str | None = None
        """The value of the field `model`, when it has arrived."""
        self.ended = False
        """Whether the last part has arrived."""
        self.growth = 0
        """The difference that `begin` makes to the length of the body, in bytes."""
        self._delimiter = b"\r\n--" + (found[1] or found[2]).encode("latin-1", "replace")
        self._held = bytearray(b"\r\n")  # a form that begins with its first delimiter, which has no line before it
        self._at = 0
        self._part = b""
        """The name of the part that is being read; empty for a file."""
        self._begin = 0
        """Where its headers or its value begin."""
        self._value: tuple[int, int] | None = None
        self._begun = False
        self._reading_headers = False

    def feed(self, data: bytes) -> bytes:
        """Read the next piece. Returns it once `begin` was called; until then it is held back.

        Raises:
            BadRequest: a part is not part of a form, or there is a second `model`.
        """
        self._held += data
        while self._step():
            pass
        if not self._begun:
            return b""
        kept = self._begin if self._reading_headers else self._at
        del self._held[:kept]
        self._at -= kept
        self._begin = 0
        return data

    def begin(self, model: str) -> bytes:
        """The pieces so far with this model. It is added to a form without one."""
        name = model.encode()
        begin, end = self._value or (2, 2)
        if self._value is None:
            head = b'%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            name = head % (self._delimiter[2:], FIELD, name)
        with memoryview(self._held) as held:
            sent = b"".join([held[2:begin], name, held[end:]])
        self.growth = len(name) - (end - begin)
        self._begun = True
        self.feed(b"")
        return sent

    def _step(self) -> bool:
        """Read to the end of the next headers or value. Returns whether it has arrived."""
        if self.ended:
            self._at = len(self._held)
            return False
        return self._read_headers() if self._reading_headers else self._read_value()

    def _read_value(self) -> bool:
        end = self._held.find(self._delimiter, self._at)
        after = end + len(self._delimiter)
        if end < 0:
            self._at = max(self._at, len(self._held) - len(self._delimiter) + 1)
            return False
        if len(self._held) < after + 2:
            self._at = end
            return False
        if self._part == FIELD:
            self._take(end)
        self._part = b""
        self.ended = self._held[after : after + 2] == b"--"
        self._begin = self._at = after
        self._reading_headers = not self.ended
        return True

    def _take(self, end: int) -> None:
        if self.model is not None:
            raise BadRequest("the form has the field `model` twice", status=400, param="model")
        self.model = bytes(self._held[self._begin : end]).decode("utf-8", "replace")
        self._value = self._begin, end

    def _read_headers(self) -> bool:
        end = self._held.find(b"\r\n\r\n", self._at)
        if end < 0:
            if len(self._held) - self._begin > LONGEST:
                raise BadRequest("the headers of a part of the form are too long", status=400)
            self._at = max(self._at, len(self._held) - 3)
            return False
        self._part = _field(bytes(self._held[self._begin : end]))
        self._begin = self._at = end + 4
        self._reading_headers = False
        return True


def _field(headers: bytes) -> bytes:
    """The name of a part that is a field; empty for a file or an unnamed part."""
    found = _DISPOSITION.search(headers)
    parameters = {
        name.lower(): _ESCAPED.sub(rb"\1", quoted) or plain
        for name, quoted, plain in _PARAMETER.findall(found[1] if found else b"")
    }
    return b"" if b"filename" in parameters or b"filename*" in parameters else parameters.get(b"name", b"")
