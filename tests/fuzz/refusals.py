"""What a bad input may end in: a refusal for a reason that belongs there, or findings."""

from collections.abc import Collection

from gateway.domain.errors import GatewayError
from gateway.domain.finding import PolicyError
from gateway.domain.reason import Reason


def require_reason(error: GatewayError, reasons: Collection[Reason]) -> None:
    """It was refused for one of these."""
    assert error.reason in reasons, error.reason


def require_findings(error: PolicyError, file: str) -> None:
    """There is a finding, and each says in which file."""
    assert error.findings
    assert all(found.place.file == file for found in error.findings)
