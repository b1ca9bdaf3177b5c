"""What counts as a loss, what a repair puts back, and the theorem that no lock is forgotten."""

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.backends.redis_entry import entry_tail, parse_entry
from gateway.backends.redis_memory import (
    DEPTH,
    MAX_ANCESTORS,
    NOTED_DEPTH,
    Found,
    MemoryLostError,
    Remembered,
    View,
    plan_repair,
    require_memory,
)
from gateway.ports import Kind

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
G1, G2, G3 = "1" * 32, "2" * 32, "3" * 32
WORD, OTHER = "a" * 32, "b" * 32


def a_lock(key="mei", revision=1, value=b"{}", word=WORD):
    gone_at = 5 if value is None else None
    tail = entry_tail(Kind.LOCK, key, value, gone_at=gone_at, word=word)
    return parse_entry(b"%d %s" % (revision, tail), Kind.LOCK, key)


def a_view(generation=G1, sequence=7, word=WORD, noted=f"1:{WORD}"):
    return View(generation=generation, sequence=sequence, word=word, noted=noted)


def seen(*, view=None, **locks):
    return Remembered(view=view or a_view(), locks=locks)


def found(
    view=None, after=(), word_then=f"7:{WORD}", noted_then=f"1:{WORD}", *, whole=True, **locks
):
    return Found(
        view=view or a_view(),
        stands=(b"", b""),
        after=after,
        word_then=word_then,
        noted_then=noted_then,
        whole=whole,
        empty=False,
        locks=locks,
    )


NOTHING = Found(
    view=None,
    stands=(b"", b""),
    after=(),
    word_then=None,
    noted_then=None,
    whole=True,
    empty=True,
    locks={},
)


def is_lost(remembered, there):
    try:
        assert require_memory(remembered, there) == there.view
    except MemoryLostError:
        return True
    return False


def test_what_was_seen_last_and_what_came_after_it_is_no_loss():
    assert not is_lost(seen(), found())
    assert not is_lost(seen(), found(a_view(sequence=8, word=OTHER)))
    assert not is_lost(None, found(word_then=None))


def test_a_loss_says_what_to_do():
    with pytest.raises(MemoryLostError, match="run `salon-gateway state repair`"):
        require_memory(seen(), NOTHING)


def test_a_redis_without_a_generation_has_lost_it():
    assert is_lost(seen(), NOTHING)
    assert is_lost(None, replace(NOTHING, empty=False))


def test_a_kind_that_is_gone_is_a_loss():
    assert is_lost(seen(), found(whole=False))
    assert is_lost(None, found(whole=False))


def test_an_older_copy_is_a_loss():
    assert is_lost(seen(), found(a_view(sequence=6), word_then=None))


def test_an_older_copy_that_went_on_is_a_loss():
    assert is_lost(seen(), found(a_view(word=OTHER), word_then=f"7:{OTHER}"))
    assert is_lost(seen(), found(a_view(sequence=9), word_then=f"7:{OTHER}"))
    assert is_lost(seen(), found(a_view(sequence=9), word_then=None))


def test_words_are_compared_only_as_far_back_as_they_are_kept():
    far = found(a_view(sequence=7 + DEPTH), word_then=f"{7 + DEPTH}:{OTHER}")
    assert not is_lost(seen(), far)
    near = found(a_view(sequence=6 + DEPTH), word_then=f"7:{OTHER}")
    assert is_lost(seen(), near)


def test_a_logout_that_is_not_counted_any_more_is_a_loss():
    two = a_view(sequence=9, noted=f"2:{WORD}")
    assert not is_lost(seen(view=two), found(two, word_then=f"9:{WORD}", noted_then=f"2:{WORD}"))
    for noted in (f"1:{WORD}", f"2:{OTHER}"):
        there = found(a_view(sequence=9, noted=noted), word_then=f"9:{WORD}", noted_then=noted)
        assert is_lost(seen(view=two), there)


def test_a_lost_logout_is_noticed_however_many_other_writes_came_after_it():
    gone_on = a_view(sequence=10 * DEPTH, noted=f"5:{OTHER}")
    assert is_lost(seen(), found(gone_on, word_then=None, noted_then=f"1:{OTHER}"))
    assert not is_lost(seen(), found(gone_on, word_then=None))


def test_who_was_away_for_too_many_logouts_to_compare_goes_on_only_after_a_repair():
    near = a_view(sequence=10 * NOTED_DEPTH, noted=f"{NOTED_DEPTH}:{OTHER}")
    far = a_view(sequence=10 * NOTED_DEPTH, noted=f"{NOTED_DEPTH + 1}:{OTHER}")
    assert not is_lost(seen(), found(near, word_then=None))
    assert is_lost(seen(), found(far, word_then=None))


def test_another_generation_is_a_loss_unless_it_came_after_ours():
    assert is_lost(seen(), found(a_view(G2)))
    assert is_lost(seen(), found(a_view(G2), after=(G3,)))
    assert not is_lost(seen(), found(a_view(G2, sequence=1), after=(G3, G1), word_then=None))


@pytest.mark.parametrize("there", [{}, {"mei": None}, {"mei": a_lock(value=b"other")}])
def test_a_lock_that_is_not_there_any_more_is_a_loss(there):
    assert is_lost(seen(mei=a_lock()), found(**there))
    assert is_lost(seen(mei=a_lock()), found(a_view(G2), after=(G1,), **there))


def test_a_lock_that_was_changed_or_removed_since_is_no_loss():
    known = seen(mei=a_lock())
    assert not is_lost(known, found(mei=a_lock(revision=2, value=b"other", word=OTHER)))
    assert not is_lost(known, found(mei=a_lock(revision=2, value=None, word=OTHER)))


def test_a_flush_is_repaired_with_every_lock_above_every_number():
    known = seen(mei=a_lock(), ken=a_lock("ken", 3, None))
    plan = plan_repair(known, NOTHING)
    assert plan.entries == {"mei": known.locks["mei"].text, "ken": known.locks["ken"].text}
    assert (plan.sequence, plan.after) == (8, (G1,))
    assert (plan.disputed, plan.unreadable) == ((), ())


def test_what_redis_knows_better_stays():
    plan = plan_repair(
        seen(mei=a_lock()),
        found(a_view(G2, 20), (G3,), mei=a_lock(revision=2, value=None), ken=a_lock("ken")),
    )
    assert plan.entries == {}
    assert (plan.sequence, plan.after) == (21, (G2, G1, G3))


@pytest.mark.parametrize(
    ("ours", "theirs", "winner"),
    [(b"ours", b"theirs", b"theirs"), (b"ours", None, b"ours"), (None, b"theirs", b"theirs")],
)
def test_of_two_words_under_one_number_the_lock_wins_and_is_named(ours, theirs, winner):
    known = seen(mei=a_lock(value=ours))
    plan = plan_repair(known, found(mei=a_lock(value=theirs, word=OTHER)))
    repaired = parse_entry(plan.entries["mei"], Kind.LOCK, "mei")
    assert (repaired.value, repaired.revision, repaired.removed) == (winner, 2, False)
    assert plan.disputed == ("mei",)


def test_what_cannot_be_read_comes_from_the_ledger_or_is_named():
    plan = plan_repair(seen(mei=a_lock()), found(mei=None, ken=None))
    assert plan.entries == {"mei": a_lock().text}
    assert plan.unreadable == ("ken",)


def test_a_generation_names_a_bounded_number_of_those_before_it():
    many = tuple(f"{number:032x}" for number in range(200))
    plan = plan_repair(seen(), found(a_view(G2), many))
    assert plan.after[:2] == (G2, G1)
    assert len(plan.after) == MAX_ANCESTORS


class History:
    """The writes of one memory, in the order of their numbers, as a slow Redis would keep them."""

    def __init__(self, writes=()):
        self.writes = list(writes)  # (word, is it noted)

    def view(self):
        noted = [word for word, is_noted in self.writes if is_noted]
        last = self.writes[-1][0] if self.writes else "0" * 32
        stamp = f"{len(noted)}:{noted[-1] if noted else '0' * 32}"
        return a_view(sequence=len(self.writes), word=last, noted=stamp)

    def asked_by(self, view):
        words = ["0" * 32, *(word for word, _ in self.writes)]
        noted = ["0" * 32, *(word for word, is_noted in self.writes if is_noted)]

        def at(kept, number):
            return f"{number}:{kept[number]}" if number < len(kept) else None

        return found(
            self.view(),
            word_then=at(words, view.sequence),
            noted_then=at(noted, view.noted_count),
        )

    def noted(self):
        return [word for word, is_noted in self.writes if is_noted]


@settings(max_examples=300 * FUZZ, deadline=None)
@given(st.lists(st.booleans(), max_size=8), st.integers(0, 8), st.lists(st.booleans(), max_size=8))
def test_no_logout_is_undone_in_a_memory_that_is_accepted(before, kept_writes, after):
    ours = History((f"{number:032x}", noted) for number, noted in enumerate(before))
    theirs = History(ours.writes[:kept_writes])  # an older copy, which then goes on
    theirs.writes += [(f"{100 + number:032x}", noted) for number, noted in enumerate(after)]
    accepted = not is_lost(seen(view=ours.view()), theirs.asked_by(ours.view()))
    assert accepted == (kept_writes >= len(before))  # within DEPTH all is compared
    if accepted:
        assert theirs.noted()[: len(ours.noted())] == ours.noted()


LOCKS = st.dictionaries(
    st.sampled_from(["mei", "ken", "aya"]),
    st.tuples(st.integers(1, 3), st.sampled_from([b"x", b"y", None]), st.sampled_from("ab")),
)
VIEWS = st.builds(a_view, st.sampled_from([G1, G2]), st.integers(5, 9), st.sampled_from([WORD]))


def locks_of(drawn):
    return {key: a_lock(key, rev, value, word * 32) for key, (rev, value, word) in drawn.items()}


@settings(max_examples=200 * FUZZ, deadline=None)
@given(VIEWS, LOCKS, VIEWS, LOCKS, st.sampled_from([(), (G1,), (G2, G1)]), st.booleans())
def test_no_lock_is_forgotten_by_what_is_accepted_or_by_what_is_repaired(
    ours, known, theirs, there, after, flushed
):
    remembered = Remembered(view=ours, locks=locks_of(known))
    now = NOTHING if flushed else found(theirs, after, **locks_of(there))
    if not is_lost(remembered, now):
        for key, lock in remembered.locks.items():
            assert now.locks[key].revision > lock.revision or now.locks[key] == lock
    plan = plan_repair(remembered, now)
    written = {key: parse_entry(text, Kind.LOCK, key) for key, text in plan.entries.items()}
    after_it = Found(
        view=a_view(G3, plan.sequence),
        stands=(b"", b""),
        after=plan.after,
        word_then=None,
        noted_then=None,
        whole=True,
        empty=False,
        locks={**now.locks, **written},
    )
    # This machine, and one that had believed what was there, both go on with it.
    assert not is_lost(remembered, after_it)
    if not flushed:
        assert not is_lost(Remembered(view=theirs, locks=dict(now.locks)), after_it)
