"""The length of audio and video is in the header of the file."""

import pytest

from modelbay.counting.media_lengths import seconds


def wave(rate: int) -> bytes:
    return b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\xc0\x5d\0\0" + rate.to_bytes(4, "little") + bytes(16)


def movie(scale: int, length: int, *, wide: bool = False) -> bytes:
    width = 8 if wide else 4
    times = bytes([wide, 0, 0, 0]) + bytes(2 * width) + scale.to_bytes(4, "big") + length.to_bytes(width, "big")
    return b"\0\0\0\x6cmvhd" + times + bytes(80)


FILE_TYPE = b"\0\0\0\x1cftypmp42" + bytes(16)
MPEG_1 = b"\xff\xfb\x74\xc4" + bytes(400)
MPEG_2 = b"\xff\xf3\xc4\xc4" + bytes(400)
VARIABLE = b"\xff\xfb\x50\xc4" + bytes(32) + b"Info\0\0\0\x0f" + (383).to_bytes(4, "big") + bytes(400)
"""383 frames of 1152 samples, 44,100 samples a second."""
TAG = b"ID3\4\0\0\0\0\1\0"
"""A tag of 128 bytes."""


@pytest.mark.parametrize(
    ("head", "tail", "size", "length"),
    [
        (wave(48_000), b"", 480_000, 10),
        (FILE_TYPE + movie(1000, 2500), b"", 9_000_000, 2.5),
        (FILE_TYPE, movie(90_000, 900_000), 9_000_000, 10),
        (FILE_TYPE, movie(90_000, 900_000, wide=True), 9_000_000, 10),
        (MPEG_1, b"", 24_000, 2),
        (MPEG_2, b"", 32_000, 2),
        (TAG + bytes(128) + MPEG_1, b"", 24_138, 2),
        (VARIABLE, b"", 1_000_000, 10.005),
    ],
    ids=["wav", "mp4", "mp4-end", "mp4-wide", "mp3", "mp3-mpeg-2", "mp3-tag", "mp3-variable"],
)
def test_the_length_is_read_from_the_header(head: bytes, tail: bytes, size: int, length: float) -> None:
    assert seconds(head, tail, size) == pytest.approx(length, abs=0.001)
    for end in range(len(head)):  # a broken file is not an error
        seconds(head[:end], tail[:end], size)


AVI = wave(48_000).replace(b"WAVE", b"AVI ")


@pytest.mark.parametrize(
    "head", [b"", b"OggS" + bytes(100), b"\xff\xfb\xf4\xc4", wave(0), AVI, FILE_TYPE + movie(0, 9)]
)
def test_other_formats_have_no_known_length(head: bytes) -> None:
    assert seconds(head, b"", 1000) is None
