"""Every bound of the guarded port, in one place."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PortLimits:
    """Every bound of the guarded port. Sizes in bytes, times in seconds.

    Attributes:
        max_line_bytes: the request target. nginx's and aiohttp's default.
        max_field_bytes: one header, name and value: an 8 KB token, or a browser's cookies.
        max_fields: header lines. Browsers send 20 to 30.
        max_head_bytes: all headers together.
        max_chunk_overhead_bytes: by how much what stands between the pieces of a chunked body
            may exceed the pieces themselves; a trailer counts too.
        max_body_bytes: of a body that is streamed through; whole bodies have the reader's cap.
        idle_seconds: between requests, and for the whole of a request head: aiohttp has one
            timer for both, and bytes that drip in do not restart it.
        body_seconds: for the whole of a request body that is read as a whole. One that is
            streamed may keep us waiting as long as this at a time, and longer never.
        min_bytes_per_second: what a streamed body, and a client that takes an answer, must come
            to besides.
        write_seconds: for the client to take so much of an answer, once the buffer is full; and
            for the last of it, once the connection is to end.
        linger_seconds: how long unread bytes are thrown away after an answer, so that closing
            does not reset the connection under it.
        max_connections: open at once. With TLS a connection counts once its handshake is
            done; until then `handshake_seconds` bounds it.
        max_connections_per_peer: the same for one address. A salon's phones often share one,
            and so do all clients of a balancer in front: then set it as high as the total.
    """

    max_line_bytes: int = 8190
    max_field_bytes: int = 16_380
    max_fields: int = 100
    max_head_bytes: int = 65_536
    max_chunk_overhead_bytes: int = 16_384
    max_body_bytes: int = 64 * 2**20
    idle_seconds: float = 30.0
    body_seconds: float = 60.0
    min_bytes_per_second: int = 1024
    write_seconds: float = 30.0
    linger_seconds: float = 2.0
    handshake_seconds: float = 10.0
    max_connections: int = 10_000
    max_connections_per_peer: int = 4096

    def server_options(self) -> dict[str, Any]:
        """What aiohttp's RequestHandler wants to be told."""
        return {
            "max_line_size": self.max_line_bytes,
            "max_field_size": self.max_field_bytes,
            "max_headers": self.max_fields,
            "keepalive_timeout": self.idle_seconds,
            "lingering_time": self.linger_seconds,
            # It would unpack request bodies while `Content-Encoding` still says gzip.
            "auto_decompress": False,
            "access_log": None,
        }
