"""What can go wrong, by whose fault it is.

A denial is a value (`domain/decision.py`), not an exception. Everything below is raised
by a stage that cannot hand the next one its value, and becomes a refusal in `pipeline.py`.
Messages never hold a token, a phone number or a name of a client.
"""

from gateway.domain.reason import Cause, Reason
from gateway.domain.record import RecordNote


class GatewayError(Exception):
    """A request that cannot go on.

    Attributes:
        reason: the stable code, same string everywhere.
        detail: one sentence for the person who asked, in English, without secrets.
        cause: what exactly was wrong; goes to audit and metrics, not to the client.
        note: what was known of the one record that was judged; goes to audit only.
    """

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        cause: Cause | None = None,
        note: RecordNote | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail
        self.cause = cause
        self.note = note


class RequestError(GatewayError):
    """The client's fault: malformed, unidentified, not allowed to ask this way."""


class BudgetSpentError(RequestError):
    """They may, but not that often.

    Attributes:
        wait: seconds until the next one is free.
    """

    def __init__(self, wait: float) -> None:
        super().__init__(Reason.BUDGET_SPENT, "Your allowance for this is used up for now.")
        self.wait = wait


class UpstreamError(GatewayError):
    """The CRM's fault: away, slow, or answering something we cannot cut."""


class OperatorError(GatewayError):
    """Ours: state or audit storage away, or a bug."""


class StateUnavailableError(OperatorError):
    """The state store cannot answer. Unknown is refused, never guessed."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(Reason.STATE_UNAVAILABLE, detail)


class AuditUnavailableError(OperatorError):
    """The audit entry cannot be made durable. No audit entry, no answer."""

    def __init__(self, detail: str = "") -> None:
        super().__init__(Reason.AUDIT_UNAVAILABLE, detail)
