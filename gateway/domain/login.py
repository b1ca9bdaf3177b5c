"""How a CRM's own login speaks, as its adapter says it: words between mapping and identity.

Three kinds of steps. A sign-in answers with a credential and says whose it is; a refresh takes
one credential and answers with another of the same person; a sign-out ends one. Between them
people present the credential in one declared form and no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from gateway.domain.fieldpath import FieldPath
from gateway.domain.http import CanonicalTarget

ROOT = FieldPath(())


class Place(StrEnum):
    """Where in a request or an answer something stands."""

    COOKIE = "cookie"
    HEADER = "header"
    BODY = "body"  # a member of the JSON body; without a path the body itself, as text
    FORM = "form"  # a field of a form (`application/x-www-form-urlencoded`)
    TOKEN = "token"  # noqa: S105  # a claim of the token that was issued, where it is a JWT


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One such place.

    Attributes:
        name: of the cookie, in its case; of the header, in lower case; of the form's field.
        scheme: what stands before the value in the header (`Bearer`); "" = nothing does.
        path: the member of the body, or the claim.
    """

    place: Place
    name: str = ""
    scheme: str = ""
    path: FieldPath = ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Passing:
    """What may pass between client and CRM besides what always may.

    Attributes:
        cookies: names of cookies, to the CRM and (`Set-Cookie`) back.
        headers: lower-case names of headers, to the CRM.
        withheld: of those that carry a credential, which by their names alone might pass; they
            do so only where they stand in `headers`.
        readable: the answer will be read, so no content coding is asked for.
    """

    cookies: frozenset[str] = frozenset()
    headers: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    readable: bool = False


NOTHING_MORE = Passing()


class StaffKey(StrEnum):
    """By which of its names the login calls a person of the roster."""

    ID = "id"
    CRM_ID = "crm_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """What the gateway asks the CRM with a fresh credential, to learn whose it is."""

    method: str
    target: CanonicalTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Clue:
    """What a request must say to be this step, where several have one address."""

    source: Source
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuing:
    """How an answer hands out credentials.

    Attributes:
        access: where the credential stands.
        refresh: where a refresh token stands; None = there is none.
        expires: where the answer says how long: seconds from now, but `token:exp` is RFC 7519's.
        hours, refresh_hours: no longer than this; None = as long as the answer says.
        success: the statuses of a success; empty = any 2xx.
    """

    access: Source
    refresh: Source | None = None
    expires: Source | None = None
    hours: int | None = None
    refresh_hours: int | None = None
    success: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """The CRM's login.

    Attributes:
        template: the route, as its `match` is written.
        staff: where the person stands: in the answer, or in that to `who`.
        who: asked with the fresh credential; None = the answer itself names the person.
        unless: members of the answer that a failed sign-in has.
        device: lower-case name of the request's header that names the device; None = none does.
        continues: the session cookie that the client has by then goes on to the CRM.
    """

    template: str
    issues: Issuing
    staff: Source
    who: Who | None = None
    by: StaffKey = StaffKey.CRM_ID
    unless: tuple[FieldPath, ...] = ()
    device: str | None = None
    continues: bool = False
    when: Clue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """A fresh credential for an earlier one, which stands in the request at `presents`."""

    template: str
    presents: Source
    issues: Issuing
    when: Clue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOut:
    """The end of a session. `presents`: a refresh token that the request may name, too."""

    template: str
    presents: Source | None = None
    when: Clue | None = None


Step = SignIn | Refresh | SignOut


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A CRM's login.

    Attributes:
        credential: the one form in which requests present it: a cookie or a header.
        renews: any answer may hand out the cookie anew; it is the same session.
        steps: route's template → what it may be.
        presented: what passes with a request that was identified by the credential.
        unpresented: what passes with one of nobody: no credential, under whatever name.
        back: names of the cookies that any answer to such a request may set.
        cookies: names of all that carry a credential, refresh tokens included.
        by_cookie: browsers attach some credential by themselves.
        begins_before: some sign-in needs a cookie that another `public` route has set.
    """

    credential: Source
    steps: Mapping[str, tuple[Step, ...]]
    renews: bool = False
    presented: Passing = field(init=False)
    unpresented: Passing = field(init=False)
    back: frozenset[str] = field(init=False)
    cookies: frozenset[str] = field(init=False)
    by_cookie: bool = field(init=False)
    begins_before: bool = field(init=False)

    def __post_init__(self) -> None:
        steps = [step for several in self.steps.values() for step in several]
        carried = [source for step in steps for source in carried_by(step)]
        every = passing_of(self.credential, *carried)
        object.__setattr__(self, "unpresented", Passing(withheld=every.headers))
        object.__setattr__(self, "cookies", every.cookies)
        passing = self.passing(self.credential)
        object.__setattr__(self, "presented", passing)
        object.__setattr__(self, "back", passing.cookies if self.renews else frozenset())
        object.__setattr__(self, "by_cookie", bool(every.cookies))
        before = any(isinstance(step, SignIn) and step.continues for step in steps)
        object.__setattr__(self, "begins_before", before)

    def passing(self, *sources: Source | None, readable: bool = False) -> Passing:
        """What passes where just these of its credentials may."""
        found = passing_of(*sources)
        withheld = self.unpresented.withheld
        return replace(found, withheld=withheld, readable=readable)


def carried_by(step: Step) -> tuple[Source, ...]:
    """Where a step presents or hands out credentials."""
    found: list[Source | None] = []
    if isinstance(step, Refresh | SignOut):
        found.append(step.presents)
    if isinstance(step, SignIn | Refresh):
        found += [step.issues.access, step.issues.refresh]
    return tuple(source for source in found if source is not None)


def passing_of(*sources: Source | None) -> Passing:
    """What must pass, so that the CRM finds what stands at these places."""
    found = [source for source in sources if source is not None]
    return Passing(
        cookies=frozenset(s.name for s in found if s.place is Place.COOKIE),
        headers=frozenset(s.name for s in found if s.place is Place.HEADER),
    )
