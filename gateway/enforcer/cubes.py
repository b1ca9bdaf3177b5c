"""Sets of circumstances as numbers: exact, and small enough to read.

A *dial* has a few settings, of which exactly one holds at a time (`app`: phone, backoffice, not
known). A *cube* is an int with one bit for every setting of every dial: those that are possible.
A *cover* is some cubes; what lies in any of them lies in the cover. Conjunction is `&`, "lies
within" is `a & ~b == 0`, and nobody enumerates the product of all dials.

True here: no function changes the set that its covers stand for, except as its name says.
House rule: this file knows numbers only; what a dial means stands in `circumstances.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations

Cube = int
Cover = tuple[Cube, ...]

NOWHERE: Cover = ()
MAX_STEPS = (
    2_000_000  # comparisons of two cubes for one space: a second or two; salons need hundreds
)
MAX_TIDYING = 50_000  # of them for one cover's shortest form; beyond it the cover stays as it is


class TooManyError(Exception):
    """There are more combinations than are looked at. No claim is made then."""


@dataclass(slots=True)
class Effort:
    """How many comparisons are left."""

    left: int = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Raises TooManyError if there are not so many left."""
        self.left -= steps
        if self.left < 0:
            raise TooManyError


@dataclass(frozen=True, slots=True)
class Space:
    """Dials side by side.

    Attributes:
        sizes: how many settings each dial has; none may be 0.
        dials: the bits of each dial.
        everywhere: the cube of all settings.
    """

    sizes: tuple[int, ...]
    effort: Effort = field(default_factory=Effort)
    dials: tuple[Cube, ...] = field(init=False)
    everywhere: Cube = field(init=False)

    def __post_init__(self) -> None:
        at, dials = 0, []
        for size in self.sizes:
            dials.append(((1 << size) - 1) << at)
            at += size
        object.__setattr__(self, "dials", tuple(dials))
        object.__setattr__(self, "everywhere", (1 << at) - 1)

    def where(self, dial: int, settings: int) -> Cube:
        """Everywhere, but with this dial at one of these settings (its own first bit is 1)."""
        mask = self.dials[dial]
        return self.everywhere & ~mask | settings << _lowest(mask) & mask

    def settings(self, cube: Cube, dial: int) -> int:
        """The settings of a dial that are possible in a cube."""
        mask = self.dials[dial]
        return (cube & mask) >> _lowest(mask)

    def possible(self, cube: Cube) -> bool:
        """Is some setting left of every dial?"""
        return all(cube & mask for mask in self.dials)

    def meet(self, left: Cover, right: Cover) -> Cover:
        """What lies in both."""
        self.effort.spend(len(left) * len(right))
        return self.absorb(a & b for a in left for b in right)

    def join(self, *covers: Cover) -> Cover:
        """What lies in any."""
        return self.absorb(cube for cover in covers for cube in cover)

    def absorb(self, cubes: Iterable[Cube]) -> Cover:
        """The same set without impossible cubes, and without those that lie within another."""
        kept: list[Cube] = []
        for cube in sorted({c for c in cubes if self.possible(c)}, key=_widest_first):
            self.effort.spend(len(kept) + 1)
            if not any(cube & ~other == 0 for other in kept):
                kept.append(cube)
        return tuple(kept)

    def minus(self, cover: Cover, other: Cover) -> Cover:
        """What lies in a cover and not in the other."""
        left = list(cover)
        for taken in other:
            self.effort.spend(len(left) + 1)
            left = [piece for cube in left for piece in self._outside(cube, taken)]
        return self.absorb(left)

    def _outside(self, cube: Cube, taken: Cube) -> Iterable[Cube]:
        """The part of a cube outside another one, in cubes that do not overlap."""
        if not self.possible(cube & taken):
            yield cube
            return
        for mask in self.dials:
            if rest := cube & mask & ~taken:
                yield cube & ~mask | rest
                cube &= ~mask | taken

    def regardless(self, cover: Cover, dials: Iterable[int]) -> Cover:
        """Where some setting of these dials leads into the cover."""
        free = 0
        for dial in dials:
            free |= self.dials[dial]
        return self.absorb(cube | free for cube in cover)

    def within(self, cover: Cover, other: Cover) -> bool:
        """Does everything in a cover lie in the other?"""
        return all(self.covered(cube, other) for cube in cover)

    def tidy(self, cover: Cover) -> Cover:
        """The same set in few wide cubes, none of which could be left out.

        Beyond `MAX_TIDYING` steps it is returned unchanged: longer to read, and just as true.
        """
        space = Space(self.sizes, Effort(MAX_TIDYING))
        try:
            kept = list(space.widened(cover))
            for cube in sorted(kept, key=_widest_first, reverse=True):
                others = tuple(other for other in kept if other != cube)
                if space.covered(cube, others):
                    kept.remove(cube)
        except TooManyError:
            return cover
        return tuple(kept)

    def widened(self, cover: Cover) -> Cover:
        """Every cube that lies in the cover and in no wider such cube: iterated consensus."""
        while True:
            found = {
                cube
                for left, right in combinations(cover, 2)
                for cube in self._between(left, right)
                if not any(cube & ~other == 0 for other in cover)
            }
            self.effort.spend(len(cover) ** 2 + len(found))
            if not found:
                return cover
            cover = self.absorb((*cover, *found))

    def _between(self, left: Cube, right: Cube) -> Iterable[Cube]:
        """What two cubes cover together by looking away from one dial."""
        both, either = left & right, left | right
        missing = [mask for mask in self.dials if not both & mask]
        if len(missing) > 1:
            return
        for mask in missing or self.dials:
            yield both & ~mask | either & mask

    def covered(self, cube: Cube, cover: Cover) -> bool:
        """Does a cube lie in a cover, perhaps in several cubes together?"""
        self.effort.spend(len(cover) + 1)
        near = tuple(other for other in cover if self.possible(cube & other))
        if not near:
            return False
        first = near[0]
        for mask in self.dials:
            if cube & mask & ~first:
                inside, outside = cube & (~mask | first), cube & ~(mask & first)
                return self.covered(inside, near) and self.covered(outside, near)
        return True


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _widest_first(cube: Cube) -> tuple[int, int]:
    return -cube.bit_count(), cube
