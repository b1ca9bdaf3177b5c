"""What a crash, or somebody, has left: the chain goes on, and nothing is covered up."""

import json
import os
import re

import pytest

from gateway.audit.chain import GENESIS, chain
from gateway.audit.verify import Fault
from gateway.backends.audit_directory import list_trail, seal_path, verify_directory
from gateway.backends.audit_recovery import End, find_end
from gateway.backends.audit_writer import TrailWriter
from tests.oracles.audit_samples import SetClock, a_body


def write(directory, *names, size=2**20, seal=True):
    """Open, enter, close; without a seal as if it had been killed. Returns the repairs."""
    writer = TrailWriter(
        directory,
        worker="0",
        clock=SetClock(),
        max_file_bytes=size,
        retention_days=None,
        sync=os.fsync,
    )
    writer.open()
    for name in names:
        writer.commit([a_body(name)])
    if seal:
        writer.close()
    else:
        writer._release()
    return writer.repairs


def last_file(directory):
    return list_trail(directory)[-1].path


def ids(directory):
    text = "".join(file.path.read_text() for file in list_trail(directory))
    return re.findall('"request_id":"([^"]*)"', text)


def broken(directory):
    return verify_directory(directory, "0", {}).broken


def test_an_empty_directory_begins_at_nothing(tmp_path):
    assert find_end(tmp_path, "0") == End()


def test_a_trail_that_was_closed_needs_no_repair(tmp_path):
    write(tmp_path, "a")
    assert write(tmp_path, "b") == ()


def test_a_trail_that_was_killed_needs_no_repair(tmp_path):
    write(tmp_path, "a", seal=False)
    assert write(tmp_path, "b", seal=False) == ()
    assert ids(tmp_path) == ["a", "b"]
    assert broken(tmp_path) is None


@pytest.mark.parametrize(
    "torn",
    [
        b"{",
        b'{"kind":"entry","at":"2026',
        b"\0" * 5000,
        b"x" * 1_000_000,  # longer than a line can be, and than a block that is read
    ],
)
def test_a_torn_last_line_is_cut_off_kept_and_reported(tmp_path, torn):
    write(tmp_path, "a", seal=False)
    path = last_file(tmp_path)
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(torn)
    (repair,) = write(tmp_path, "b")
    assert repair.file == path.name
    assert f"after {len(torn)} bytes" in repair.what
    assert (tmp_path / repair.kept_in).read_bytes() == torn
    assert path.read_bytes().startswith(whole)
    assert ids(tmp_path) == ["a", "b"]
    assert len(list_trail(tmp_path)) == 1
    assert broken(tmp_path) is None


def test_torn_bytes_of_two_crashes_are_both_kept(tmp_path):
    write(tmp_path, "a")
    for torn in (b"first", b"second"):
        with last_file(tmp_path).open("ab") as file:
            file.write(torn)
        (repair,) = write(tmp_path)
    assert (tmp_path / repair.kept_in).read_bytes() == b"firstsecond"


def test_a_torn_line_of_a_trail_nobody_repaired_is_found_by_verify(tmp_path):
    write(tmp_path, "a", seal=False)
    with last_file(tmp_path).open("ab") as file:
        file.write(b'{"kind"')
    assert broken(tmp_path).fault is Fault.TORN


def test_behind_a_changed_line_the_chain_goes_on_in_a_new_file(tmp_path):
    write(tmp_path, "a", "b", "c", seal=False)
    path = last_file(tmp_path)
    spoiled = path.read_bytes().replace(b'"request_id":"b"', b'"request_id":"x"')
    path.write_bytes(spoiled)
    (repair,) = write(tmp_path, "d")
    assert repair.what.startswith("line 3: ")
    assert path.read_bytes() == spoiled  # evidence
    assert [file.number for file in list_trail(tmp_path)] == [1, 2]
    found = broken(tmp_path)
    assert (found.file, found.line, found.fault) == (path.name, 3, Fault.CHANGED)


def test_the_chain_behind_damage_is_whole_in_itself(tmp_path):
    write(tmp_path, "a", "b", seal=False)
    path = last_file(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'"request_id":"a"', b'"request_id":"x"'))
    write(tmp_path, "c")
    path.write_bytes(path.read_bytes().replace(b'"request_id":"x"', b'"request_id":"a"'))
    assert broken(tmp_path) is None  # the damage undone, all fits


def test_last_lines_cut_off_below_the_seal_stay_missing_after_a_start(tmp_path):
    write(tmp_path, "a", "b", "c")
    path = last_file(tmp_path)
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    (repair,) = write(tmp_path, "d")
    assert "the files end at line 3, the seal knows line 4" in repair.what
    found = broken(tmp_path)
    assert found.fault is Fault.MISSING
    assert found.file == last_file(tmp_path).name
    assert "line 4 of the trail should stand here" in found.detail


def test_a_last_line_put_in_the_place_of_the_sealed_one_stays_seen_after_a_start(tmp_path):
    write(tmp_path, "a", "b")
    path = last_file(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    head = json.loads(lines[0])
    first, link = chain(lines[0].split(b',"n":')[0], GENESIS)
    assert link.hash == head["hash"]
    second, link = chain(a_body("a"), link)
    forged, _ = chain(a_body("forged"), link)
    path.write_bytes(first + second + forged)
    (damage, ahead) = write(tmp_path, "c")
    assert "sealed" in damage.what
    assert "going on behind it" in ahead.what
    assert broken(tmp_path) is not None


def test_all_files_deleted_but_the_seal_stay_missing_after_a_start(tmp_path):
    write(tmp_path, "a", "b")
    last_file(tmp_path).unlink()
    (repair,) = write(tmp_path, "c")
    assert "the seal knows line 3" in repair.what
    assert [file.number for file in list_trail(tmp_path)] == [2]
    assert "not by retention" in broken(tmp_path).detail


def test_the_last_files_deleted_stay_missing_after_a_start(tmp_path):
    write(tmp_path, *"abcd", size=1)
    for file in list_trail(tmp_path)[-2:]:
        file.path.unlink()
    write(tmp_path, "e")
    assert broken(tmp_path).fault is Fault.MISSING
    assert "files from 4" in broken(tmp_path).detail


def test_a_seal_that_was_changed_is_set_aside_not_written_over(tmp_path):
    write(tmp_path, "a")
    path = seal_path(tmp_path, "0")
    path.write_bytes(b"nonsense")
    (repair,) = write(tmp_path, "b")
    assert (tmp_path / repair.kept_in).read_bytes() == b"nonsense"
    assert ids(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("content", [b"", b"\n", b"nothing of ours\n"])
def test_a_last_file_without_a_head_is_left_and_the_chain_goes_on(tmp_path, content):
    write(tmp_path, "a")
    last_file(tmp_path).write_bytes(content)
    repairs = write(tmp_path, "b")
    assert repairs
    assert list_trail(tmp_path)[0].path.read_bytes() == content
    assert ids(tmp_path) == ["b"]
    assert broken(tmp_path) is not None


def test_a_file_of_a_later_format_is_not_written_on(tmp_path):
    write(tmp_path, "a", seal=False)
    line, _ = chain(
        b'{"kind":"head","format":2,"worker":"0","file":1,"oldest":1,"started":"x"', GENESIS
    )
    last_file(tmp_path).write_bytes(line)
    (repair,) = write(tmp_path, "b", seal=False)
    assert "not a head that this version reads" in repair.what
    assert list_trail(tmp_path)[0].path.read_bytes() == line
    assert ids(tmp_path) == ["b"]


def test_half_a_new_file_of_a_crash_in_a_rotation_is_no_part_of_the_trail(tmp_path):
    write(tmp_path, "a")
    (tmp_path / "trail-0.new").write_bytes(b'{"kind":"he')
    assert write(tmp_path, "b", size=1) == ()
    assert ids(tmp_path) == ["a", "b"]
    assert broken(tmp_path) is None
