"""A lockdown of the whole program: several workers, the command line, what the metrics say."""

import json
import time

import pytest

from tests.e2e.gateway_process import SECONDS, started, write_folder
from tests.e2e.raw_crm import json_answer, raw_crm

TARGET = "/api/clients/7"
CARD = b'{"id": 7, "name": "Aoi", "phone": "+1-207-555-0107", "visits": 3}'


@pytest.fixture(scope="module")
def salon(tmp_path_factory):
    with raw_crm() as crm:
        crm.answers = {TARGET: json_answer(CARD)}
        folder = tmp_path_factory.mktemp("salon")
        write_folder(folder, crm.url, workers=3, incident={"contact": "call Hana"})
        with started(folder) as running:
            yield running


def said(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def everywhere(salon, token):
    """What a dozen connections get: each worker answers some of them."""
    return {salon.ask("GET", TARGET, token=token).verdict for _ in range(12)}


def test_from_a_start_to_an_end_over_every_worker(salon):
    mei, owner = salon.token("mei"), salon.token("hana")
    assert everywhere(salon, mei) == everywhere(salon, owner) == {(200, None)}

    said(salon.cli("incident", "start", "--reason", "a lost laptop"))
    assert everywhere(salon, mei) == {(403, "incident")}
    assert everywhere(salon, owner) == {(401, "unauthenticated")}
    refused = salon.ask("GET", TARGET, token=mei)
    assert refused.data["contact"] == "call Hana"
    assert refused.header("retry-after") is None
    page = salon.ask("GET", TARGET, token=mei, headers={"Accept": "text/html"})
    assert "call Hana" in page.text
    assert everywhere(salon, salon.token("hana")) == {(200, None)}  # signed in anew
    during = salon.token("mei")
    assert everywhere(salon, during) == {(403, "incident")}
    assert salon.metric("salon_gateway_incident") == 1

    said(salon.cli("incident", "end"))
    assert everywhere(salon, mei) == {(401, "unauthenticated")}
    assert everywhere(salon, salon.token("mei")) == {(200, None)}
    deadline = time.monotonic() + SECONDS
    while salon.metric("salon_gateway_incident"):
        assert time.monotonic() < deadline
    acts = [entry["act"] for entry in salon.acts()]
    assert acts == ["incident_start", "incident_end"]


def test_what_is_exported_while_it_runs_is_whole_and_holds_every_worker_s_chain(salon, tmp_path):
    salon.ask("GET", TARGET, "mei")
    target = tmp_path / "evidence.tar"
    told = json.loads(said(salon.cli("--output", "json", "incident", "export", str(target))))
    said(salon.cli("incident", "verify", str(target), "--hash", told["sha256"]))
    secret = (salon.folder / "secrets" / "token-secret").read_bytes().strip()
    assert secret not in target.read_bytes()
