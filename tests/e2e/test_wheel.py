"""The package as somebody installs it: built, installed without a network, used far from here."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from gateway.tools.schema import NAMES
from tests.e2e.gateway_process import SECONDS, connect, fetch, send

ROOT = Path(__file__).parents[2]
# Nothing of the checkout, of this test's environment or of the user's may reach what is installed.
CLEAN = {
    key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "SALON_"))
}


def run(*words: str | Path, folder: Path, good: bool = True) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env=CLEAN,
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * SECONDS,
    )
    assert not good or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("dist")
    words = ("-m", "build", "--wheel", "--no-isolation", "--outdir", out, ROOT)
    run(sys.executable, *words, folder=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(tmp_path_factory, wheel):
    """The `bin` folder of an environment that has the wheel, and our dependencies by reference."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    offline = ("--no-deps", "--no-index", "--no-cache-dir", "--disable-pip-version-check")
    run(sys.executable, "-m", "pip", "--python", python, "install", *offline, wheel, folder=home)
    # A path in a .pth file joins sys.path; the .pth files in there (the checkout's) are not read.
    purelib = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=home
    ).stdout.strip()
    (Path(purelib) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return home / "bin"


@pytest.fixture
def started_here(installed, tmp_path):
    """An empty folder in which `salon-gateway init` has run."""
    run(installed / "salon-gateway", "init", folder=tmp_path)
    return tmp_path


def files_below(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts[-2:])
    }


def test_everything_that_owners_and_ops_need_travels_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("policies", "adapters", "dashboards", "ci"):
        wanted = {f"gateway/starter/{folder}/{name}" for name in files_below(ROOT / folder)}
        assert wanted
        assert wanted <= names
    for kind in ("*.j2", "*.css", "*.yaml"):
        for path in (ROOT / "gateway").rglob(kind):
            assert str(path.relative_to(ROOT)) in names
    assert {name.split("/")[0] for name in names} == {"gateway", "salon_gateway-0.1.0.dist-info"}


def test_the_gateway_is_the_wheels_and_not_the_checkouts(installed, tmp_path):
    code = "import gateway, gateway.cli.main; print(gateway.__file__)"
    there = run(installed / "python", "-c", code, folder=tmp_path).stdout.strip()
    assert Path(there).is_relative_to(installed.parent)
    version = run(installed / "salon-gateway", "--version", folder=tmp_path).stdout
    assert version == "salon-gateway 0.1.0\n"


def test_init_and_check_are_good_in_an_empty_folder(installed, started_here):
    done = run(installed / "salon-gateway", "check", folder=started_here)
    assert done.stdout.rpartition("good: ")[2].split(",")[0].endswith("rules")
    assert files_below(started_here) == {
        "gateway.yaml",
        "secrets/token-secret",
        *(f"schemas/{name}.schema.json" for name in NAMES),
        *(
            f"{name}/{file}"
            for name in ("policies", "adapters", "dashboards")
            for file in files_below(ROOT / name)
        ),
    }
    secret = started_here / "secrets" / "token-secret"
    assert secret.stat().st_mode & 0o777 == 0o600


def test_a_second_init_keeps_every_file_and_writes_what_is_missing(installed, started_here):
    rules = started_here / "policies" / "salon_rules.csv"
    rules.write_text("# mine\n", encoding="utf-8")
    (started_here / "policies" / "hours.yaml").unlink()
    before = {name: (started_here / name).read_bytes() for name in files_below(started_here)}
    said = run(installed / "salon-gateway", "init", folder=started_here).stdout
    after = {name: (started_here / name).read_bytes() for name in files_below(started_here)}
    assert after == before | {"policies/hours.yaml": after["policies/hours.yaml"]}
    assert [line.split()[1] for line in said.splitlines() if line.startswith("wrote")] == [
        "policies/hours.yaml"
    ]
    assert said.count("kept ") == len(before)


def test_the_installed_gateway_serves_its_own_pages(installed, started_here):
    words = [installed / "salon-gateway", "serve", "--port", "0", "--admin-port", "0"]
    child = subprocess.Popen(
        words,
        cwd=started_here,
        env=CLEAN,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = json.loads(child.stdout.readline())
        connection = connect(said["guarded"])
        page = send(connection, "GET", "/", {"Accept": "text/html", "Accept-Language": "uk"})
        connection.close()
        assert (page.status, page.header("content-language")) == (401, "uk")
        assert fetch(said["admin"], "/healthz").body == b"ok\n"
    finally:
        child.terminate()
        child.communicate(timeout=SECONDS)
    assert child.returncode == 0
