"""`state.url`: its forms, no options, and no secret in any message."""

import pytest
import trustme

from gateway.backends.redis_address import Server, TlsFiles, Topology
from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.redis_epochs import RedisEpochs
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.backends.state import StateHome, open_documents, open_epochs, parse_redis


def test_a_sqlite_url_names_a_path_beside_gateway_yaml(tmp_path):
    for path in ("state/epochs.sqlite3", f"{tmp_path}/state/epochs.sqlite3"):
        store = open_epochs(StateHome(url=f"sqlite:{path}", base=tmp_path))
        assert isinstance(store, SqliteEpochs)
        assert repr(store) == f"SqliteEpochs({str(tmp_path / 'state/epochs.sqlite3')!r})"


def test_a_redis_url_says_where_and_how_to_enter():
    address = parse_redis("rediss://gate:p%40ss%2Fword@Redis.example:7000/3")
    assert address.servers == (Server(host="redis.example", port=7000),)
    assert (address.topology, address.database) == (Topology.SINGLE, 3)
    assert (address.username, address.password, address.tls) == ("gate", "p@ss/word", True)


def test_a_bare_redis_url_has_the_usual_port_and_no_secret():
    address = parse_redis("redis://redis.example")
    assert address.servers == (Server(host="redis.example", port=6379),)
    assert address.database == 0
    assert (address.username, address.password, address.tls) == (None, None, False)


def test_a_url_of_sentinels_lists_them_and_names_the_master():
    address = parse_redis("rediss+sentinel://gate:pw@a.example,[::1]:7001,b.example:7002/salon/2")
    assert [str(one) for one in address.servers] == [
        "a.example:26379",
        "[::1]:7001",
        "b.example:7002",
    ]
    assert (address.topology, address.tls) == (Topology.SENTINEL, True)
    assert (address.service, address.database) == ("salon", 2)
    assert str(address) == "rediss+sentinel://a.example:26379,[::1]:7001,b.example:7002/salon/2"


def test_a_url_of_a_cluster_lists_some_of_its_nodes():
    address = parse_redis("redis+cluster://:pw@a.example:7000,b.example")
    assert (address.topology, address.database) == (Topology.CLUSTER, 0)
    assert [one.port for one in address.servers] == [7000, 6379]


def test_an_address_prints_without_its_secrets(tmp_path):
    for rest in ("://gate:sesame@[::1]:7000/3", "+cluster://gate:sesame@[::1]:7000"):
        url = f"rediss{rest}"
        home = StateHome(url=url, base=tmp_path)
        shown = [parse_redis(url), open_epochs(home), open_documents(home)]
        assert isinstance(shown[1], RedisEpochs)
        assert isinstance(shown[2], RedisDocuments)
        for one in (*shown, home):
            assert "sesame" not in f"{one!r}"
            assert "gate:" not in f"{one!r}"
    assert repr(shown[1]) == "RedisEpochs(rediss+cluster://[::1]:7000/0)"


REFUSED = [
    "",
    "sqlite",
    "sqlite:",
    "sqlite::memory:",
    "sqlite:a\0b",
    "postgres://:sesame@db.example/0",
    "redis:///0",
    "redis://:sesame@redis.example:sesame/0",
    "redis://:sesame@redis.example:99999/0",
    "redis://:sesame@redis.example:0/0",
    "redis://:sesame@redis.example/zero",
    "redis://:sesame@redis.example/٣",
    "redis://:sesame@redis.example/0/1",
    "redis://:sesame@[::1/0",
    "redis://:sesame@redis.example/0\n",
    "rediss://:sesame@redis.example/0?ssl_cert_reqs=none",  # no switch to check less
    "rediss://:ses#ame@redis.example/0",
    "rediss://:sesame@one.example@two.example/0",
    "redis://:sesame@a.example,b.example/0",  # one of which?
    "redis+sentinel://:sesame@a.example,b.example",  # whose master?
    "redis+sentinel://:sesame@a.example,b.example/",
    "redis+sentinel://:sesame@a.example,b.example/a b/0",
    "redis+sentinel://:sesame@a.example,b.example/salon/x",
    "redis+sentinel://:sesame@a.example,a.example/salon/0",  # would have two voices
    "redis+sentinel://:sesame@a.example,,b.example/salon/0",
    "redis+cluster://:sesame@a.example/1",  # a cluster has one database
    "redis+tls://:sesame@a.example/1",
    "redis+cluster://:sesame@" + ",".join(f"h{n}.example" for n in range(17)),
]


@pytest.mark.parametrize("url", REFUSED)
def test_anything_else_is_refused_without_repeating_it(url, tmp_path):
    for opened in (open_epochs, open_documents):
        with pytest.raises(ValueError) as caught:
            opened(StateHome(url=url, base=tmp_path))
        assert "sesame" not in str(caught.value)


def test_documents_stand_in_a_file_of_their_own_beside_the_epochs(tmp_path):
    for url in ("sqlite:state/epochs.sqlite3", f"sqlite:{tmp_path}/state/epochs.sqlite3"):
        store = open_documents(StateHome(url=url, base=tmp_path))
        path = tmp_path / "state" / "epochs-documents.sqlite3"
        assert isinstance(store, SqliteDocuments)
        assert repr(store) == f"SqliteDocuments({str(path)!r})"


def test_files_for_tls_that_cannot_be_used_are_found_before_anything_is_asked(tmp_path):
    good, bad = tmp_path / "ca.pem", tmp_path / "bad.pem"
    trustme.CA().cert_pem.write_to_path(str(good))
    bad.write_text("no certificate", encoding="utf-8")
    url = "rediss://redis.example"
    open_epochs(StateHome(url=url, base=tmp_path, files=TlsFiles(authorities=good)))
    for files in (
        TlsFiles(authorities=bad),
        TlsFiles(authorities=tmp_path / "none.pem"),
        TlsFiles(certificate=good, key=bad),
    ):
        with pytest.raises(ValueError, match="`ca_file`, `client_certificate` or `client_key`"):
            open_epochs(StateHome(url=url, base=tmp_path, files=files))
