"""The policy in force, and how another takes its place.

read -> build aside -> run the checks -> swap one reference

INVARIANT: `current` is always a whole bundle that loaded and passed every check. A reload that
fails changes nothing but what it says. A changed file, SIGHUP and the admin port all come through
`reload`; reading, building and checking happen on one thread beside the event loop, one reload at
a time, and all who ask while one is under way get one more between them.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gateway.backends.onethread import BusyError, OneThread
from gateway.backends.policy_folder import PolicyFolder, Reading
from gateway.build import build
from gateway.bundle import Bundle
from gateway.domain.finding import Finding, Place, PolicyError, Severity
from gateway.domain.time import Instant
from gateway.events import Event, emit
from gateway.ports import Clock, LoadFault, Meter
from gateway.settings import Settings

MAX_FINDINGS_TOLD = 20  # in the log and on the status page; `check` prints them all
LOAD_SECONDS = 60.0  # 10,000 rules take one; longer is a disk that does not answer
# A request hops between the loop and the state's thread several times; while a policy is built
# each hop waits so long for the interpreter. Python's 5 ms add up to a refusal: the state has a
# quarter of a second. Measured with eight clients: p99 56 ms at 5 ms, 10 ms at this.
HOP_SECONDS = 0.0001

Check = Callable[[Bundle, Reading], Sequence[Finding]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """The files on disk are not the policy in force.

    Attributes:
        since: since when; later failures do not change it.
        why: what keeps the files from being in force now.
        findings: what is wrong, all of it.
    """

    since: Instant
    why: LoadFault
    findings: tuple[Finding, ...]

    def told(self, most: int = MAX_FINDINGS_TOLD) -> list[str]:
        """The first findings as text."""
        return [str(finding) for finding in self.findings[:most]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """What came of one try. `bundle` and `warnings`, or `why` and `findings`."""

    fingerprint: str | None
    bundle: Bundle | None = None
    warnings: tuple[Finding, ...] = ()
    why: LoadFault = LoadFault.INTERNAL
    findings: tuple[Finding, ...] = ()
    error: Exception | None = None


class LiveBundle:
    """The policy in force. Implements pipeline.BundleSource.

    Attributes:
        folder: the files it comes from.
    """

    def __init__(
        self,
        settings: Settings,
        base: Path,
        *,
        clock: Clock,
        meter: Meter,
        checks: Sequence[Check] = (),
    ) -> None:
        """Load for the first time; there is no gateway without a good policy.

        Args:
            settings: names the files, as gateway.yaml stood at the start.
            base: the folder that relative paths start from.
            clock: says when a policy came into force.
            meter: is told of every load.
            checks: asked of each bundle before it comes into force, with the files that it was
                built from, on the loading thread; a
                finding of severity error keeps it out.

        Raises:
            PolicyError: every finding.
        """
        self.folder = PolicyFolder(settings, base)
        self._named = settings.policies
        self._clock = clock
        self._meter = meter
        self._checks = tuple(checks)
        self._thread = OneThread("policy")
        self._loading = asyncio.Lock()
        self._forced = False
        self._stale: Stale | None = None
        made = self._make(None)
        if made is None or made.bundle is None:
            assert made is not None  # noqa: S101  # only a known fingerprint gives None
            self._say_internal(made)
            raise PolicyError(made.findings)
        self._enforce(made, made.bundle)

    def current(self) -> Bundle:
        """The last good bundle."""
        return self._bundle

    @property
    def loaded_at(self) -> Instant:
        """Since when the policy in force is."""
        return self._loaded_at

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """What is worth a look in the policy in force, by its readers and by the checks."""
        return (*self._bundle.warnings, *self._warnings)

    @property
    def stale(self) -> Stale | None:
        """What keeps the files on disk from being the policy in force; None = nothing."""
        return self._stale

    async def reload(self, *, if_changed: bool = False) -> bool:
        """Build the files on disk aside and swap them in, if they are good. Never raises.

        Args:
            if_changed: leave it if these bytes were tried last, with whatever outcome.

        Returns:
            Whether the files on disk are now the policy in force.
        """
        self._forced |= not if_changed
        async with self._loading:
            # Whoever waited here with others finds the files as the first of them left them.
            forced, self._forced = self._forced, False
            await self._try(None if forced else self._tried)
        return self._stale is None

    def close(self) -> None:
        """End the loading thread; what it is at comes into force no more."""
        self._thread.stop()

    async def _try(self, known: str | None) -> None:
        try:
            made = await self._thread.run(partial(self._make_aside, known), LOAD_SECONDS)
        except BusyError:
            message = f"the files could not be read and built within {LOAD_SECONDS:g} s"
            made = self._failed(None, LoadFault.UNREADABLE, message)
        if made is None:
            return  # nothing new
        if made.bundle is not None:
            self._enforce(made, made.bundle)
        else:
            self._keep(made)

    def _make_aside(self, known: str | None) -> _Made | None:
        """As `_make`, on the loading thread: whoever serves people comes first."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(HOP_SECONDS)
        try:
            return self._make(known)
        finally:
            sys.setswitchinterval(before)

    def _make(self, known: str | None) -> _Made | None:
        """Read, build and check, on whatever thread; touches nothing that is in force.

        Returns:
            None if the files are those of the fingerprint `known`.
        """
        fingerprint = None
        try:
            reading = self.folder.read()
            if known is not None and reading.fingerprint == known:
                return None
            fingerprint = reading.fingerprint
            if reading.sources is None:
                why, findings = LoadFault.UNREADABLE, reading.findings
                return _Made(fingerprint=fingerprint, why=why, findings=findings)
            try:
                bundle = build(reading.sources)
            except PolicyError as error:
                why, findings = LoadFault.FINDINGS, error.findings
                return _Made(fingerprint=fingerprint, why=why, findings=findings)
            return self._checked(reading, bundle)
        except Exception as error:  # noqa: BLE001  # a bug in a reader changes nothing either
            message = "a reader failed on these files; please report it"
            return self._failed(fingerprint, LoadFault.INTERNAL, message, error)

    def _checked(self, reading: Reading, bundle: Bundle) -> _Made:
        """Ask every check; all their findings count, not only those of the first that fails."""
        found: list[Finding] = []
        for check in self._checks:
            try:
                found += check(bundle, reading)
            except PolicyError as error:
                found += error.findings
        if any(finding.severity is Severity.ERROR for finding in found):
            wrong = tuple(sorted(f for f in found if f.severity is Severity.ERROR))
            return _Made(fingerprint=reading.fingerprint, why=LoadFault.CASES, findings=wrong)
        return _Made(fingerprint=reading.fingerprint, bundle=bundle, warnings=tuple(sorted(found)))

    def _failed(
        self,
        fingerprint: str | None,
        why: LoadFault,
        message: str,
        error: Exception | None = None,
    ) -> _Made:
        finding = Finding(Place(self._named), message)
        return _Made(fingerprint=fingerprint, why=why, findings=(finding,), error=error)

    def _enforce(self, made: _Made, bundle: Bundle) -> None:
        """The swap: one assignment, on the event loop's thread, between two requests' steps."""
        now = self._clock.now()
        self._bundle = bundle
        self._tried, self._warnings, self._loaded_at = made.fingerprint, made.warnings, now
        self._stale = None
        self._meter.policy_loaded(bundle.digest, now)
        self._meter.calendars_missing(len(bundle.without_calendar))
        self._meter.observing(bundle.observed_until)
        emit(Event.POLICY_LOADED, digest=bundle.digest)

    def _keep(self, made: _Made) -> None:
        """Say why the last good bundle stays."""
        self._say_internal(made)
        since = self._clock.now() if self._stale is None else self._stale.since
        self._tried = made.fingerprint
        self._stale = Stale(since=since, why=made.why, findings=made.findings)
        self._meter.policy_load_failed(made.why, since)
        emit(Event.POLICY_LOAD_FAILED, reason=made.why, findings=self._stale.told())

    @staticmethod
    def _say_internal(made: _Made) -> None:
        if made.error is not None:
            emit(Event.INTERNAL_ERROR, made.error, part="policy")
