"""Words that name a request, so that a response can be told from that of another one. A damaged word is not one."""

import re
from zlib import crc32

_FORM = re.compile(rb"nonce(\d+)x(\d+)h([0-9a-f]{8})")


def nonce(case: int, index: int = 0) -> str:
    return f"nonce{case}x{index}h{crc32(b'%d %d' % (case, index)):08x}"


def nonces(data: bytes) -> list[tuple[int, int]]:
    """The case and index of each word in some data."""
    found = [(int(case), int(index), int(check, 16)) for case, index, check in _FORM.findall(data)]
    return [(case, index) for case, index, check in found if check == crc32(b"%d %d" % (case, index))]
