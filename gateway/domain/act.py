"""What people do to the gateway itself, rather than to the CRM: the closed set of acts.

Each stands in the audit trail, with who did it and to whom. The same string everywhere.
"""

from enum import StrEnum


class Act(StrEnum):
    """What was done. Add, do not rename: saved audit queries name them."""

    SIGN_IN = "sign_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    ASK_CODE = "ask_code"  # the password was right; a second factor is still to come
    USE_RECOVERY_CODE = "use_recovery_code"
    ADD_SECOND_FACTOR = "add_second_factor"  # or another in place of the one before
    REMOVE_SECOND_FACTOR = "remove_second_factor"
    SIGN_OUT = "sign_out"
    SET_PASSWORD = "set_password"  # noqa: S105  # a name, not a secret
    REMOVE_ACCOUNT = "remove_account"  # they cannot sign in with a password any more
    LOG_OUT = "log_out"  # somebody else: a lost phone
    LOCK = "lock"
    UNLOCK = "unlock"
    OFFBOARD = "offboard"
    INCIDENT_START = "incident_start"  # everybody but the owners out
    INCIDENT_END = "incident_end"
    BREAK_GLASS_ASK = "break_glass_ask"  # one card, outside the window; its id is the grant's
    BREAK_GLASS_REVIEW = "break_glass_review"
    APPROVE_DEVICE = "approve_device"
    REFUSE_DEVICE = "refuse_device"
    RENAME_DEVICE = "rename_device"
    FORGET_DEVICE = "forget_device"
    REACTIVATE = "reactivate"  # somebody who was not seen for long
