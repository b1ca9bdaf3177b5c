"""Why a request was answered as it was: the closed set of reasons and causes.

The same string stands in the audit entry, the metrics, the problem+json body and
docs/reasons.md (a test holds them together). Renaming a member breaks dashboards and
saved audit queries: add, do not rename.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why. Exactly one per answered request."""

    # Answered with the CRM's answer.
    RULE_ALLOWS = "rule_allows"
    PASSED = "passed"  # a `pass` route: identity and standing, no rules
    PUBLIC = "public"  # a `public` route: nobody in particular
    WOULD_DENY = "would_deny"  # observed, not enforced: the rules would have refused it
    BREAK_GLASS = "break_glass"  # outside the window, under a grant for this one card

    # The wire: the request is not in the one form we accept.
    MALFORMED_REQUEST = "malformed_request"
    AMBIGUOUS_TARGET = "ambiguous_target"
    METHOD_REFUSED = "method_refused"
    WEBSOCKET_ONLY = "websocket_only"  # the route is a WebSocket; this request opens none
    HOST_REFUSED = "host_refused"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TIMEOUT = "body_timeout"

    # Who is it?
    UNAUTHENTICATED = "unauthenticated"  # one answer for every `Cause`
    ORIGIN_REFUSED = "origin_refused"
    TOO_MANY_TRIES = "too_many_tries"  # at a password; not yet again from there
    PASSWORD_TEMPORARY = "password_temporary"  # noqa: S105  # a name, not a secret
    PASSWORD_WEAK = "password_weak"  # noqa: S105  # likewise
    STATE_UNAVAILABLE = "state_unavailable"
    NOT_ON_ROSTER = "not_on_roster"
    HAS_LEFT = "has_left"
    LOCKED = "locked"  # by somebody, until somebody unlocks it
    DEVICE_WAITS = "device_waits"  # new, until somebody approves it
    DEVICE_REFUSED = "device_refused"  # by somebody
    IDLE = "idle"  # not seen for too long, until somebody says otherwise
    INCIDENT = "incident"  # a lockdown: nobody but the owners passes

    # May they?
    UNMAPPED = "unmapped"
    RULE_DENIES = "rule_denies"
    NO_RULE_ALLOWS = "no_rule_allows"
    OUTSIDE_HOURS = "outside_hours"
    DEVICE_NOT_APPROVED = "device_not_approved"
    BREAK_GLASS_REFUSED = "break_glass_refused"  # one is open, or waits to be reviewed
    BUDGET_SPENT = "budget_spent"  # allowed, but so many times an hour only
    NO_SUCH_RECORD = "no_such_record"  # one answer for every record that may not be seen
    NO_LOOKUP = "no_lookup"  # it depends on the record, and nothing says how to look it up
    LOOKUP_FAILED = "lookup_failed"  # the CRM showed another record, or none that can be read

    # Does the question or the write touch what they may not see or change?
    UNKNOWN_PARAMETER = "unknown_parameter"
    PARAMETER_INVALID = "parameter_invalid"
    HIDDEN_FIELD_ASKED = "hidden_field_asked"
    CONTENT_TYPE_REFUSED = "content_type_refused"
    BODY_INVALID = "body_invalid"
    FIELD_NOT_WRITABLE = "field_not_writable"
    OVERWRITES_HIDDEN = "overwrites_hidden"

    # The CRM.
    UPSTREAM_UNREACHABLE = "upstream_unreachable"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_INVALID = "upstream_invalid"
    UPSTREAM_REDIRECT = "upstream_redirect"
    ANSWER_NOT_CUT = "answer_not_cut"
    ANSWER_TOO_LARGE = "answer_too_large"
    APPLIED_NOT_SHOWN = "applied_not_shown"
    LOGIN_NOT_LEARNED = "login_not_learned"  # a credential came back, but not whose it is

    # Us.
    AUDIT_UNAVAILABLE = "audit_unavailable"
    INTERNAL_ERROR = "internal_error"


class Cause(StrEnum):
    """What exactly was wrong, where telling it would tell too much.

    Never told to the client: every wrong credential gets the same 401, every record that
    may not be seen the same 404. It stands in the audit entry, and those of credentials in
    `salon_gateway_unauthenticated_total`.
    """

    NO_CREDENTIAL = "no_credential"
    TWO_CREDENTIALS = "two_credentials"
    TOKEN_MALFORMED = "token_malformed"  # noqa: S105  # a name, not a secret
    ALGORITHM_REFUSED = "algorithm_refused"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    CLAIM_INVALID = "claim_invalid"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    EPOCH_STALE = "epoch_stale"  # logged out: the token's epoch is behind the current one
    SESSION_UNKNOWN = "session_unknown"  # the state store does not know this person
    WRONG_PASSWORD = "wrong_password"  # noqa: S105  # a name, not a secret
    WRONG_CODE = "wrong_code"  # the password was right, the second factor was not
    PROVIDER_REFUSED = "provider_refused"  # or it could not be asked: no sign-in there
    NO_ACCOUNT = "no_account"  # somebody tried to sign in with a name that nobody has

    # Behind one `no_such_record`:
    RECORD_MISSING = "record_missing"  # the CRM has no such record
    RECORD_REFUSED = "record_refused"  # it has, but the record's facts or its salon refuse

    # Behind a `has_left`:
    OFFBOARDED = "offboarded"  # seen out by an act, whatever the roster says


# Of somebody who is known: no credential was refused for them.
TRAIL_CAUSES = frozenset({Cause.RECORD_MISSING, Cause.RECORD_REFUSED, Cause.OFFBOARDED})

# The one place where reasons become HTTP statuses (RFC 9110 section 15).
# A reason that stands for the CRM's own answer has no status of its own.
STATUS: dict[Reason, int] = {
    Reason.MALFORMED_REQUEST: 400,
    Reason.AMBIGUOUS_TARGET: 400,
    Reason.METHOD_REFUSED: 405,
    Reason.WEBSOCKET_ONLY: 426,
    Reason.HOST_REFUSED: 421,
    Reason.BODY_TOO_LARGE: 413,
    Reason.BODY_TIMEOUT: 408,
    Reason.UNAUTHENTICATED: 401,
    Reason.ORIGIN_REFUSED: 403,
    Reason.TOO_MANY_TRIES: 429,  # RFC 6585 4
    Reason.PASSWORD_TEMPORARY: 403,
    Reason.PASSWORD_WEAK: 422,  # RFC 9110 15.5.21: well understood, and not good enough
    Reason.STATE_UNAVAILABLE: 503,
    Reason.NOT_ON_ROSTER: 403,
    Reason.HAS_LEFT: 403,
    Reason.LOCKED: 403,
    Reason.DEVICE_WAITS: 403,
    Reason.DEVICE_REFUSED: 403,
    Reason.IDLE: 403,
    # RFC 9110 15.5.4, not 503: we can and will not, owners pass, and nobody knows for how long.
    Reason.INCIDENT: 403,
    Reason.UNMAPPED: 404,
    Reason.RULE_DENIES: 403,
    Reason.NO_RULE_ALLOWS: 403,
    Reason.OUTSIDE_HOURS: 403,
    Reason.DEVICE_NOT_APPROVED: 403,
    Reason.BREAK_GLASS_REFUSED: 409,  # RFC 9110 15.5.10: as things stand; a review changes it
    Reason.BUDGET_SPENT: 429,  # RFC 6585 4
    Reason.NO_SUCH_RECORD: 404,
    Reason.NO_LOOKUP: 403,
    Reason.LOOKUP_FAILED: 502,
    Reason.UNKNOWN_PARAMETER: 403,
    Reason.PARAMETER_INVALID: 400,
    Reason.HIDDEN_FIELD_ASKED: 403,
    Reason.CONTENT_TYPE_REFUSED: 415,
    Reason.BODY_INVALID: 400,
    Reason.FIELD_NOT_WRITABLE: 403,
    Reason.OVERWRITES_HIDDEN: 403,
    Reason.UPSTREAM_UNREACHABLE: 502,
    Reason.UPSTREAM_TIMEOUT: 504,
    Reason.UPSTREAM_INVALID: 502,
    Reason.UPSTREAM_REDIRECT: 502,
    Reason.ANSWER_NOT_CUT: 502,
    Reason.ANSWER_TOO_LARGE: 502,
    # The write WAS applied: 502, never a plain refusal that invites a retry.
    Reason.APPLIED_NOT_SHOWN: 502,
    Reason.LOGIN_NOT_LEARNED: 502,
    Reason.AUDIT_UNAVAILABLE: 503,
    Reason.INTERNAL_ERROR: 500,
}

ALLOWING = frozenset(
    {Reason.RULE_ALLOWS, Reason.PASSED, Reason.PUBLIC, Reason.WOULD_DENY, Reason.BREAK_GLASS}
)
