import os
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.audit.chain import GENESIS, Head, Link, chain, head_body, render
from gateway.audit.entry import Entry, Phase
from gateway.audit.verify import Fault, TrailFile, verify, verify_trail
from gateway.domain.time import Instant
from tests.oracles.slow_chain import is_whole

FUZZ = int(os.environ.get("SALON_FUZZ", "1"))
AT = Instant(datetime(2026, 11, 21, tzinfo=UTC))


def an_entry(number):
    return Entry(
        request_id=f"r{number}",
        at=AT,
        phase=Phase.ANSWER,
        method="GET",
        peer="192.0.2.1",
        policy="p",
    )


def a_trail(*sizes, after=GENESIS, first=1, oldest=1):
    """Files with a head and so many entries each: a list of lists of lines."""
    files, link = [], after
    for index, size in enumerate(sizes):
        head = Head(worker="0", file=first + index, oldest=oldest, started=AT)
        line, link = chain(head_body(head), link)
        lines = [line]
        for number in range(size):
            line, link = render(an_entry(number), link)
            lines.append(line)
        files.append(lines)
    return files


def judge(files, *, first=1, numbers=None, points=None):
    numbers = numbers or range(first, first + len(files))
    trail = [
        TrailFile(f"f{number}", number, lines)
        for number, lines in zip(numbers, files, strict=True)
    ]
    return verify_trail(trail, worker="0", points=points)


def link_of(line):
    text = line.decode()
    return Link(int(text.split('"n":')[1].split(",")[0]), text.split('"hash":"')[1][:64])


def broken_at(report):
    assert report.broken is not None
    return report.broken.file, report.broken.line, report.broken.fault


def test_a_whole_trail_is_whole_over_all_its_files():
    files = a_trail(3, 0, 2)
    report = judge(files)
    assert report.broken is None
    assert (report.files, report.lines) == (3, 8)
    assert report.first == link_of(files[0][0])
    assert report.last == link_of(files[-1][-1])


def test_a_changed_word_is_found_at_its_line():
    files = a_trail(3, 3)
    files[1][2] = files[1][2].replace(b"GET", b"PUT")
    report = judge(files)
    assert broken_at(report) == ("f2", 3, Fault.CHANGED)
    assert report.lines == 6  # what is whole before it


def test_a_line_cut_out_is_missing_at_its_place():
    files = a_trail(4)
    del files[0][2]
    report = judge(files)
    assert broken_at(report) == ("f1", 3, Fault.MISSING)
    assert "line 3 of the trail should stand here" in report.broken.detail


def test_several_lines_cut_out_are_named():
    files = a_trail(5)
    del files[0][2:4]
    assert "lines 3 to 4" in judge(files).broken.detail


def test_two_lines_that_changed_places_are_out_of_order_not_missing():
    files = a_trail(4)
    files[0][2], files[0][3] = files[0][3], files[0][2]
    assert broken_at(judge(files)) == ("f1", 3, Fault.OUT_OF_ORDER)


def test_a_line_that_stands_twice_is_out_of_order():
    files = a_trail(3)
    files[0].insert(2, files[0][2])
    assert broken_at(judge(files)) == ("f1", 4, Fault.OUT_OF_ORDER)


def test_a_line_made_anew_with_a_right_hash_does_not_fit_the_next_one():
    files = a_trail(4)
    before = link_of(files[0][1])
    files[0][2] = render(an_entry(99), before)[0]
    assert broken_at(judge(files)) == ("f1", 4, Fault.CHANGED)


def test_a_line_that_breaks_off_is_torn():
    files = a_trail(2)
    files[0][2] = files[0][2][:40]
    assert broken_at(judge(files)) == ("f1", 3, Fault.TORN)


@pytest.mark.parametrize("junk", [b"\n", b"{}\n", b"hello\n", b"\0\0\n"])
def test_a_line_of_something_else_is_found(junk):
    files = a_trail(2)
    files[0].insert(1, junk)
    assert broken_at(judge(files)) == ("f1", 2, Fault.CHANGED)


def test_a_file_without_a_head_is_broken():
    files = a_trail(2)
    line, _ = render(an_entry(1), GENESIS)
    assert broken_at(judge([[line]])) == ("f1", 1, Fault.CHANGED)
    assert broken_at(judge([files[0], []])) == ("f2", 1, Fault.MISSING)


def test_a_head_inside_a_file_is_broken():
    files = a_trail(1, 1)
    assert broken_at(judge([files[0] + files[1]])) == ("f1", 3, Fault.CHANGED)


def test_a_file_cut_out_of_the_middle_is_missing():
    files = a_trail(1, 1, 1)
    report = judge([files[0], files[2]], numbers=[1, 3])
    assert broken_at(report) == ("f3", 1, Fault.MISSING)
    assert "files from 2" in report.broken.detail


def test_a_file_cut_out_and_the_next_renamed_is_seen():
    files = a_trail(1, 1, 1)
    assert broken_at(judge([files[0], files[2]], numbers=[1, 2])) == ("f2", 1, Fault.MISSING)


def test_a_file_of_another_number_or_worker_is_seen():
    files = a_trail(1, first=4, oldest=4)
    assert judge(files, first=4).broken is None
    assert broken_at(judge(files, first=5)) == ("f5", 1, Fault.CHANGED)
    other = verify_trail([TrailFile("f", 4, files[0])], worker="1")
    assert broken_at(other) == ("f", 1, Fault.CHANGED)


def test_old_files_that_retention_deleted_are_not_missed():
    files = a_trail(2, 2, 2, oldest=2)
    report = judge(files[1:], first=2)
    assert report.broken is None
    assert report.first.n == 4


def test_old_files_that_somebody_else_deleted_are_missed():
    files = a_trail(2, 2, 2, oldest=2)
    report = judge(files[2:], first=3)
    assert broken_at(report) == ("", 1, Fault.MISSING)
    assert "from 2" in report.broken.detail


def test_old_files_that_retention_has_not_deleted_yet_do_no_harm():
    assert judge(a_trail(2, 2, oldest=2)).broken is None


def test_the_first_file_of_all_begins_at_nothing():
    files = a_trail(2, after=Link(7, "1" * 64))
    assert broken_at(judge(files)) == ("f1", 1, Fault.MISSING)
    files = a_trail(2, after=Link(0, "1" * 64))
    assert broken_at(judge(files)) == ("f1", 1, Fault.CHANGED)


def test_last_lines_cut_off_below_the_seal_are_missed():
    files = a_trail(2, 3)
    seal = link_of(files[1][-1])
    del files[1][-1]
    report = judge(files, points={seal.n: seal.hash})
    assert broken_at(report) == ("", 7, Fault.MISSING)


def test_everything_deleted_but_the_seal_is_missed():
    assert broken_at(judge([], points={7: "1" * 64})) == ("", 1, Fault.MISSING)


def test_last_lines_cut_off_above_the_seal_cannot_be_seen():
    files = a_trail(2, 3)
    seal = link_of(files[0][-1])
    del files[1][-1]
    assert judge(files, points={seal.n: seal.hash}).broken is None


def test_a_trail_written_anew_is_seen_only_against_a_hash_kept_elsewhere():
    kept = link_of(a_trail(3)[0][-1])
    anew = [a_trail(0)[0] + []]
    link = link_of(anew[0][0])
    for number in range(3):
        line, link = render(an_entry(number + 50), link)
        anew[0].append(line)
    assert judge(anew).broken is None
    report = judge(anew, points={kept.n: kept.hash})
    assert broken_at(report) == ("f1", 4, Fault.CHANGED)
    assert "sealed" in report.broken.detail


def test_one_file_alone_is_judged_from_its_head_on():
    files = a_trail(2, 2)
    assert verify(files[1]).broken is None
    assert verify(files[1], after=link_of(files[0][-1])).broken is None
    assert verify(files[1], after=link_of(files[0][-2])).broken.fault is Fault.MISSING


# Against the slow reference: whatever is done to a trail, both say the same.


@st.composite
def a_spoiled_trail(draw):
    retained = draw(st.integers(1, 3))
    files = a_trail(*draw(st.lists(st.integers(0, 3), min_size=1, max_size=4)), oldest=retained)
    contents = [(index + 1, list(lines)) for index, lines in enumerate(files)]
    for _ in range(draw(st.integers(0, 2))):
        if not contents:
            break
        where = draw(st.integers(0, len(contents) - 1))
        number, lines = contents[where]
        at = draw(st.integers(0, max(0, len(lines) - 1)))
        match draw(st.sampled_from(["drop", "twice", "swap", "byte", "cut", "file", "renumber"])):
            case "drop" if lines:
                del lines[at]
            case "twice" if lines:
                lines.insert(draw(st.integers(0, len(lines))), lines[at])
            case "swap" if lines:
                other = draw(st.integers(0, len(lines) - 1))
                lines[at], lines[other] = lines[other], lines[at]
            case "byte" if lines and lines[at]:
                line = bytearray(lines[at])
                spot = draw(st.integers(0, len(line) - 1))
                line[spot] = draw(st.integers(0, 255))
                lines[at] = bytes(line)
            case "cut" if lines:
                lines[at] = lines[at][: draw(st.integers(0, len(lines[at])))]
            case "file":
                del contents[where]
            case "renumber":
                contents[where] = (number + draw(st.integers(0, 1)), lines)
    return [(number, b"".join(lines)) for number, lines in contents]


@settings(max_examples=300 * FUZZ)
@given(a_spoiled_trail())
def test_the_verdict_is_that_of_the_slow_reference(contents):
    trail = [
        TrailFile(f"f{number}", number, content.splitlines(keepends=True))
        for number, content in contents
    ]
    # Splitting at \r too, as `splitlines` does, only makes more lines that are not ours.
    assert (verify_trail(trail, worker="0").broken is None) == is_whole(contents)
