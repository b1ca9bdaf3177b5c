"""A fuzzer's bytes as decisions, read from the front. Used up, it says 0 for ever.

Every input is a valid list of decisions, and a changed byte changes one of them: that is what
lets a fuzzer climb.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeVar

OneT = TypeVar("OneT")


class Draws:
    """Decisions in the order in which they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, most: int) -> int:
        """A number from 0 to most - 1; most is at most 65,536."""
        wide = 1 if most <= 256 else 2
        return int.from_bytes(self.take(wide)) % most

    def flag(self) -> bool:
        return self.below(2) == 1

    def of(self, options: Sequence[OneT]) -> OneT:
        return options[self.below(len(options))]

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest


def in_chunks(data: bytes, seed: int) -> list[bytes]:
    """The same bytes in pieces, in one of 256 ways; 0 = one by one."""
    if seed == 0:
        return [data[at : at + 1] for at in range(len(data))]
    dice = Random(seed)  # noqa: S311  # test data
    pieces, at = [], 0
    while at < len(data):
        size = dice.choice((0, 1, 2, 3, 7, 40, 300, 5000))
        pieces.append(data[at : at + size])
        at += size
    return pieces
