"""`login:` of an adapter → the CRM's login, with everything wrong in it as findings.

Its addresses are `public` routes: who asks them is nobody yet. What is not declared here hands
out credentials that the gateway does not know, and who shows one of those is nobody.
"""

from collections.abc import Iterator, Sequence

from gateway.domain.fieldpath import FieldPath
from gateway.domain.finding import Finding, did_you_mean
from gateway.domain.http import REDIRECTS, SAFE_METHODS
from gateway.domain.login import (
    Clue,
    Issuing,
    Login,
    Place,
    Refresh,
    SignIn,
    SignOut,
    Source,
    StaffKey,
    Step,
    Who,
)
from gateway.mapping.pattern import Pattern, Slot, parse_pattern
from gateway.mapping.read_places import CARRIES, Complain, read_place, require_carrier
from gateway.mapping.routes import Route, RouteKind
from gateway.mapping.shapes import (
    IssuingShape,
    LoginShape,
    RefreshShape,
    SignInShape,
    SignOutShape,
)
from gateway.mapping.target import own_target
from gateway.texts.yamltext import Document, Key

Declared = tuple[Pattern, Route]
Placed = tuple[tuple[Key, ...], Step]  # where it stands in the file, and what it says

_ISSUES = (*CARRIES, Place.BODY)
_SENDS = (*_ISSUES, Place.FORM)
_TELLS = (Place.BODY, Place.TOKEN)


def read_login(
    document: Document, shape: LoginShape, declared: Sequence[Declared], findings: list[Finding]
) -> Login | None:
    """Read how the CRM's login speaks, or append what is wrong with it and return None.

    Args:
        document: the adapter's file.
        shape: its `login`, right in form.
        declared: the routes that were read.
        findings: where everything wrong is appended.
    """
    before = len(findings)

    def complain(message: str, *path: Key) -> None:
        findings.append(document.finding(message, "login", *path))

    credential = read_place(shape.credential, CARRIES, complain, "credential")
    if credential is not None:
        require_carrier(credential, complain, "credential")
    if shape.renews and credential is not None and credential.place is not Place.COOKIE:
        complain("only a cookie can be handed out anew by any answer; remove `renews`", "renews")
    if not shape.sign_in:
        complain("nobody could sign in; name at least one address", "sign_in")
    if credential is None:
        return None
    reader = _Reader(document, credential, declared, complain)
    steps = [*reader.sign_ins(shape), *reader.refreshes(shape), *reader.sign_outs(shape)]
    _require_pairs(shape, complain)
    _require_told_apart(steps, complain)
    if len(findings) > before:
        return None
    by_route: dict[str, tuple[Step, ...]] = {}
    for _, step in steps:
        by_route[step.template] = (*by_route.get(step.template, ()), step)
    return Login(credential=credential, renews=shape.renews, steps=by_route)


class _Reader:
    """Reads the steps one by one; what is wrong with one is said, and the rest is read on."""

    def __init__(
        self,
        document: Document,
        credential: Source,
        declared: Sequence[Declared],
        complain: Complain,
    ) -> None:
        self._document = document
        self._credential = credential
        self._declared = {pattern.text: (pattern, route) for pattern, route in declared}
        self._complain = complain

    def sign_ins(self, shape: LoginShape) -> Iterator[Placed]:
        for at, one in enumerate(shape.sign_in):
            here = ("sign_in", at)
            self._require_route(one.match, here, changing=True)
            issues = self._issuing(one, here)
            who = self._who(one, here)
            places = (Place.BODY,) if one.who is not None else _TELLS
            staff = self._source(one.staff, places, *here, "staff")
            device = self._device(one, here)
            unless = tuple(
                path
                for index, text in enumerate(one.unless)
                if (path := self._path(text, *here, "unless", index)) is not None
            )
            if one.continues and self._credential.place is not Place.COOKIE:
                self._complain(
                    "only a session cookie is there before the login; remove `continues`",
                    *here,
                    "continues",
                )
            elif one.continues and one.who is None:
                self._complain(
                    "whether a session that goes on is somebody's already, only the CRM knows; "
                    "name the address that tells it at `who`, like `GET /api/me`",
                    *here,
                    "continues",
                )
            when = self._clue(one.when, here)
            if issues is not None and staff is not None:
                yield (
                    here,
                    SignIn(
                        template=one.match,
                        issues=issues,
                        staff=staff,
                        who=who,
                        by=StaffKey(one.by),
                        unless=unless,
                        device=device,
                        continues=one.continues,
                        when=when,
                    ),
                )

    def refreshes(self, shape: LoginShape) -> Iterator[Placed]:
        for at, one in enumerate(shape.refresh):
            here = ("refresh", at)
            self._require_route(one.match, here, changing=True)
            issues = self._issuing(one, here)
            presents = self._presented(one, here)
            when = self._clue(one.when, here)
            if issues is not None and presents is not None:
                step = Refresh(template=one.match, presents=presents, issues=issues, when=when)
                yield here, step

    def sign_outs(self, shape: LoginShape) -> Iterator[Placed]:
        for at, one in enumerate(shape.sign_out):
            here = ("sign_out", at)
            self._require_route(one.match, here, changing=False)
            presents = None if one.presents is None else self._presented(one, here)
            when = self._clue(one.when, here)
            yield here, SignOut(template=one.match, presents=presents, when=when)

    # -- parts of a step ------------------------------------------------------------------

    def _require_route(self, typed: str, here: tuple[Key, ...], *, changing: bool) -> None:
        found = self._declared.get(typed)
        if found is None:
            routes = self._document.data.get("routes")
            if not any(isinstance(r, dict) and r.get("match") == typed for r in routes or ()):
                known = [text for text, (_, r) in self._declared.items() if _is_public(r)]
                self._complain(
                    f"no route is written `{typed}`; declare it under `routes` with "
                    f"`public: true`, or: {did_you_mean(typed, known)}",
                    *here,
                    "match",
                )
            return
        pattern, route = found
        if not _is_public(route):
            self._complain(
                f"`{typed}` must be a `public` route: who asks it is nobody yet", *here, "match"
            )
        if pattern.rest or any(isinstance(step, Slot) for step in pattern.steps):
            self._complain(
                f"`{typed}` must be one address, without `{{name}}` and `**`", *here, "match"
            )
        if route.websocket or (changing and pattern.method in SAFE_METHODS):
            self._complain(
                f"`{typed}` only reads; a credential is handed out for a `POST`", *here, "match"
            )

    def _issuing(self, one: IssuingShape, here: tuple[Key, ...]) -> Issuing | None:
        access: Source | None = self._credential
        if one.issues is not None:
            access = self._source(one.issues, _ISSUES, *here, "issues")
            cookies = {s.name for s in (access, self._credential) if s and s.place is Place.COOKIE}
            if len(cookies) > 1:
                self._complain(
                    f"`{one.issues}` is another cookie than `credential` names; browsers send it "
                    "back under its own name",
                    *here,
                    "issues",
                )
        refresh: Source | None = None
        if one.issues_refresh is not None:
            refresh = self._source(one.issues_refresh, _ISSUES, *here, "issues_refresh")
            if refresh is not None and refresh in (access, self._credential):
                self._complain(
                    f"`{one.issues_refresh}` is where the credential itself stands; the refresh "
                    "token must stand elsewhere",
                    *here,
                    "issues_refresh",
                )
        expires: Source | None = None
        if one.expires is not None:
            expires = self._source(one.expires, _TELLS, *here, "expires")
        for at, status in enumerate(one.success):
            if not (200 <= status <= 299 or status in REDIRECTS):
                self._complain(
                    f"`{status}` is no success; write 200 to 299, or a redirect like `302`",
                    *here,
                    "success",
                    at,
                )
        if access is None:
            return None
        return Issuing(
            access=access,
            refresh=refresh,
            expires=expires,
            hours=one.hours,
            refresh_hours=one.refresh_hours,
            success=frozenset(one.success),
        )

    def _presented(self, one: RefreshShape | SignOutShape, here: tuple[Key, ...]) -> Source | None:
        source = self._source(one.presents or "", _SENDS, *here, "presents")
        if source == self._credential:
            self._complain(
                f"`{one.presents}` is the credential itself; name where the refresh token stands",
                *here,
                "presents",
            )
        return source

    def _who(self, one: SignInShape, here: tuple[Key, ...]) -> Who | None:
        if one.who is None:
            return None
        try:
            pattern = parse_pattern(one.who)
        except ValueError as error:
            self._complain(str(error), *here, "who")
            return None
        slots = [step for step in pattern.steps if isinstance(step, Slot)]
        if pattern.rest or slots or pattern.method not in {"GET", "POST"}:
            self._complain(
                f"`{one.who}` must be `GET` or `POST` and one address that tells who is signed in",
                *here,
                "who",
            )
            return None
        steps = tuple(step for step in pattern.steps if isinstance(step, str))
        return Who(method=pattern.method, target=own_target(steps, slash=pattern.slash))

    def _device(self, one: SignInShape, here: tuple[Key, ...]) -> str | None:
        if one.device is None:
            return None
        source = self._source(one.device, (Place.HEADER,), *here, "device")
        if source is None:
            return None
        if source.scheme or source == self._credential or source.name == "authorization":
            self._complain(
                f"`{one.device}` must be a header of its own, like `header:X-Device-Id`",
                *here,
                "device",
            )
        return source.name

    def _clue(self, typed: str | None, here: tuple[Key, ...]) -> Clue | None:
        if typed is None:
            return None
        where, middle, word = typed.partition(" is ")
        if not middle or not word or " " in word:
            self._complain(f"`{typed}` must be like `form:grant_type is password`", *here, "when")
            return None
        source = self._source(where, (Place.BODY, Place.FORM), *here, "when")
        return None if source is None else Clue(source=source, word=word)

    def _source(self, text: str, places: tuple[Place, ...], *path: Key) -> Source | None:
        source = read_place(text, places, self._complain, *path)
        if source is not None and source.place in CARRIES:
            require_carrier(source, self._complain, *path)
        return source

    def _path(self, text: str, *path: Key) -> FieldPath | None:
        source = read_place(f"body:{text}", (Place.BODY,), self._complain, *path)
        return None if source is None else source.path


def _require_pairs(shape: LoginShape, complain: Complain) -> None:
    """A refresh token is learned where it is issued; without the other, each is a slip."""
    issued = [one for one in (*shape.sign_in, *shape.refresh) if one.issues_refresh is not None]
    if shape.refresh and not issued:
        complain("nothing issues what this takes; add `issues_refresh` to `sign_in`", "refresh", 0)
    for at, one in enumerate(shape.sign_in):
        if one.issues_refresh is not None and not shape.refresh:
            complain(
                "nothing takes this token; add the address under `refresh`",
                "sign_in",
                at,
                "issues_refresh",
            )


def _require_told_apart(steps: Sequence[Placed], complain: Complain) -> None:
    """Of several steps at one address, the request must be exactly one."""
    seen: dict[str, list[Clue | None]] = {}
    for here, step in steps:
        others = seen.setdefault(step.template, [])
        clue = step.when
        if others and (
            clue is None
            or any(o is None or o.source != clue.source or o.word == clue.word for o in others)
        ):
            complain(
                f"`{step.template}` stands here twice; tell both apart by one field, like "
                "`when: form:grant_type is password`",
                *here,
                "match",
            )
        others.append(clue)


def _is_public(route: Route) -> bool:
    return route.kind is RouteKind.PUBLIC
