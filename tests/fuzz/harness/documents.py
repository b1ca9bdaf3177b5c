"""Of planted documents nothing that is hidden comes out, and what stays comes out as it was.

The input is a seed, for a policy and documents that are cut under it, and how many. This is
what `tests/fuzz/counting.py` does a million times.
"""

from tests.fuzz.documents import Tally, try_some

MAX_BYTES = 9
SEEDS = tuple(number.to_bytes(8) + b"\x08" for number in range(40))


def check(data: bytes) -> None:
    count = data[8] % 65 if len(data) > 8 else 8
    tally = Tally()
    wrong = try_some(int.from_bytes(data[:8]), count, tally)
    assert not wrong, wrong
    assert tally == Tally(documents=count)
