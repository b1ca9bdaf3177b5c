"""How long to wait before the next guess at a password: nobody locks anybody else out.

A try comes from one of two kinds of source.

*Known*: a device that signed in to this account before; it shows a cookie that only we can
make. It has a count of its own, a document for each (person, device):
  K1  after fewer than FREE_TRIES wrong passwords in a row it need not wait;
  K2  after n of them the next try waits FIRST_WAIT * 2^(n - FREE_TRIES), KNOWN_MOST at most,
      since the last;
  K3  a right password, or FORGET without a try, and it begins anew; so does a count of the
      future, more than SKEW ahead: the clock was wrong then.

*Stranger*: everything else. The names that strangers type fall into BUCKETS buckets, names of
nobody like names of people, so the memory is bounded and a wait tells nothing about who there
is. A bucket is one document:
  S1  each network (IPv4 /24, IPv6 /48) has a count in it, by K1 to K3, with STRANGER_MOST;
  S2  it has MAX_NETWORKS at most; the one whose last try is longest ago makes room;
  S3  all strangers of a bucket together have BURST tries, and one more each EVERY: this bounds
      whoever has many networks. It slows strangers down, nothing else.

A try counts as wrong before it is checked, so that many at once are not one; a right password
takes that back.

THEOREMS (tests/properties/test_attempts.py, against tests/oracles/slow_attempts.py; and
tests/properties/test_accounts.py): what strangers and other devices do never changes what a
known device waits; no wait is longer than its bound and SKEW, whatever the clock did.

House rules: pure; `now` in milliseconds since 1970, waits in milliseconds.
"""

from hashlib import blake2b
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from gateway.domain.errors import StateUnavailableError

MINUTE = 60_000
HOUR = 60 * MINUTE
FREE_TRIES = 5
FIRST_WAIT = 15_000
KNOWN_MOST = 15 * MINUTE
STRANGER_MOST = HOUR
FORGET = 24 * HOUR
BUCKETS = 1024
MAX_NETWORKS = 64
BURST = 20
EVERY = MINUTE
SKEW = 5 * MINUTE  # clocks of two gateways differ by less

_LAST = 253_370_764_800_000
UNKNOWN_NETWORK = "-"  # one network more: whoever comes from where we cannot tell


class Tries(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Wrong passwords in a row from one source, and when the last was."""

    failures: int
    last: int

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 <= self.last <= _LAST:
            raise ValueError("tries are counted from 1, between 1970 and 9999")


class Strangers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One bucket.

    Attributes:
        paid_until: S3 as one instant: each try moves it EVERY on, from now at least.
        networks: S1.
    """

    paid_until: int
    networks: dict[str, Tries]

    def __post_init__(self) -> None:
        if not 0 <= self.paid_until <= _LAST or len(self.networks) > MAX_NETWORKS:
            raise ValueError("a bucket has an instant, and so many networks")


T = TypeVar("T", Tries, Strangers)
NOBODY_YET = Strangers(paid_until=0, networks={})


def network_of(peer: str) -> str:
    """The network that an address counts as: `192.0.2.0/24`, `2001:db8:1::/48`."""
    try:
        address = ip_address(peer)
    except ValueError:
        return UNKNOWN_NETWORK
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return UNKNOWN_NETWORK
        address = address.ipv4_mapped or address
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))


def bucket_of(name: str) -> str:
    """The bucket of a name that somebody typed, whoever has it, if anybody."""
    number = int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass")).digest()[:8])
    return f"strangers/{number % BUCKETS}"


def wait_of_known(before: Tries | None, now: int) -> int:
    """How long a known device waits; 0 = it may try now."""
    return _wait(before, now, KNOWN_MOST)


def tried(before: Tries | None, now: int) -> Tries:
    """One more try, taken as wrong."""
    if before is None or _is_forgotten(before, now):
        return Tries(failures=1, last=now)
    return Tries(failures=before.failures + 1, last=now)


def wait_of_stranger(before: Strangers, network: str, now: int) -> int:
    """How long this network waits with names of this bucket; 0 = it may try now."""
    own = _wait(before.networks.get(network), now, STRANGER_MOST)
    return max(own, _paid_until(before, now) - now - (BURST - 1) * EVERY)


def stranger_tried(before: Strangers, network: str, now: int) -> Strangers:
    """One more try of a network that need not wait, taken as wrong."""
    kept = {
        name: tries
        for name, tries in before.networks.items()
        if name != network and not _is_forgotten(tries, now)
    }
    if len(kept) >= MAX_NETWORKS:
        del kept[min(kept, key=lambda name: (kept[name].last, name))]
    own = tried(before.networks.get(network), now)
    return Strangers(paid_until=_paid_until(before, now) + EVERY, networks={**kept, network: own})


def stranger_was_right(before: Strangers, network: str) -> Strangers:
    """The password was right: the network begins anew, and its try is given back."""
    others = {name: tries for name, tries in before.networks.items() if name != network}
    return replace(before, paid_until=max(0, before.paid_until - EVERY), networks=others)


def _paid_until(before: Strangers, now: int) -> int:
    """S3, from now on at least; what lies too far ahead was written by a wrong clock."""
    paid = before.paid_until
    return now if paid > now + BURST * EVERY + SKEW else max(paid, now)


def gone_at(now: int) -> int:
    """When nobody needs a document any more that was written now."""
    return now + FORGET


def _wait(before: Tries | None, now: int, most: int) -> int:
    if before is None or before.failures < FREE_TRIES or _is_forgotten(before, now):
        return 0
    # 20 doublings are beyond every bound: no power of thousands of tries is ever worked out.
    due = min(FIRST_WAIT << min(before.failures - FREE_TRIES, 20), most)
    return max(0, before.last + due - now)


def _is_forgotten(tries: Tries, now: int) -> bool:
    return not now - FORGET < tries.last <= now + SKEW


# -- as documents -------------------------------------------------------------------------


def render(kept: Tries | Strangers) -> bytes:
    """The one form in which either is kept."""
    return _ENCODER.encode(kept)


def parse_tries(data: bytes) -> Tries:
    """Read it back. Raises StateUnavailableError: it is not what `render` writes."""
    return _parsed(_TRIES, data)


def parse_strangers(data: bytes) -> Strangers:
    """Read it back. Raises StateUnavailableError: it is not what `render` writes."""
    return _parsed(_STRANGERS, data)


def _parsed(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    try:
        kept = decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StateUnavailableError("a count of tries in the state cannot be read") from None
    if _ENCODER.encode(kept) != data:
        raise StateUnavailableError("a count of tries in the state is in another form")
    return kept


_ENCODER = msgspec.json.Encoder(order="deterministic")
_TRIES = msgspec.json.Decoder(Tries)
_STRANGERS = msgspec.json.Decoder(Strangers)
