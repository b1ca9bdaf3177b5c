"""What was met in an answer, and what became of it.

True here:
- Counts are collected apart wherever it is not yet sure that they count, and added when it is.
  What was cut in vain, or left with what stood around it, is in no sum.
- Most answers are cut by a few programs that earlier ones were cut by: what those come to is
  worked out once (`Program.sums`). Few such sums are kept, whatever the CRM sends.
"""

from collections.abc import Generator, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from gateway.masking.plan import Drop, Program, Sums

FEW = 64  # programs counted in one go
MAX_SUMS = 32  # kept at one program
MAX_TOGETHER = 8  # programs of one of them: places in a record, and shapes at each

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Counts:
    """The only thing that changes while an answer is cut.

    Attributes:
        records: records that stay.
        refused: records that left because they may not be seen.
        unmatched: records that left because of what was asked.
        holders: how many records hold the number of each exact match, in their order.
        dropped: values that left by themselves, not by a program, by field class.
        hidden: the fields of those.
        shown: the fields that were there and stay, as no program says.
        uses: how many objects each program was applied to.
        lost: how often a leaf held what no leaf holds, and left.
        objects: those that are written.
        arrays: those that are written, other than leaves.
        wary: some leaves were taken on trust.
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

    def drop(self, drop: Drop) -> None:
        """Count a value that left."""
        if drop.fields:
            self.hidden.update(drop.fields)
        dropped = self.dropped
        for label in drop.classes:
            dropped[label] = dropped.get(label, 0) + 1

    def add(self, other: "Counts") -> None:
        """These count too. What is written is not added: it is compared where it is."""
        self.records += other.records
        self.refused += other.refused
        self.unmatched += other.unmatched
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
        """Count what the programs did until few are left, with a pause after some of them."""
        while len(self.uses) > FEW:
            for program in list(islice(self.uses, FEW)):
                self._count(program, self.uses.pop(program))
            yield

    def total(self) -> tuple[dict[str, int], tuple[str, ...], tuple[str, ...]]:
        """What left by field class, and the fields that left and that stay, sorted.

        Once, at the end: the rest of the programs are counted here.
        """
        sums = None if self.lost else _sums(self.uses)
        if sums is None:
            for program, times in self.uses.items():
                self._count(program, times)
        else:
            for times, dropped in zip(self.uses.values(), sums.dropped, strict=True):
                for label, number in dropped:
                    self.dropped[label] = self.dropped.get(label, 0) + number * times
            if not self.hidden and not self.shown:
                return self.dropped, sums.hidden, sums.shown
            self.hidden.update(sums.hidden)
            self.shown.update(sums.shown)
        return self.dropped, tuple(sorted(self.hidden)), tuple(sorted(self.shown))

    def _count(self, program: Program, times: int) -> None:
        for name, child in program.leaves:
            if self.lost.get((program, name), 0) < times:
                self.shown.update(child.names)
        for drop in program.drops:
            self.hidden.update(drop.fields)
            for label in drop.classes:
                grow(self.dropped, label, times)


def _sums(programs: Iterable[Program]) -> Sums | None:
    """What programs of which no leaf was lost come to; None = they are not worth keeping."""
    together = tuple(programs)
    if not together:
        return None
    known = together[0].sums
    found = known.get(together)
    if found is None and len(together) <= MAX_TOGETHER and len(known) < MAX_SUMS:
        found = _summed(together)
        if all(program.kept for program in together):
            known[together] = found
    return found


def _summed(programs: tuple[Program, ...]) -> Sums:
    parts = []
    for program in programs:
        part = Counts()
        part._count(program, 1)  # noqa: SLF001  # its own kind
        parts.append(part)
    return Sums(
        dropped=tuple(tuple(part.dropped.items()) for part in parts),
        hidden=tuple(sorted(set().union(*(part.hidden for part in parts)))),
        shown=tuple(sorted(set().union(*(part.shown for part in parts)))),
    )


def grow(counts: dict[K, int], key: K, times: int = 1) -> None:
    """So many more."""
    counts[key] = counts.get(key, 0) + times
