"""What people do to the gateway itself, rather than to the CRM: the closed set of acts.

Each stands in the audit trail, with who did it and to whom. The same string everywhere.
"""

from enum import StrEnum


class Act(StrEnum):
    """What was done. Add, do not rename: saved audit queries name them."""

    SIGN_IN = "sign_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGN_OUT = "sign_out"
    SET_PASSWORD = "set_password"  # noqa: S105  # a name, not a secret
    REMOVE_ACCOUNT = "remove_account"  # they cannot sign in with a password any more
    LOG_OUT = "log_out"  # somebody else: a lost phone
    LOCK = "lock"
    UNLOCK = "unlock"
    OFFBOARD = "offboard"
