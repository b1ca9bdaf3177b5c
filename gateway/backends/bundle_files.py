"""The owner's files on disk: read them, and keep the last good bundle.

INVARIANT: `current` is always a whole bundle that loaded. A reload that fails changes
nothing but what it says.
"""

from pathlib import Path

from gateway.bundle import Bundle, SourceFile, Sources, build
from gateway.domain.finding import Finding, Place, PolicyError
from gateway.events import Event, emit
from gateway.ports import Clock, Meter
from gateway.settings import Settings
from gateway.texts.encoding import MAX_FILE_BYTES

MAX_FINDINGS_TOLD = 20  # in the log and on the status page; `check` prints them all
RULES, MODEL, HOURS, STAFF = "salon_rules.csv", "model.conf", "hours.yaml", "staff.yaml"


def read_owned(path: Path, hint: str = "") -> bytes:
    """The bytes of a file that an owner or ops wrote.

    Returns:
        One byte more than allowed at the most: `decode` then refuses it.

    Raises:
        PolicyError: it cannot be read, and `hint` says what to do.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        why = (error.strerror or "unreadable").lower()
        message = f"cannot be read: {why}" + (f"; {hint}" if hint else "")
        raise PolicyError([Finding(Place(str(path)), message)]) from error


def read_sources(settings: Settings, base: Path) -> Sources:
    """Read everything a bundle is built from.

    Args:
        settings: names the policy folder, the adapter, apps and networks.
        base: the folder that relative paths start from: that of gateway.yaml.

    Raises:
        PolicyError: a finding for each file that cannot be read.
    """
    folder = base / settings.policies
    paths = {
        "rules": folder / RULES,
        "model": folder / MODEL,
        "hours": folder / HOURS,
        "staff": folder / STAFF,
        "adapter": base / settings.upstream.adapter,
    }
    hint = "`salon-gateway init` writes a starter set; gateway.yaml names the folder"
    findings: list[Finding] = []
    files = {}
    for part, path in paths.items():
        try:
            files[part] = SourceFile(name=path.name, data=read_owned(path, hint))
        except PolicyError as error:
            findings += error.findings
    if findings:
        raise PolicyError(findings)
    return Sources(**files, apps=settings.apps, networks=settings.networks)


class LiveBundle:
    """The policy in force. Implements pipeline.BundleSource."""

    def __init__(self, settings: Settings, base: Path, *, clock: Clock, meter: Meter) -> None:
        """Load for the first time; there is no gateway without a good policy.

        Raises:
            PolicyError: every finding.
        """
        self._settings = settings
        self._base = base
        self._clock = clock
        self._meter = meter
        self._failure: PolicyError | None = None
        self._bundle = self._load()

    def current(self) -> Bundle:
        """The last good bundle."""
        return self._bundle

    @property
    def failure(self) -> PolicyError | None:
        """What keeps the files on disk from being the policy in force; None = nothing."""
        return self._failure

    def reload(self) -> bool:
        """Build the files on disk aside and swap them in, if they are good.

        Returns:
            Whether the files on disk are now the policy in force.
        """
        try:
            self._bundle = self._load()
        except Exception as error:  # noqa: BLE001  # a bug in a reader changes nothing either
            if not isinstance(error, PolicyError):
                emit(Event.INTERNAL_ERROR, error, part="policy")
                message = "a reader failed on these files; please report it"
                error = PolicyError([Finding(Place(self._settings.policies), message)])
            self._failure = error
            self._meter.policy_load_failed()
            findings = [str(finding) for finding in error.findings]
            emit(Event.POLICY_LOAD_FAILED, findings=findings[:MAX_FINDINGS_TOLD])
            return False
        self._failure = None
        return True

    def _load(self) -> Bundle:
        bundle = build(read_sources(self._settings, self._base))
        self._meter.policy_loaded(bundle.digest, self._clock.now())
        self._meter.calendars_missing(len(bundle.without_calendar))
        emit(Event.POLICY_LOADED, digest=bundle.digest)
        return bundle
