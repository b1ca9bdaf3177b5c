"""One pass over the records of one answer: which of them stay, and what of each.

True here:
- A record that may not be seen, or is not what was asked for, is judged before anything in it
  is cut or counted: nothing of it is in the result, and nothing of it in the counts but that
  it left.
- Records are cut quickly, and the result is looked at. It is right iff every leaf held what a
  leaf may hold: a text with no more braces than the cut itself wrote holds no more objects.
  If that cannot be told, the same records are read again and cut carefully.
- Few records are cut in one go (`few`), many in batches: a generator here yields after each
  batch, and wherever the cutter pauses.

Raises what the cutter raises.
"""

from collections.abc import Callable

import msgspec

from gateway.domain.question import Condition
from gateway.domain.record import RecordNote
from gateway.masking.condition import Conditions
from gateway.masking.counts import Counts
from gateway.masking.cutter import Cutter, Members, Steps
from gateway.masking.judge import NO_JUDGES, Judges, RecordJudge, something_leaves
from gateway.masking.leaves import hold_no_more, hold_no_more_steps
from gateway.masking.pieces import PIECE
from gateway.masking.plan import Node, Plan
from gateway.masking.steps import all_at_once

BATCH = 64  # records cut in one go: well under a millisecond

_encode = msgspec.json.Encoder().encode


class Walk:
    """One pass over one body. The only thing in this package that changes.

    Attributes:
        plan: what stays.
        judge: of the answer's own records; None = they are all cut alike.
        conditions: what they must meet; None = nothing.
        shut: none meets them.
        may_refuse: records may leave: no number beside them may tell how many there were.
        cutter: cuts them.
        note: what was known of the one record, if the answer is one.
    """

    __slots__ = (
        "_guards",
        "_judges",
        "conditions",
        "cutter",
        "judge",
        "may_refuse",
        "note",
        "plan",
        "shut",
    )

    note: RecordNote | None

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
        self.may_refuse = plan.may_refuse or bool(conditions)
        self.cutter = Cutter(judges, careful=careful)
        self.note = None
        self._guards = True if conditions else guards
        self._judges = judges

    @property
    def guards(self) -> bool:
        """Something may leave this answer: only what is known stays around the records."""
        if self._guards is None:
            plan = self.plan
            self._guards = (
                plan.hides or plan.depends or something_leaves(plan.embeds, self._judges)
            )
        return self._guards

    @property
    def counts(self) -> Counts:
        """Of what is being read."""
        return self.cutter.counts

    def few(self, records: list[Members], again: Callable[[], list[Members]]) -> bytes:
        """Cut records of the answer, count them, and write those that stay: in one go.

        Args:
            records: the members of each. They change. So few that nobody waits for them, and
                nothing was counted before them.
            again: reads the same records anew.
        """
        made = self._few(records)
        cutter = self.cutter
        if cutter.counts.wary and not cutter.careful and not hold_no_more(made, cutter.counts):
            cutter.careful, cutter.counts = True, Counts()
            made = self._few(again())
            cutter.careful = False
        return made

    def _few(self, records: list[Members]) -> bytes:
        if self.conditions is not None:
            records = all_at_once(self._met(self.conditions, records, large=False))
        else:
            records = self._judged(records, large=False)
        if self.cutter.behind:
            all_at_once(self.cutter.settle())
        self.counts.records += len(records)
        return _encode(records)

    def records(
        self, records: list[Members], again: Callable[[], list[Members]], *, size: int
    ) -> Steps[bytes]:
        """The same of many records or long ones, whatever was counted before: in steps.

        Args:
            records: as for `few`.
            again: as for `few`.
            size: of their text, in bytes.
        """
        cutter, counted, large = self.cutter, self.counts, size > 2 * PIECE
        if not cutter.careful:
            cutter.counts = Counts()
            made = yield from self._cut(records, large=large)
            if not self.counts.wary or (yield from hold_no_more_steps(made, self.counts)):
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

    def alone(self, node: Node, members: Members) -> bytes:
        """Cut one small object that is no record of the answer, and write it."""
        return all_at_once(self.alone_steps(node, members))

    def alone_steps(self, node: Node, members: Members) -> Steps[bytes]:
        """The same of one that may be large."""
        self.cutter.one(node, members)
        yield from self.cutter.settle()
        return _encode(members)

    def _cut(self, records: list[Members], *, large: bool) -> Steps[bytes]:
        kept: list[Members] = []
        for start in range(0, len(records), BATCH):
            if start:
                yield
            self.cutter.effort = 0
            batch = records[start : start + BATCH]
            if self.conditions is not None:
                batch = yield from self._met(self.conditions, batch, large=large)
            else:
                batch = self._judged(batch, large=large)
            kept += batch
            if self.cutter.behind:
                yield from self.cutter.settle()
        self.counts.records += len(kept)
        return _encode(kept)

    def _judged(self, batch: list[Members], *, large: bool) -> list[Members]:
        """Cut each record as its judge says; those that stay, in their order."""
        judge = self.judge
        if judge is None:
            self.cutter.objects(self.plan.record, batch, large=large)
            return batch
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
