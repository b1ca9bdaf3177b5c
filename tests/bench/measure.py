"""How long does it take? CPU time of this process, contenders in turn, medians of rounds.

True here: what stands side by side was measured in the same round, one after the other, so a
machine that is busy for a while is busy for all of them. CPU time (user and system, from the
kernel's accounting) leaves out what other processes took, though not what they cost us in
caches; medians leave out the odd round. The collector of garbage runs as it does in earnest.
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Something to be timed.

    Attributes:
        run: does it all once.
        operations: how many times the thing that is counted is done by one `run`.
        before: what has to be made ready for each round, not timed.
    """

    run: Callable[[], object]
    operations: int = 1
    before: Callable[[], object] | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of CPU time per operation, round by round."""

    rounds: tuple[float, ...]
    operations: int

    @property
    def seconds(self) -> float:
        return median(self.rounds)

    @property
    def least(self) -> float:
        """The best round: what it takes while the machine is left in peace."""
        return min(self.rounds)

    def times(self, other: "Timing") -> float:
        """How many times the other's: the median of what each round says."""
        return median(a / b for a, b in zip(self.rounds, other.rounds, strict=True))


def side_by_side(contenders: Mapping[str, Contender], *, rounds: int) -> dict[str, Timing]:
    """Time each contender once a round, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            if contender.before is not None:
                contender.before()
            gc.collect()
            began = time.process_time()
            contender.run()
            taken[name].append((time.process_time() - began) / contender.operations)
    return {
        name: Timing(tuple(times), contenders[name].operations) for name, times in taken.items()
    }


def spell(seconds: float) -> str:
    """Three digits and a unit: `0.42 µs`, `12.3 ms`."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
