"""Sets as numbers against sets as sets."""

import os
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.enforcer.cubes import Space

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
SIZES = (2, 3, 4, 1, 2)
SPACE_BITS = sum(SIZES)
cubes = st.lists(
    st.integers(0, 2**SPACE_BITS - 1)
    | st.integers(0, 2**SPACE_BITS - 1).map(lambda c: c | 0b11111),
    max_size=7,
).map(tuple)


def points(cover):
    """Every combination of settings that lies in the cover, one setting after the other."""
    starts = [sum(SIZES[:i]) for i in range(len(SIZES))]
    return {
        point
        for point in product(*(range(size) for size in SIZES))
        if any(
            all(cube >> (start + at) & 1 for start, at in zip(starts, point, strict=True))
            for cube in cover
        )
    }


@settings(max_examples=80 * FUZZ, deadline=None)
@given(cubes, cubes)
def test_covers_are_the_sets_they_stand_for(left, right):
    space = Space(SIZES)
    assert points(space.meet(left, right)) == points(left) & points(right)
    assert points(space.join(left, right)) == points(left) | points(right)
    assert points(space.minus(left, right)) == points(left) - points(right)
    assert space.within(space.absorb(left), right) == (points(left) <= points(right))
    loose = {p[:1] + p[2:] for p in points(left)}
    assert {p[:1] + p[2:] for p in points(space.regardless(space.absorb(left), [1]))} == loose


@settings(max_examples=80 * FUZZ, deadline=None)
@given(cubes)
def test_a_tidy_cover_is_the_same_set_and_no_cube_of_it_can_be_left_out_or_widened(cover):
    space = Space(SIZES)
    tidy = space.tidy(space.absorb(cover))
    assert points(tidy) == points(cover)
    for cube in tidy:
        assert points([c for c in tidy if c != cube]) != points(cover)
        for bit in range(SPACE_BITS):
            wider = cube | 1 << bit
            assert wider == cube or not points([wider]) <= points(cover)


def test_a_cover_that_is_too_hard_to_tidy_is_returned_as_it_is():
    space = Space((2,) * 24)
    odd = [tuple((i >> bit) & 1 for bit in range(8)) for i in range(256) if i.bit_count() % 2 == 1]
    cover = tuple(
        sum((0b10 if bit else 0b01) << 2 * at for at, bit in enumerate(p)) | (0xFFFFFFFF << 16)
        for p in odd
    )
    assert set(space.tidy(cover)) == set(cover)
