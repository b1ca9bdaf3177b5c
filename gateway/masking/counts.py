"""What was met in an answer, and what became of it.

True here: counts are collected apart wherever it is not yet sure that they count, and added
when it is. What was cut in vain, or left with what stood around it, is in no sum.
"""

from collections.abc import Generator, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.domain.record import RecordNote
from gateway.masking.plan import Drop, Program

FEW = 64  # programs counted in one go

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Counts:
    """The only thing that changes while an answer is cut.

    Attributes:
        records: records that stay.
        refused: records that left because they may not be seen.
        unmatched: records that left because of what was asked.
        holders: how many records hold the number of each exact match, in their order.
        dropped: values that left, by field class.
        hidden: the fields that were there and left.
        shown: the fields that were there and stay.
        uses: how many objects each program was applied to.
        lost: how often a leaf held what no leaf holds, and left.
        objects: those that are written.
        arrays: those that are written, other than leaves.
        wary: some leaves were taken on trust.
        note: what was known of the one record, if the answer is one.
    """

    records: int = 0
    refused: int = 0
    unmatched: int = 0
    holders: dict[int, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)
    uses: dict[Program, int] = field(default_factory=dict)
    lost: dict[tuple[Program, str], int] = field(default_factory=dict)
    objects: int = 0
    arrays: int = 0
    wary: bool = False
    note: RecordNote | None = None

    def drop(self, drop: Drop, times: int = 1) -> None:
        """Count values that left."""
        self.hidden.update(drop.fields)
        for label in drop.classes:
            grow(self.dropped, label, times)

    def add(self, other: "Counts") -> None:
        """These count too. What is written is not added: it is compared where it is."""
        self.records += other.records
        self.refused += other.refused
        self.unmatched += other.unmatched
        self.note = self.note or other.note
        self.hidden |= other.hidden
        self.shown |= other.shown
        for program, times in other.uses.items():
            grow(self.uses, program, times)
        for label, times in other.dropped.items():
            grow(self.dropped, label, times)
        for leaf, times in other.lost.items():
            grow(self.lost, leaf, times)
        for number, times in other.holders.items():
            grow(self.holders, number, times)

    def add_up(self) -> Generator[None, None, None]:
        """Count what the programs did. Once, at the end."""
        for number, (program, times) in enumerate(self.uses.items(), 1):
            for name, child in program.leaves:
                if self.lost.get((program, name), 0) < times:
                    self.shown.update(child.names)
            for drop in program.drops:
                self.drop(drop, times)
            if not number % FEW:
                yield


def grow(counts: dict[K, int], key: K, times: int = 1) -> None:
    """So many more."""
    counts[key] = counts.get(key, 0) + times
