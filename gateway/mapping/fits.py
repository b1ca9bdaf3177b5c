"""One declared parameter and one value: is it of its form, and may this person ask that?

The same for a parameter of the query and a member of a body; only the words of a refusal
differ. What is asked is decided by the declaration alone, whatever the value: `email=` with
nothing behind it asks who has no address.

WHY A RECHECKED SEARCH DOES NOT TELL
The CRM looks in fields A (seen) and B (hidden). Of its answer only those records stay in which
each word of the text, NFKC and case-folded, occurs in A. Such a record is in the answer whether
or not B holds the words, as long as the CRM finds what it is asked for: word by word, in any of
its fields. So the answer says nothing of B. What a text language makes of a word does not help
either: `-090`, `phone:090`, `0*9`, `09%`, `"090"` and `OR` are words like others here, and a
record in which they do not stand as they are typed does not stay. White space is the one thing
that is in the text and in no word; a text of nothing else is refused, for the CRM may look for it.

What stays open:
- the CRM's own pages may have gaps: how many records of a page left tells how many matched in B;
- its order may follow how well B matched;
- a CRM that looks for a phrase, for words near each other or for one spelling of a letter tells
  where B holds what A holds in another order or spelling;
- somebody who may write `phone:090` or `^090` into A can search for it then: in a CRM where that
  does not find itself, but asks B, the answer tells. Such a box must not be `recheck`ed.
What stands beside the list leaves: a `next` page would tell how many the CRM found.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import assert_never

from gateway.domain.errors import RequestError
from gateway.domain.question import Condition, ExactMatch, Recheck
from gateway.domain.reason import Reason
from gateway.domain.resource import UNMAPPED
from gateway.mapping.parameters import Capped, Exact, FieldNamed, Named, Parameter, Plain, Searches
from gateway.mapping.routes import Route

MAX_RECHECKED_TEXT = 128  # characters, before NFKC makes up to 18 of one
MAX_RECHECKED_WORDS = 8
MAX_EXACT_TEXT = 40  # characters: 15 digits, each with a separator, and some to spare

# 9 digits: no CRM has more pages, and every language's integer holds them.
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
# ITU-T E.164: at most 15 digits. Fewer than 6 are no number of one person, but a search.
_FEWEST_DIGITS, _MOST_DIGITS = 6, 15
_SEPARATORS = frozenset("+-(). /")


@dataclass(frozen=True, slots=True)
class Asking:
    """Where something is asked, in the words of a refusal. Only what is declared is named.

    Attributes:
        what: `the parameter `q``.
        reason: of a value that does not fit.
    """

    what: str
    reason: Reason

    def invalid(self, how: str) -> RequestError:
        """The value does not fit."""
        return RequestError(self.reason, f"{self.what} {how}")

    def hidden(self) -> RequestError:
        """It asks about what this person may not see."""
        detail = f"{self.what} asks about a field that you may not see"
        return RequestError(Reason.HIDDEN_FIELD_ASKED, detail)


def secret_of(route: Route, hidden: frozenset[str]) -> frozenset[str]:
    """What may not be asked about.

    Undeclared members pass on a resource that is not sensitive, so they are no secret.
    """
    return hidden if route.resource.sensitive else hidden - {UNMAPPED}


def require_fit(
    parameter: Parameter, value: str, secret: frozenset[str], asking: Asking
) -> Condition | None:
    """Let a value pass, perhaps under a condition on each record of the answer.

    Args:
        parameter: as declared.
        value: decoded.
        secret: of `secret_of`.
        asking: where it stands.

    Raises:
        RequestError: `asking.reason` or HIDDEN_FIELD_ASKED.
    """
    match parameter:
        case Plain(one_of=words):
            if words is not None and value not in words:
                raise asking.invalid("does not take this value")
        case Capped(max=most):
            if not _NUMBER.fullmatch(value) or int(value) > most:
                raise asking.invalid(f"must be a whole number from 0 to {most}")
        case FieldNamed(members=members):
            # An empty value names no field: forms send it when nothing was chosen.
            for item in value.split(",") if value else ():
                fields = members.get(item.removeprefix("-"))
                if secret if fields is None else fields & secret:
                    raise asking.hidden()
        case Searches():
            if touches(parameter, secret):
                if not parameter.recheck:
                    raise asking.hidden()
                return _recheck(parameter, value, asking)
        case Named(fields=fields, value=inner):
            if fields & secret:
                raise asking.hidden()
            return require_fit(inner, value, secret, asking)
        case Exact(field=field):
            return ExactMatch(field=field, digits=_digits(value, asking))
        case _:
            assert_never(parameter)
    return None


def touches(searches: Searches, secret: frozenset[str]) -> bool:
    """Does a search look where this person may not?"""
    return bool(secret if searches.everything else searches.fields & secret)


def _recheck(searches: Searches, value: str, asking: Asking) -> Recheck:
    if len(value) > MAX_RECHECKED_TEXT:
        raise asking.invalid(f"takes at most {MAX_RECHECKED_TEXT} characters")
    words = tuple(unicodedata.normalize("NFKC", value).casefold().split())
    if len(words) > MAX_RECHECKED_WORDS:
        raise asking.invalid(f"takes at most {MAX_RECHECKED_WORDS} words")
    if value and not words:
        raise asking.invalid("holds nothing but blanks")
    return Recheck(words=words, fields=searches.fields, everything=searches.everything)


def _digits(value: str, asking: Asking) -> str:
    text = unicodedata.normalize("NFKC", value) if len(value) <= MAX_EXACT_TEXT else "-"
    # Digits of other scripts are none to NFKC, nor may they stand here.
    digits = "".join(char for char in text if char in "0123456789")
    strange = any(char not in _SEPARATORS for char in text if char not in "0123456789")
    if strange or not _FEWEST_DIGITS <= len(digits) <= _MOST_DIGITS:
        raise asking.invalid(
            f"must be one whole number of {_FEWEST_DIGITS} to {_MOST_DIGITS} digits"
        )
    return digits
