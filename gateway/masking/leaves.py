"""Is a leaf a leaf? The kinds of values, told from their bytes.

True here: a scalar, or an array of nothing but scalars, is what a leaf may hold.
"""

import re
from collections.abc import Generator

from msgspec import Raw

from gateway.masking.counts import Counts
from gateway.masking.pieces import STRIDE, Text, count, read_items

_CONTAINERS = b"{["
# Every way in which an array can open inside another: after `[`, `,` or white space. The
# look-behind stands after the bracket because `re` then leaps from bracket to bracket.
_ARRAY_IN_ARRAY = re.compile(rb"\[(?<=[\[,\s]\[)")
NEAR = 2**14  # bytes searched in one go where every one may be a bracket


def first_byte(raw: Raw) -> int:
    """The byte that tells a value's kind; msgspec has cut the white space before it."""
    return memoryview(raw)[0]


def only_scalars(raw: Raw) -> Generator[None, None, bool]:
    """Of an array: does it hold no object and no array?"""
    text = bytes(memoryview(raw))
    if b"{" not in text and text.find(b"[", 1) < 0:
        return True
    # Some bracket or brace, perhaps in a text.
    for items, _ in Text(text).pieces(read_items):
        if any(first_byte(item) in _CONTAINERS for item in items):
            return False
        yield
    return True


def hold_no_more(made: bytes, counts: Counts) -> bool:
    """Is it sure, from the result, that every leaf holds what a leaf may hold?

    Args:
        made: an array of records.
        counts: what was written in it.
    """
    return made.count(b"{") == counts.objects and (
        made.find(b"[", 1) < 0
        or made.count(b"[") == counts.arrays + 1
        or _ARRAY_IN_ARRAY.search(made) is None
    )


def hold_no_more_steps(made: bytes, counts: Counts) -> Generator[None, None, bool]:
    """The same of a long array, in steps."""
    if len(made) <= STRIDE:
        return hold_no_more(made, counts)
    if (yield from count(made, b"{")) != counts.objects:
        return False
    if (yield from count(made, b"[")) == counts.arrays + 1:
        return True
    # Tags and the like are arrays too: they are leaves as long as none stands inside another.
    for start in range(0, len(made), NEAR):
        if _ARRAY_IN_ARRAY.search(made, start, start + NEAR) is not None:
            return False
        yield
    return True
