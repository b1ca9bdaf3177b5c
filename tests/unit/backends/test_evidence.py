"""A bundle of evidence: the same bytes each time, whole or not, and never a secret."""

import io
import json
import tarfile

import pytest

from gateway.backends.evidence import MANIFEST, NotPackedError, Part, pack, verify_evidence

ABOUT = {"made_at": "2026-11-21T12:00:00+00:00"}
SECRET = b"s3cret-of-the-gateway"


def parts(tmp_path, **more):
    file = tmp_path / "long.bin"
    file.write_bytes(bytes(range(256)) * 4096)
    found = {"policy/b.csv": b"p, role:owner\n", "policy/\u00e4.yaml": b"x: 1\n", "e.json": b""}
    return [
        *(Part(name=name, data=data) for name, data in (found | more).items()),
        Part(name="audit.bin", data=file, size=file.stat().st_size - 7),
    ]


def packed(tmp_path, name="one.tar", secrets=(SECRET,), **more):
    target = tmp_path / name
    return target, pack(target, parts(tmp_path, **more), ABOUT, secrets)


def test_the_same_parts_give_the_same_bytes_in_whatever_order(tmp_path):
    one, first = packed(tmp_path)
    other = tmp_path / "other.tar"
    second = pack(other, list(reversed(parts(tmp_path))), ABOUT, ())
    assert one.read_bytes() == other.read_bytes()
    assert first == second


def test_it_tells_nothing_of_the_machine_and_is_for_its_owner_alone(tmp_path):
    target, _ = packed(tmp_path)
    assert target.stat().st_mode & 0o777 == 0o600
    with tarfile.open(target) as tar:
        members = tar.getmembers()
        assert [m.name for m in members][-1] == MANIFEST
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in members} == {
            (0, 0, "", "", 0, 0o600)
        }


def test_it_is_whole_and_says_what_is_in_it(tmp_path):
    target, _ = packed(tmp_path)
    verdict = verify_evidence(target)
    assert (verdict.wrong, verdict.files) == ((), 4)
    assert verdict.about["made_at"] == ABOUT["made_at"]


def test_a_file_that_is_there_is_not_written_over_nor_followed(tmp_path):
    target = tmp_path / "one.tar"
    target.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotPackedError):
        pack(target, parts(tmp_path), ABOUT, ())
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("at", [0, 5, 2**18 - 3, 2**18, 400_000])
def test_a_secret_anywhere_ends_it_and_leaves_no_file(tmp_path, at):
    long = b"." * at + SECRET + b"." * 100
    target = tmp_path / "one.tar"
    with pytest.raises(NotPackedError) as caught:
        pack(target, [Part(name="x.txt", data=long)], ABOUT, (b"another-one", SECRET))
    assert not target.exists()
    assert SECRET.decode() not in str(caught.value)


def test_a_secret_in_the_manifest_ends_it_too(tmp_path):
    with pytest.raises(NotPackedError):
        pack(tmp_path / "one.tar", parts(tmp_path), {"note": SECRET.decode()}, (SECRET,))


def test_a_part_that_shrank_meanwhile_leaves_no_file(tmp_path):
    file = tmp_path / "short"
    file.write_bytes(b"12345")
    target = tmp_path / "one.tar"
    with pytest.raises(NotPackedError):
        pack(target, [Part(name="x", data=file, size=9)], ABOUT, ())
    assert not target.exists()


def rewritten(target, change):
    """The same tar with its members changed: a list of (TarInfo, bytes)."""
    with tarfile.open(target) as tar:
        members = [(m, tar.extractfile(m).read()) for m in tar.getmembers()]
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for member, data in change(members):
            member.size = len(data) if member.isreg() else 0
            tar.addfile(member, io.BytesIO(data))
    return verify_evidence(target).wrong


def replaced(name, data):
    return lambda members: [(m, data if m.name == name else d) for m, d in members]


def test_what_was_changed_is_named(tmp_path):
    target, _ = packed(tmp_path)
    assert rewritten(target, replaced("policy/b.csv", b"p, role:thief\n")) == (
        "`policy/b.csv` was changed",
    )


def test_what_was_taken_out_or_put_in_is_named(tmp_path):
    target, _ = packed(tmp_path)
    assert rewritten(target, lambda ms: ms[1:]) == ("`audit.bin` is missing",)
    extra = (tarfile.TarInfo("extra"), b"x")
    assert "`extra` is not in the manifest" in rewritten(target, lambda ms: [extra, *ms])
    assert "`extra` stands where no file belongs" in rewritten(target, lambda ms: [*ms[1:], extra])


def test_a_link_a_way_out_and_a_name_twice_are_wrong(tmp_path):
    for name, kind in (("x", tarfile.SYMTYPE), ("../x", tarfile.REGTYPE), ("/x", tarfile.REGTYPE)):
        target, _ = packed(tmp_path, f"{len(name)}-{kind[0]}.tar")
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "elsewhere"
        wrong = rewritten(target, lambda ms, m=member: [(m, b""), *ms])
        assert f"`{name}` is no plain file" in wrong
    target, _ = packed(tmp_path, "twice.tar")
    assert rewritten(target, lambda ms: [ms[0], *ms])


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"format":2,"files":{}}', b"[" * 10**6])
def test_without_a_manifest_that_can_be_read_nothing_is_whole(tmp_path, manifest):
    target, _ = packed(tmp_path)
    wrong = rewritten(target, replaced(MANIFEST, manifest))
    assert f"`{MANIFEST}` cannot be read" in wrong


@pytest.mark.parametrize("cut", [0, 100, 700, 5000])
def test_a_file_that_breaks_off_or_is_none_is_not_whole(tmp_path, cut):
    target, _ = packed(tmp_path)
    target.write_bytes(target.read_bytes()[:cut])
    assert verify_evidence(target).wrong


def test_a_line_of_the_trail_that_is_none_is_found_in_a_manifest_written_anew(tmp_path):
    target = tmp_path / "one.tar"
    pack(target, [Part(name="audit/trail-0-000001-2026-11-21.jsonl", data=b"{}\n")], {}, ())
    (wrong,) = verify_evidence(target).wrong
    assert "trail-0-000001-2026-11-21.jsonl` line 1" in wrong


def test_the_manifest_is_json_that_people_can_read(tmp_path):
    target, _ = packed(tmp_path)
    with tarfile.open(target) as tar:
        whole = json.load(tar.extractfile(MANIFEST))
    assert whole["files"]["policy/b.csv"]["bytes"] == 14
    assert whole["format"] == 1
