"""What a question leaves to be checked on each record of its answer.

A question may touch what somebody cannot see and still be answered, if the records that stay
are those that the visible part of the answer explains. These are the two ways; whoever asks in
any other way about what is hidden is refused before the CRM hears of it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Recheck:
    """Free text: a record stays iff each word occurs in a field of it that may be seen.

    Attributes:
        words: NFKC and case-folded, none of them empty; () keeps every record.
        fields: where the CRM looks: names of fields, `<embed>.<field>` for those of embedded
            records.
        everything: it looks in every member, so every declared field that may be seen counts.
    """

    words: tuple[str, ...]
    fields: frozenset[str]
    everything: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactMatch:
    """One number: the only record that stays is the one that holds it, whoever may see it.

    Where several do, none stays: it was no number of one person.

    Attributes:
        field: whose values are compared, of the answer's own records.
        digits: the number as asked for, ASCII digits only.
    """

    field: str
    digits: str


Condition = Recheck | ExactMatch
