"""Files of a revision, as they were committed, from a real repository."""

import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from gateway.backends import revisions
from gateway.backends.revisions import RevisionError, resolve, top_of

HERE = PurePosixPath()


def git(folder, *words):
    named = ("-c", "user.name=Hana", "-c", "user.email=hana@salon.example")
    done = subprocess.run(
        ["git", "-C", str(folder), *named, *words], check=True, capture_output=True
    )
    return done.stdout.decode()


@pytest.fixture
def shop(tmp_path):
    """A repository with two commits; the working files are a third state."""
    folder = tmp_path / "shop"
    (folder / "policies" / "cases").mkdir(parents=True)
    git(tmp_path, "init", "--quiet", "--initial-branch=main", "shop")
    for text in ("one", "two"):
        (folder / "policies" / "staff.yaml").write_text(text, encoding="utf-8")
        (folder / "policies" / "cases" / "a.yaml").write_text(text, encoding="utf-8")
        (folder / "policies" / "photo.jpg").write_text(text, encoding="utf-8")
        (folder / "gateway.yaml").write_text(text, encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", text)
    (folder / "policies" / "staff.yaml").write_text("three", encoding="utf-8")
    return folder


def test_files_are_those_of_the_commit_and_not_the_working_ones(shop):
    for typed, text in (("HEAD~1", b"one"), ("HEAD", b"two"), ("main", b"two")):
        revision = resolve(shop / "policies", typed)
        assert revision.file(PurePosixPath("policies/staff.yaml")) == text
        assert revision.file(PurePosixPath("gateway.yaml")) == text
        found = revision.files(PurePosixPath("policies"), {".yaml"})
        assert found == {"staff.yaml": text}
    assert resolve(shop, "HEAD").files(HERE, {".yaml"}) == {"gateway.yaml": b"two"}


def test_what_is_not_there_is_none_and_a_folder_is_no_file(shop):
    revision = resolve(shop, "HEAD")
    assert revision.file(PurePosixPath("nothing.yaml")) is None
    assert revision.file(PurePosixPath("policies")) is None
    assert revision.files(PurePosixPath("nothing"), {".yaml"}) is None
    assert revision.file(PurePosixPath("*.yaml")) is None


def test_export_ignore_and_line_endings_leave_no_file_out_and_change_none(shop):
    (shop / ".gitattributes").write_text("*.yaml export-ignore text eol=crlf\n", encoding="utf-8")
    (shop / "policies" / "hours.yaml").write_bytes(b"a: b\n")
    git(shop, "add", ".")
    git(shop, "commit", "--quiet", "--message", "attributes")
    found = resolve(shop, "HEAD").files(PurePosixPath("policies"), {".yaml"})
    assert found == {"staff.yaml": b"three", "hours.yaml": b"a: b\n"}


def test_a_link_is_refused_rather_than_left_out(shop):
    (shop / "policies" / "hours.yaml").symlink_to("/etc/hostname")
    git(shop, "add", ".")
    git(shop, "commit", "--quiet", "--message", "a link")
    with pytest.raises(RevisionError, match=r"`policies/hours.yaml` is a link in `HEAD`"):
        resolve(shop, "HEAD").files(PurePosixPath("policies"), {".yaml"})


@pytest.mark.parametrize(
    "typed",
    ["nosuch", "", "--help", "-n", "HEAD:policies", "HEAD HEAD", "--output=/tmp/x", "a\nb"],
)
def test_what_is_no_revision_is_said_so_and_never_an_option(shop, typed):
    with pytest.raises(RevisionError, match="no folder and no revision"):
        resolve(shop, typed)


def test_no_repository_is_said_so(tmp_path):
    with pytest.raises(RevisionError, match="is in no git repository"):
        top_of(tmp_path)


def test_without_git_it_says_what_to_do(shop, monkeypatch):
    monkeypatch.setattr(revisions.shutil, "which", lambda _: None)
    with pytest.raises(RevisionError, match="git is not installed; name two folders"):
        resolve(shop, "HEAD")


def test_inside_a_hook_of_another_repository_the_folders_own_is_asked(shop, tmp_path, monkeypatch):
    other = tmp_path / "other"
    git(tmp_path, "init", "--quiet", "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert resolve(shop, "HEAD").top == shop.resolve()


def test_git_is_there_for_these_tests():
    assert Path(shutil.which("git") or "").name == "git"
