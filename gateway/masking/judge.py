"""Which node cuts this record? None: it may not be seen at all.

True here: a record is judged by nothing but its own state (`facts.py`) and the permit. Where
the permit does not depend on the record, the record is not even looked at.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import MappingProxyType

from msgspec import Raw

from gateway.domain.decision import Permit
from gateway.domain.obligation import RecordVerdict
from gateway.domain.record import NOTHING_KNOWN, Asker, RecordNote, RecordState
from gateway.domain.resource import UNMAPPED, Resource
from gateway.masking.facts import MAX_REMEMBERED, MAX_REMEMBERED_CHARS, FactReader
from gateway.masking.plan import Node, Prefix

# Hidden fields and prefix → `build_node` of the resource. The caller keeps what it built, by
# resource, hidden fields and prefix: that outlives the request.
NodeOf = Callable[[frozenset[str], Prefix], Node]


class RecordJudge:
    """Judges the records of one resource for one request.

    Attributes:
        resource: whose records.
        depends: what stays, and whether, depends on the record.
        hides: of some record something may leave, or all of it.
        note: everything that one record tells, for the audit entry; None = nobody asks.
    """

    __slots__ = (
        "_node_of",
        "_nodes",
        "_state",
        "_verdict",
        "depends",
        "hides",
        "note",
        "resource",
    )

    def __init__(
        self,
        *,
        reader: FactReader,
        verdict: Callable[[RecordState], RecordVerdict],
        node_of: NodeOf,
        depends: bool,
        hidden: frozenset[str],
        note: Callable[[Mapping[str, Raw]], RecordNote] | None = None,
    ) -> None:
        """Sit down.

        Args:
            reader: of the resource's records.
            verdict: on a record in a state, normally `Permit.judge`.
            node_of: how to cut a record, by what is hidden of it.
            depends: as in `Permit`.
            hidden: as in `Permit`.
            note: see above.
        """
        self.resource: Resource = reader.resource
        self.note = note
        self.depends = depends
        secret = hidden if self.resource.sensitive else hidden - {UNMAPPED}
        self.hides = depends or bool(secret)
        self._state = reader.state
        self._verdict = verdict
        self._node_of = node_of
        self._nodes: defaultdict[Prefix, dict[RecordState, Node | None]] = defaultdict(dict)

    def node(self, members: Mapping[str, Raw], prefix: Prefix = ()) -> Node | None:
        """How to cut a record with these members; None = it leaves."""
        state = self._state(members) if self.depends else NOTHING_KNOWN
        known = self._nodes[prefix]
        try:  # one look-up, for every record of a list
            return known[state]
        except KeyError:
            pass
        verdict = self._verdict(state)
        node = self._node_of(verdict.hidden, prefix) if verdict.passes else None
        if len(known) < MAX_REMEMBERED and len(state.salon or "") <= MAX_REMEMBERED_CHARS:
            known[state] = node
        return node


Judges = Mapping[str, RecordJudge]  # by resource; none = its records may not be read
NO_JUDGES: Judges = MappingProxyType({})


def judge_of(
    permit: Permit,
    resource: Resource,
    *,
    asker: Asker,
    node_of: NodeOf,
    verdict: Callable[[RecordState], RecordVerdict] | None = None,
) -> RecordJudge:
    """The judge of what a permit leaves to be checked; reads only what the permit asks.

    `verdict` is `permit.judge` unless another one is given.

    Raises:
        ValueError: a fact that the permit asks for cannot be read (`FactReader`).
    """
    reader = FactReader(resource, asker, asks=permit.asks, salon=permit.depends)
    return RecordJudge(
        reader=reader,
        verdict=verdict or permit.judge,
        node_of=node_of,
        depends=permit.depends,
        hidden=permit.hidden,
        note=partial(_note, _reader_of_all(reader, asker, permit)),
    )


def _reader_of_all(reader: FactReader, asker: Asker, permit: Permit) -> Callable[[], FactReader]:
    """Reads also what today's rules do not ask: tomorrow's may, and be tried on old entries."""
    every = (1 << len(reader.resource.facts)) - 1
    if permit.depends and permit.asks & every == every:
        return lambda: reader
    return lambda: FactReader(reader.resource, asker)


def _note(reader: Callable[[], FactReader], members: Mapping[str, Raw]) -> RecordNote:
    all_facts = reader()
    resource, state = all_facts.resource, all_facts.state(members)
    return state.note(resource.facts, salons=resource.salon is not None)


def something_leaves(resources: Iterable[str], judges: Judges) -> bool:
    """May anything leave records of these resources, or records inside them?"""
    seen: set[str] = set()
    waiting = list(resources)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        judge = judges.get(name)
        if judge is None or judge.hides:
            return True
        waiting += [embed.resource for embed in judge.resource.embeds.values()]
    return False
