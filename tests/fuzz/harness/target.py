"""A request target is read as the slow reading of its rules reads it, or refused by both.

And what is accepted is sent as it came, and its plainest spelling means the same.
"""

from gateway.domain.errors import RequestError
from gateway.domain.http import CanonicalTarget, Inbound
from gateway.domain.reason import Reason
from gateway.mapping.guard import Guarded
from gateway.mapping.target import canonical, linked_target, wire_of
from tests.fuzz.refusals import require_reason
from tests.oracles.slow_target import read

MAX_BYTES = 256
SEEDS = (
    b"/",
    b"/api/clients/7",
    b"/api/clients/7/",
    b"/api/clients?q=%E7%BE%8E%E5%92%B2&page=2&sort=-name",
    b"/api/clients?filter[phone]=%2B81&ids[]=1&next=/a/b?c=d",
    b"/x/%EB%AF%BC%EC%A7%80/%D0%9E%D0%BA%D1%81?a+b=c+d",
    b"/a@b:c/~ann/!$'()*,=",
    "/caf%C3%A9/é".encode(),
    b"/..%2f..//a;b?_method=PUT",
)
# fmt: off
WORDS = (
    b";", b"\\", b"+", b'"', b"^", b"|", b"=", b"[", b"%", b"~", b":", b"@", b".", b" ",
    b"%2e", b"%2F", b"%5C", b"%25", b"%00", b"%41", b"%20", b"%2B", b"%3b", b"%23", b"%C0%AE",
    b"%EF%BC%8E", b"%EF%BC%8F", b"%E2%88%95", b"%CC%81", b"%E3%83%BB", b"%E1%85%9F",
    b"%EF%B8%8F", b"%F3%A0%84%80", b"%ED%A0%80", b":$", b"~1", b"_method", b"X-Http-Method",
    b"//", b"/./", b"/../", b"?", b"&", b"#", b"%E2%80%A8", b"%C2%85", b"%EF%BB%BF",
)
# fmt: on


def accept(target: str) -> CanonicalTarget | None:
    inbound = Inbound(
        method="GET", target=target, version="1.1", headers=(), peer="192.0.2.7", secure=True
    )
    try:
        return canonical(Guarded(inbound))
    except RequestError as error:
        require_reason(error, {Reason.AMBIGUOUS_TARGET})
        return None


def check(data: bytes) -> None:
    target = data.decode("utf-8", "surrogateescape")
    found = accept(target)
    assert (found and (found.segments, found.query, found.slash)) == read(target)
    if found is None:
        return
    assert found.wire == target
    assert linked_target(f"{target}#part") == found
    plain = wire_of(found.segments, found.query, slash=found.slash)
    again = accept(plain)
    assert again is not None
    assert (again.segments, again.query, again.slash) == (
        found.segments,
        found.query,
        found.slash,
    )
    assert again.wire == plain
