"""Notices that the owner's files changed, and has the policy read again.

Directories are watched, not files: editors replace files by renaming, a ConfigMap swaps a link,
a `git checkout` rewrites many files, a folder may be taken away and come back. Several changes
in a short time are one reload. What the operating system tells is a hint to look, never more:
the bytes decide (touching a file does nothing), and every RECHECK_SECONDS they are looked at
without a hint, for file systems that tell nothing (NFS, some container mounts).

gateway.yaml is watched too, but only to say that a change of it waits for a restart.
"""

import asyncio
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path, PurePath

from watchfiles import awatch

from gateway.backends.bundle_files import LiveBundle
from gateway.backends.onethread import OneThread
from gateway.backends.policy_folder import SUFFIXES, identity_of, read_owned
from gateway.domain.finding import PolicyError
from gateway.events import Event, emit

QUIET_MS = 100  # files are read when nothing new has changed for as long as this
MOST_MS = 2_000  # or after this, however busy the folder is
RECHECK_SECONDS = 2.0
WAKE_MS = 500  # so soon after the directories changed the files are looked at once more
POLL_MS = 1_000  # where the operating system tells nothing at all
DISK_SECONDS = 10.0  # a directory that cannot be looked at in this time is on a dead disk
STOP_SECONDS = 2.0

Directories = dict[str, tuple[int, int] | None]


class PolicyWatch:
    """Keeps a LiveBundle in step with its files.

    Args:
        bundles: what is reloaded.
        settings_file: gateway.yaml, or whatever it is called here.
        force_polling: look for changes instead of being told; None = as the environment
            variable WATCHFILES_FORCE_POLLING says, else only if being told does not work.
    """

    def __init__(
        self, bundles: LiveBundle, settings_file: Path, *, force_polling: bool | None = None
    ) -> None:
        self._bundles = bundles
        self._settings_file = settings_file
        self._settings = _digest(settings_file)
        self._polling = force_polling
        self._thread = OneThread("policy-watch")
        self._stopped = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, in a task of its own."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="policy-watch")

    async def stop(self) -> None:
        """End it, within a few seconds also when a reload is under way."""
        self._stopped.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_SECONDS)
            self._task.cancel()  # it waits for a reload, or for a disk
            await asyncio.wait({self._task}, timeout=STOP_SECONDS)
        self._thread.stop()

    async def _run(self) -> None:
        """Watch until stopped. Whatever fails, the files are still looked at now and then."""
        while not self._stopped.is_set():
            try:
                await self._watch()
            except FileNotFoundError:
                await self._pause(QUIET_MS / 1000)  # a directory went at this very moment
            except Exception as error:  # noqa: BLE001  # no watch is no reason to stop
                emit(Event.POLICY_WATCH_FAILED, error)
                self._polling = True
                await self._pause(RECHECK_SECONDS)
                await self._look()

    async def _watch(self) -> None:
        """Look whenever there is a hint, until the directories are not those watched."""
        loop = asyncio.get_running_loop()
        watched = await self._directories()
        there = [name for name, identity in watched.items() if identity is not None]
        due = loop.time()  # what changed while nothing was watched shows at the first wake-up
        hints = awatch(
            *there,
            watch_filter=None,
            debounce=MOST_MS,
            step=QUIET_MS,
            stop_event=self._stopped,
            rust_timeout=WAKE_MS,
            yield_on_timeout=True,
            force_polling=self._polling,
            poll_delay_ms=POLL_MS,
            recursive=False,
        )
        async with aclosing(hints):
            async for changes in hints:
                paths = {path for _, path in changes}
                if loop.time() < due and not any(self._matters(path, watched) for path in paths):
                    continue  # the folder of gateway.yaml is also that of logs
                await self._look()
                due = loop.time() + RECHECK_SECONDS
                if paths & watched.keys() or await self._directories() != watched:
                    return

    async def _directories(self) -> Directories:
        return await self._thread.run(self._wanted, DISK_SECONDS)

    def _wanted(self) -> Directories:
        """Also the folder of gateway.yaml, if it is there."""
        wanted = self._bundles.folder.directories()
        folder = self._settings_file.parent
        return {str(folder): identity_of(folder), **wanted}

    def _matters(self, path: str, watched: Directories) -> bool:
        """Can this be a file of an owner, the link of a ConfigMap, or a directory?"""
        name = PurePath(path).name
        return (
            path in watched
            or name.startswith("..")
            or PurePath(name).suffix in {"", *SUFFIXES}
            or name == self._settings_file.name
        )

    async def _look(self) -> None:
        """Have the files read; the bytes decide whether anything happens."""
        await self._bundles.reload(if_changed=True)
        now = await self._thread.run(lambda: _digest(self._settings_file), DISK_SECONDS)
        if now != self._settings:
            self._settings = now
            emit(Event.SETTINGS_CHANGED, file=self._settings_file.name)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not longer than the gateway runs."""
        try:
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        except TimeoutError:
            return


def _digest(file: Path) -> str:
    """Of its bytes, or of what keeps it from being read."""
    try:
        data = read_owned(file)
    except PolicyError as error:
        data = str(error).encode()
    return sha256(data).hexdigest()
