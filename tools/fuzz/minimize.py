"""Makes the bytes of a finding smaller while they are still one."""

from collections.abc import Awaitable, Callable

TRIES = 150


async def smallest(data: bytes, fails: Callable[[bytes], Awaitable[bool]]) -> bytes:
    """Remove pieces, large ones first, while `fails` holds."""
    size, tries = len(data) // 2, 0
    while size and tries < TRIES:
        at = 0
        while at < len(data) and tries < TRIES:
            tries += 1
            shorter = data[:at] + data[at + size :]
            if await fails(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data
