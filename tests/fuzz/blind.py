"""Fuzzing without coverage: kept inputs, changed at random. For where atheris is not.

Also what the ordinary tests do for a moment, with a fixed seed.
"""

from collections.abc import Iterator, Sequence
from random import Random

_BYTES = tuple(bytes([number]) for number in (0, 9, 10, 13, 32, 34, 37, 47, 92, 127, 128, 255))
MOST_CHANGES = 5


def changed(
    inputs: Sequence[bytes], words: Sequence[bytes], max_bytes: int, dice: Random
) -> Iterator[bytes]:
    """Endlessly: one of the inputs, changed in a few places."""
    pieces = (*words, *_BYTES)
    while True:
        data = bytearray(dice.choice(inputs))
        for _ in range(dice.randint(1, MOST_CHANGES)):
            _change(data, inputs, pieces, dice)
        yield bytes(data[:max_bytes])


def _change(
    data: bytearray, inputs: Sequence[bytes], pieces: Sequence[bytes], dice: Random
) -> None:
    start = dice.randint(0, len(data))
    end = min(len(data), start + dice.choice((0, 0, 1, 1, 2, 4, 16, 64)))
    match dice.randrange(7):
        case 0:
            del data[start:end]
        case 1:
            data[start:end] = dice.choice(pieces)
        case 2:
            data[start:end] = dice.randbytes(dice.randint(0, 4))
        case 3 if start < len(data):
            data[start] ^= 1 << dice.randrange(8)
        case 4:
            data[start:start] = data[start:end] * dice.choice((1, 1, 2, 8))
        case 5:
            other = dice.choice(inputs)
            at = dice.randint(0, len(other))
            data[start:end] = other[at : at + dice.choice((1, 4, 16, 64, 256))]
        case _:
            data[start:end] = bytes(dice.choices(data or b"\0", k=end - start))
