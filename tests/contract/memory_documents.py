"""Documents in memory: the rules a second time, slowly, from their text.

For tests that need a store and do not care which. Runs under the same contract suite as the
real ones. `lose_memory()` is a flush; `away = True` is a store that cannot answer.
"""

import string
from datetime import UTC, datetime, timedelta

from gateway.domain.errors import StateUnavailableError
from gateway.ports import MAX_DOCUMENT_BYTES, Kept, Kind

PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "
MILLISECOND = timedelta(milliseconds=1)


def whole(moment):
    """To the millisecond, rounded down."""
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return moment - since % MILLISECOND


def require_place(kind, key):
    if kind not in list(Kind) or not 1 <= len(key) <= 200 or set(key) - set(PRINTABLE):
        raise ValueError("no such place")


class MemoryDocuments:
    def __init__(self):
        self.away = False
        self.changed = 0
        self.documents = {}  # (kind, key) -> Kept
        self.revisions = {}  # (kind, key) -> the last one ever

    def lose_memory(self):
        """It had documents and has none: so it says nothing any more."""
        self.away = True

    def _must_be_here(self):
        if self.away:
            raise StateUnavailableError("the memory store was told to be away")

    async def get(self, kind, key, now):
        require_place(kind, key)
        self._must_be_here()
        kept = self.documents.get((kind, key))
        if kept is None or (kept.expires is not None and kept.expires <= whole(now)):
            return None
        return kept

    async def put(self, kind, key, value, *, replaces, now, expires=None):
        standing = await self.get(kind, key, now)
        if len(value) > MAX_DOCUMENT_BYTES:
            raise ValueError("too large")
        if replaces != (None if standing is None else standing.revision):
            return None
        self.changed += 1
        revision = self.revisions.get((kind, key), 0) + 1
        self.revisions[kind, key] = revision
        until = None if expires is None else whole(expires)
        self.documents[kind, key] = Kept(value=value, revision=revision, expires=until)
        return self.documents[kind, key]

    async def remove(self, kind, key, *, replaces, now):
        standing = await self.get(kind, key, now)
        if standing is None or standing.revision != replaces:
            return False
        self.changed += 1
        self.revisions[kind, key] += 1
        del self.documents[kind, key]
        return True

    async def all(self, kind, now):
        self._must_be_here()
        found = {}
        for one, key in list(self.documents):
            kept = await self.get(one, key, now)
            if one == kind and kept is not None:
                found[key] = kept
        return found

    async def version(self):
        self._must_be_here()
        return self.changed

    async def check(self):
        self._must_be_here()

    async def close(self):
        self.away = True
