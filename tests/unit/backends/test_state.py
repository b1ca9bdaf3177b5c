"""`state.url`: three forms, no options, and no secret in any message."""

import pytest

from gateway.backends.redis_documents import RedisDocuments
from gateway.backends.redis_epochs import RedisEpochs
from gateway.backends.sqlite_documents import SqliteDocuments
from gateway.backends.sqlite_epochs import SqliteEpochs
from gateway.backends.state import open_documents, open_epochs, parse_redis


@pytest.mark.parametrize("url", ["sqlite:state/epochs.sqlite3", "sqlite:/var/lib/salon/e.db"])
def test_a_sqlite_url_names_a_path(url):
    store = open_epochs(url)
    assert isinstance(store, SqliteEpochs)
    assert repr(store) == f"SqliteEpochs({url.removeprefix('sqlite:')!r})"


def test_a_redis_url_says_where_and_how_to_enter():
    address = parse_redis("rediss://gate:p%40ss%2Fword@Redis.example:7000/3")
    assert (address.host, address.port, address.database) == ("redis.example", 7000, 3)
    assert (address.username, address.password, address.tls) == ("gate", "p@ss/word", True)


def test_a_bare_redis_url_has_the_usual_port_and_no_secret():
    address = parse_redis("redis://redis.example")
    assert (address.port, address.database) == (6379, 0)
    assert (address.username, address.password, address.tls) == (None, None, False)


def test_an_address_prints_without_its_secrets():
    url = "rediss://gate:sesame@[::1]:7000/3"
    address = parse_redis(url)
    assert str(address) == "rediss://[::1]:7000/3"
    assert repr(open_epochs(url)) == "RedisEpochs(rediss://[::1]:7000/3)"
    assert isinstance(open_epochs(url), RedisEpochs)
    assert "sesame" not in repr(address)
    assert "gate" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sqlite",
        "sqlite:",
        "sqlite::memory:",
        "sqlite:a\0b",
        "postgres://:sesame@db.example/0",
        "redis:///0",
        "redis://:sesame@redis.example:sesame/0",
        "redis://:sesame@redis.example:99999/0",
        "redis://:sesame@redis.example/zero",
        "redis://:sesame@redis.example/٣",
        "redis://:sesame@redis.example/0/1",
        "redis://:sesame@[::1/0",
        "rediss://:sesame@redis.example/0?ssl_cert_reqs=none",  # no switch to check less
        "rediss://:ses#ame@redis.example/0",
    ],
)
def test_anything_else_is_refused_without_repeating_it(url):
    with pytest.raises(ValueError) as caught:
        open_epochs(url)
    assert "sesame" not in str(caught.value)


def test_documents_stand_in_a_file_of_their_own_beside_the_epochs(tmp_path):
    for url in ("sqlite:state/epochs.sqlite3", f"sqlite:{tmp_path}/state/epochs.sqlite3"):
        store = open_documents(url, tmp_path)
        path = tmp_path / "state" / "epochs-documents.sqlite3"
        assert isinstance(store, SqliteDocuments)
        assert repr(store) == f"SqliteDocuments({str(path)!r})"


def test_documents_in_redis_print_without_a_secret(tmp_path):
    store = open_documents("rediss://gate:sesame@[::1]:7000/3", tmp_path)
    assert isinstance(store, RedisDocuments)
    assert repr(store) == "RedisDocuments(rediss://[::1]:7000/3)"


@pytest.mark.parametrize("url", ["", "sqlite:", "sqlite::memory:", "postgres://:sesame@db/0"])
def test_documents_of_anything_else_are_refused_without_repeating_it(tmp_path, url):
    with pytest.raises(ValueError) as caught:
        open_documents(url, tmp_path)
    assert "sesame" not in str(caught.value)
