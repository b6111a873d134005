"""The length of audio and video, from the header of the file."""

_BIT_RATES = {
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kilobits per second of MPEG audio of layer 3, by version (3: MPEG 1; 2: MPEG 2 and 2.5) and index from 1."""
_FRAMES_PER_SECOND = {3: 44_100 / 1152, 2: 22_050 / 576, 0: 11_025 / 576}
"""Frames per second at the usual sample rate, by version (0: MPEG 2.5)."""
_SAMPLE_RATES = (1, 48 / 44.1, 32 / 44.1)
"""Frames per second at other sample rates, as factors of the usual ones, by index."""
_MOVIE = b"mvhd"
"""The header of MP4, MOV and M4A that has the length: at the beginning of the file or near its end."""


def seconds(head: bytes, tail: bytes, size: int) -> float | None:
    """The length of a WAV, MP3, MP4, MOV or M4A file; None if it cannot be read.

    Args:
        head: The beginning of the file.
        tail: The end of the file.
        size: Bytes of the file.
    """
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        rate = int.from_bytes(head[28:32], "little")
        return size / rate if rate else None
    if head[4:8] == b"ftyp":
        return _movie(head) or _movie(tail)
    return _mpeg_audio(head, size)


def _movie(data: bytes) -> float | None:
    at = data.find(_MOVIE) + len(_MOVIE)
    if at < len(_MOVIE):
        return None
    wide = data[at : at + 1] == b"\1"  # version 1 has times of 8 bytes
    at, width = (at + 20, 8) if wide else (at + 12, 4)
    scale = int.from_bytes(data[at : at + 4], "big")
    length = int.from_bytes(data[at + 4 : at + 4 + width], "big")
    return length / scale if scale and len(data) >= at + 4 + width else None


def _mpeg_audio(head: bytes, size: int) -> float | None:
    """By the number of frames, or else by the bit rate of the first one."""
    start = 0
    if head[:3] == b"ID3" and len(head) >= 10:
        first, second, third, last = head[6:10]
        start = 10 + (first << 21 | second << 14 | third << 7 | last)
    frame = head[start : start + 200]
    if len(frame) < 3 or frame[0] != 0xFF or frame[1] & 0xE6 != 0xE2:  # synchronization, layer 3
        return None
    version, index, sample_rate = frame[1] >> 3 & 3, frame[2] >> 4, frame[2] >> 2 & 3
    at = max(frame.find(b"Xing"), frame.find(b"Info"))  # of a variable bit rate, the first frame says nothing
    if at > 0 and len(frame) >= at + 12 and frame[at + 7] & 1 and version in _FRAMES_PER_SECOND and sample_rate < 3:
        count = int.from_bytes(frame[at + 8 : at + 12], "big")
        return count / (_FRAMES_PER_SECOND[version] * _SAMPLE_RATES[sample_rate])
    rates = _BIT_RATES[3 if version == 3 else 2]
    return (size - start) / (rates[index - 1] * 125) if 1 <= index <= len(rates) else None
