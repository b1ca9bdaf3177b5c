"""One pass over the records of one answer: which of them stay, and what of each.

True here:
- A record that may not be seen, or is not what was asked for, is judged before anything in it
  is cut or counted: nothing of it is in the result, and nothing of it in the counts but that
  it left.
- Records are cut quickly, and the result is looked at. It is right iff every leaf held what a
  leaf may hold: a text with no more braces than the cut itself wrote holds no more objects.
  If that cannot be told, the same records are read again and cut carefully.
- A generator here yields after each batch of records, and wherever the cutter pauses.

Raises what the cutter raises.
"""

from collections.abc import Callable

import msgspec

from gateway.domain.question import Condition
from gateway.masking.condition import Conditions
from gateway.masking.counts import Counts
from gateway.masking.cutter import Cutter, Members, Steps
from gateway.masking.judge import NO_JUDGES, Judges, RecordJudge, something_leaves
from gateway.masking.leaves import hold_no_more
from gateway.masking.pieces import PIECE
from gateway.masking.plan import Node, Plan

BATCH = 64  # records cut in one go: well under a millisecond

_encode = msgspec.json.Encoder().encode


class Walk:
    """One pass over one body. The only thing in this package that changes."""

    def __init__(
        self,
        plan: Plan,
        *,
        careful: bool,
        judge: RecordJudge | None = None,
        judges: Judges = NO_JUDGES,
        guards: bool | None = None,
        conditions: tuple[Condition, ...] = (),
        shut: bool = False,
    ) -> None:
        """Begin. The arguments are those of `cut`, but for two.

        `careful`: trust no leaf. `shut`: no record meets the conditions, whatever it holds.
        """
        self.plan = plan
        self.judge = judge if judge is not None and judge.depends else None
        self.conditions = Conditions(conditions, plan, judges) if conditions else None
        self.shut = shut
        # Records may leave: no number beside them may tell how many there were.
        self.may_refuse = plan.may_refuse or bool(conditions)
        # Something may leave this answer: then only what is known stays around the records.
        self.guards = bool(conditions) or (
            plan.hides or plan.depends or something_leaves(plan.embeds, judges)
            if guards is None
            else guards
        )
        self.cutter = Cutter(judges, careful=careful)

    @property
    def counts(self) -> Counts:
        """Of what is being read."""
        return self.cutter.counts

    def records(
        self, records: list[Members], again: Callable[[], list[Members]], *, size: int
    ) -> Steps[bytes]:
        """Cut records of the answer, count them, and write those that stay as an array.

        Args:
            records: the members of each. They change.
            again: reads the same records anew.
            size: of their text, in bytes.
        """
        cutter, counted, large = self.cutter, self.counts, size > 2 * PIECE
        if not cutter.careful:
            cutter.counts = Counts()
            made = yield from self._cut(records, large=large)
            if not self.counts.wary or (yield from hold_no_more(made, self.counts)):
                counted.add(self.counts)
                cutter.counts = counted
                return made
            records = again()
            yield
        before = cutter.careful
        cutter.careful, cutter.counts = True, Counts()
        made = yield from self._cut(records, large=large)
        counted.add(self.counts)
        cutter.careful, cutter.counts = before, counted
        return made

    def alone(self, node: Node, members: Members) -> Steps[bytes]:
        """Cut one object that is no record of the answer, and write it."""
        self.cutter.one(node, members)
        yield from self.cutter.settle()
        return _encode(members)

    def _cut(self, records: list[Members], *, large: bool) -> Steps[bytes]:
        kept: list[Members] = []
        for start in range(0, len(records), BATCH):
            if start:
                yield
            batch = records[start : start + BATCH]
            if self.conditions is not None:
                batch = yield from self._met(self.conditions, batch, large=large)
            elif self.judge is not None:
                batch = self._judged(self.judge, batch, large=large)
            else:
                self.cutter.objects(self.plan.record, batch, large=large)
            kept += batch
            if self.cutter.behind:
                yield from self.cutter.settle()
        self.counts.records += len(kept)
        return _encode(kept)

    def _judged(self, judge: RecordJudge, batch: list[Members], *, large: bool) -> list[Members]:
        """Cut each record as its judge says; those that stay, in their order."""
        alike: dict[Node, list[Members]] = {}
        kept = []
        for members in batch:
            node = judge.node(members)
            if node is None:
                continue
            kept.append(members)
            if node in alike:
                alike[node].append(members)
            else:
                alike[node] = [members]
        for node, records in alike.items():
            self.cutter.objects(node, records, large=large)
        self.counts.refused += len(batch) - len(kept)
        return kept

    def _met(
        self, conditions: Conditions, batch: list[Members], *, large: bool
    ) -> Steps[list[Members]]:
        """The same, of those that are what was asked for."""
        kept = []
        for members in batch:
            node = self.plan.record if self.judge is None else self.judge.node(members)
            if node is None:
                self.counts.refused += 1
            elif (yield from conditions.met(node, members, self.counts.holders)) and not self.shut:
                kept.append(members)
                self.cutter.objects(node, [members], large=large)
            else:
                self.counts.unmatched += 1
        return kept
