import os
import threading
from datetime import date

import pytest

from gateway.audit.verify import Fault
from gateway.backends import audit_directory
from gateway.backends.audit_directory import (
    Follower,
    TrailPath,
    lines_backwards,
    lines_of,
    list_trail,
    list_workers,
    read_seal,
    seal_path,
    verify_directory,
    whole_size,
)
from gateway.backends.audit_writer import TrailWriter
from tests.oracles.audit_samples import SetClock, a_body


def a_writer(directory, worker="0", size=2**20):
    writer = TrailWriter(
        directory,
        worker=worker,
        clock=SetClock(),
        max_file_bytes=size,
        retention_days=None,
        sync=os.fsync,
    )
    writer.open()
    return writer


def names(lines):
    return [line.split(b'"request_id":"')[1].split(b'"')[0].decode() for line in lines]


def test_files_are_listed_in_the_order_of_writing_and_nothing_else_is(tmp_path):
    wanted = [
        "trail-0-000009-2026-11-21.jsonl",
        "trail-0-000010-2026-11-20.jsonl",
        "trail-0-1000000-2026-11-22.jsonl",
        "trail-1-000001-2026-11-21.jsonl",
    ]
    others = [
        "trail-0.head",
        "trail-0.lock",
        "trail-0-000009-2026-11-21.jsonl.torn",
        "trail-0-000009-2026-11-31.jsonl",
        "trail-0-9-2026-11-21.jsonl",
        "trail-A-000001-2026-11-21.jsonl",
        "notes.txt",
    ]
    for name in wanted[::-1] + others:
        (tmp_path / name).write_bytes(b"")
    assert [file.path.name for file in list_trail(tmp_path)] == wanted
    assert [file.path.name for file in list_trail(tmp_path, "1")] == wanted[-1:]


def test_a_file_is_found_again_under_the_name_it_was_given(tmp_path):
    file = TrailPath.of(tmp_path, "w_1", 17, date(2026, 11, 21))
    file.path.write_bytes(b"")
    assert list_trail(tmp_path) == [file]


def test_a_worker_whose_files_are_gone_is_still_known_by_its_seal(tmp_path):
    for worker in ("0", "1"):
        a_writer(tmp_path, worker).close()
    list_trail(tmp_path, "1")[0].path.unlink()
    assert list_workers(tmp_path) == ["0", "1"]
    assert verify_directory(tmp_path, "1", {}).broken is not None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a\n",
        b"a\nb\n\nc\n",
        b"a\nb",
        b"b",
        b"a\rb\n" * 3,
        b"x" * 200_000 + b"\n" + b"y" * 70_000 + b"\nz\n",
        (b"l" * 99 + b"\n") * 3000 + b"torn",
        b"a\n" + b"t" * 200_000,
    ],
)
def test_backwards_is_forwards_turned_round_without_what_breaks_off(tmp_path, content):
    path = tmp_path / "f"
    path.write_bytes(content)
    whole = [line + b"\n" for line in content.split(b"\n")[:-1]]
    assert list(lines_backwards(path)) == whole[::-1]
    assert whole_size(path) == sum(map(len, whole))


def test_a_line_without_end_is_read_in_bounded_pieces(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"x" * 2**21 + b"\n")
    bound = audit_directory.MAX_LINE_BYTES + audit_directory._BLOCK_BYTES
    assert all(len(piece) <= bound + 1 for piece in lines_of(path))
    assert all(len(piece) <= bound + 1 for piece in lines_backwards(path))


def test_a_seal_that_is_not_there_is_none_and_one_that_is_not_one_is_refused(tmp_path):
    path = seal_path(tmp_path, "0")
    assert read_seal(path) is None
    for content in (b"", b"[]", b'{"n":1}', b"\xff", b'{"n":1,"n":2}'):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            read_seal(path)


def test_following_begins_behind_what_is_there_and_crosses_into_new_files(tmp_path):
    writer = a_writer(tmp_path, size=1)
    writer.commit([a_body("before")])
    follower = Follower(tmp_path)
    assert list(follower.new_lines()) == []
    writer.commit([a_body("a")])
    writer.commit([a_body("b"), a_body("c")])
    lines = [line for line in follower.new_lines() if b'"kind":"head"' not in line]
    assert names(lines) == ["a", "b", "c"]
    assert list(follower.new_lines()) == []
    writer.close()


def test_following_waits_for_the_end_of_a_line(tmp_path):
    writer = a_writer(tmp_path)
    follower = Follower(tmp_path)
    path = list_trail(tmp_path)[0].path
    with path.open("ab", buffering=0) as file:
        file.write(b"first\nsec")
        assert list(follower.new_lines()) == [b"first\n"]
        file.write(b"ond\n")
        assert list(follower.new_lines()) == [b"second\n"]
    writer._release()


def test_reading_neither_waits_for_the_writer_nor_holds_it_up(tmp_path):
    writer = a_writer(tmp_path)
    writer.commit([a_body(1)])  # holds its lock
    assert verify_directory(tmp_path, "0", {}).broken is None
    lines = lines_of(list_trail(tmp_path)[0].path)
    next(lines)
    writer.commit([a_body(2)])
    assert names(lines) == ["1", "2"]
    writer.close()


def test_a_line_that_is_just_being_written_is_not_called_torn(tmp_path, monkeypatch):
    writer = a_writer(tmp_path)
    writer.commit([a_body(1)])
    path = list_trail(tmp_path)[0].path
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    monkeypatch.setattr(audit_directory.time, "sleep", lambda _: path.write_bytes(whole))
    assert verify_directory(tmp_path, "0", {}).broken is None
    writer.close()


def test_a_torn_line_that_stays_torn_is_called_so(tmp_path, monkeypatch):
    writer = a_writer(tmp_path)
    writer.commit([a_body(1)])
    path = list_trail(tmp_path)[0].path
    path.write_bytes(path.read_bytes()[:-10])
    monkeypatch.setattr(audit_directory.time, "sleep", lambda _: None)
    assert verify_directory(tmp_path, "0", {}).broken.fault is Fault.TORN
    writer._release()


def test_a_torn_line_in_an_older_file_is_called_so_at_once(tmp_path, monkeypatch):
    writer = a_writer(tmp_path, size=1)
    writer.commit([a_body(1)])
    writer.close()
    path = list_trail(tmp_path)[0].path
    path.write_bytes(path.read_bytes()[:-10])
    monkeypatch.setattr(audit_directory.time, "sleep", lambda _: pytest.fail("waited"))
    broken = verify_directory(tmp_path, "0", {}).broken
    assert (broken.file, broken.fault) == (path.name, Fault.TORN)


def test_files_that_retention_deletes_meanwhile_are_looked_for_again(tmp_path, monkeypatch):
    writer = a_writer(tmp_path)
    writer.close()
    stale = TrailPath.of(tmp_path, "0", 0, date(2026, 1, 1))
    answers = [[stale]]
    listed = audit_directory.list_trail
    monkeypatch.setattr(
        audit_directory,
        "list_trail",
        lambda directory, worker: answers.pop() if answers else listed(directory, worker),
    )
    assert verify_directory(tmp_path, "0", {}).broken is None


def test_an_expected_hash_that_the_seal_contradicts_is_not_passed_over(tmp_path):
    writer = a_writer(tmp_path)
    writer.close()
    with pytest.raises(ValueError, match="seal"):
        verify_directory(tmp_path, "0", {1: "0" * 64})


def test_a_whole_trail_verifies_while_it_is_being_written_and_rotated(tmp_path):
    writer = a_writer(tmp_path, size=4000)
    ended = threading.Event()

    def work():
        for number in range(300):
            writer.commit([a_body(number)])
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    verdicts = [verify_directory(tmp_path, "0", {}).broken]
    while not ended.is_set():
        verdicts.append(verify_directory(tmp_path, "0", {}).broken)
    thread.join()
    writer.close()
    assert set(verdicts) == {None}
