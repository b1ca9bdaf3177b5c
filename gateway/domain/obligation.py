"""What a permit leaves to be checked on each record: one mechanism for tests and for masks.

Of every row, the request's facts have already had their say; what is left are the literals
about the record. **Unknown never fires an allow and always fires a deny, negated or not**:
`Conjunct.allows` and `Conjunct.denies` say so for records as `Condition.fires` does for
requests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.domain.record import RecordState
from gateway.domain.ruleref import RuleRef


@dataclass(frozen=True, slots=True)
class Conjunct:
    """What is left of one row's condition.

    Attributes:
        ref: where the row stands.
        positive: facts that must hold, one bit each in the resource's order.
        negative: facts that must not hold.
    """

    ref: RuleRef
    positive: int = 0
    negative: int = 0

    @property
    def settled(self) -> bool:
        """Nothing is left to ask of the record: the row fires."""
        return not self.positive and not self.negative

    def within(self, other: "Conjunct") -> bool:
        """Everything asked here is asked there: where the other holds, this one does."""
        return not (self.positive & ~other.positive or self.negative & ~other.negative)

    def allows(self, state: RecordState) -> bool:
        """As an allow: everything must be known to hold."""
        return (
            state.true & self.positive == self.positive
            and state.false & self.negative == self.negative
        )

    def denies(self, state: RecordState) -> bool:
        """As a deny: unless some part is known to be false."""
        return not (state.false & self.positive or state.true & self.negative)


@dataclass(frozen=True, slots=True)
class Residual:
    """The rows about one thing that may still fire, some allow and no deny.

    Attributes:
        allows, denies: what is left of them. A deny that is settled never stands here with
            an allow beside it: then nothing can be open.
    """

    allows: tuple[Conjunct, ...] = ()
    denies: tuple[Conjunct, ...] = ()

    @property
    def settled(self) -> bool | None:
        """True or False whatever the record; None = it depends."""
        if not self.allows or any(deny.settled for deny in self.denies):
            return False
        if not self.denies and any(allow.settled for allow in self.allows):
            return True
        return None

    def open(self, state: RecordState) -> bool:
        """Some allow and no deny, for a record in this state."""
        return any(allow.allows(state) for allow in self.allows) and not any(
            deny.denies(state) for deny in self.denies
        )

    def firing(self, state: RecordState) -> tuple[RuleRef, ...]:
        """The denies that fire for a record in this state."""
        return tuple(deny.ref for deny in self.denies if deny.denies(state))

    @property
    def asks(self) -> int:
        """Every fact that it asks about, one bit each."""
        bits = 0
        for row in (*self.allows, *self.denies):
            bits |= row.positive | row.negative
        return bits


CLOSED = Residual()
MAX_KNOWN = 4096  # verdicts kept by one grant; the facts of a resource have a few dozen states


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordVerdict:
    """What one record's facts make of a permit.

    Attributes:
        passes: the record may be shown, or changed as asked.
        hidden, unwritable: as in a permit, of this record; of no meaning if it does not pass.
        by: the denies that keep it from passing.
    """

    passes: bool
    hidden: frozenset[str] = frozenset()
    unwritable: frozenset[str] = frozenset()
    by: tuple[RuleRef, ...] = ()


REFUSED = RecordVerdict(passes=False)


def all_of(verdicts: Iterable[RecordVerdict]) -> RecordVerdict:
    """What passes everywhere, with everything hidden that is hidden anywhere."""
    listed = tuple(verdicts)
    if not listed or not all(verdict.passes for verdict in listed):
        refs = {ref for verdict in listed for ref in verdict.by}
        return RecordVerdict(passes=False, by=tuple(sorted(refs)))
    return RecordVerdict(
        passes=True,
        hidden=frozenset().union(*(verdict.hidden for verdict in listed)),
        unwritable=frozenset().union(*(verdict.unwritable for verdict in listed)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What one salon lets a person do with its records: a row of the permit's table.

    Attributes:
        test: of the record itself.
        fields: field (or `unmapped`) → of its showing and of its sending. Every maskable
            name of the resource stands here.
        exempt: inside only because of an exempt role.
        asks: every fact that anything here asks about, one bit each.
    """

    test: Residual
    fields: Mapping[str, tuple[Residual, Residual]]
    exempt: bool = False
    asks: int = field(init=False)
    _known: dict[tuple[int, int], RecordVerdict] = field(
        default_factory=dict, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        bits = self.test.asks
        for read, send in self.fields.values():
            bits |= read.asks | send.asks
        object.__setattr__(self, "asks", bits)  # derived from the rest, and frozen like it

    def judge(self, state: RecordState) -> RecordVerdict:
        """The verdict on a record of this salon; worked out once for each state of its facts."""
        key = (state.true & self.asks, state.false & self.asks)
        verdict = self._known.get(key)
        if verdict is None:
            verdict = self._judge(state)
            if len(self._known) < MAX_KNOWN:
                self._known[key] = verdict
        return verdict

    def _judge(self, state: RecordState) -> RecordVerdict:
        if not self.test.open(state):
            return RecordVerdict(passes=False, by=self.test.firing(state))
        return RecordVerdict(
            passes=True,
            hidden=frozenset(n for n, (read, _) in self.fields.items() if not read.open(state)),
            unwritable=frozenset(
                n for n, (_, send) in self.fields.items() if not send.open(state)
            ),
        )
