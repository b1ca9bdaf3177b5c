"""Refusal → `application/problem+json` (RFC 9457), for programs.

INVARIANT: two 401s differ in nothing but the request id. Whoever probes tokens must not
learn which part of one was wrong, so `detail`, `by` and `cause` are not looked at there.
"""

import json
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gateway.domain.decision import Refusal
from gateway.domain.reason import STATUS, Reason
from gateway.proxy.negotiate import Language
from gateway.proxy.wording import WORDING

CONTENT_TYPE = "application/problem+json"


def problem(refusal: Refusal, break_glass: str | None = None) -> bytes:
    """The problem document of a refusal, in English.

    `break_glass` is where the card can be asked for; None = it cannot.
    """
    words = WORDING.family(refusal.reason, Language.EN)
    told = refusal.detail if refusal.reason is not Reason.UNAUTHENTICATED else ""
    document: dict[str, Any] = {
        "type": f"urn:salon-gateway:reason:{refusal.reason}",
        "title": words.title,
        "status": STATUS[refusal.reason],
        "detail": told or words.why,
        "instance": f"urn:uuid:{refusal.request_id}",
        "reason": str(refusal.reason),
    }
    if refusal.reason is Reason.INCIDENT and refusal.detail:
        document |= {"detail": words.why, "contact": refusal.detail}  # the owner's own line
    if refusal.reason is Reason.RULE_DENIES:
        document["rules"] = [str(rule) for rule in refusal.by]
    if refusal.reason is Reason.OUTSIDE_HOURS and refusal.opens_at is not None:
        document["opens_at"] = refusal.opens_at.astimezone(zone_of(refusal)).isoformat()
    if break_glass is not None:
        document["break_glass"] = break_glass
    return json.dumps(document, ensure_ascii=False).encode()


def zone_of(refusal: Refusal) -> ZoneInfo:
    """The salon's zone; UTC, which then is also what we print, if the name is not known."""
    try:
        return ZoneInfo(refusal.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")
