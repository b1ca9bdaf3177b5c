"""Own accounts: signing in with a name and a password, and choosing one.

True here:
* A try counts as wrong before the password is looked at, so that many at once are not one.
* Whatever name is typed, whoever it is, if anybody: the same reads, one hash, the same answer.
* Strangers never make a device wait that signed in before (`identity/attempts.py`), nor take
  its place before the hashes.
* What takes effect is entered in the trail first. Refusals are entered at most 60 a minute.
* Whoever has a second factor is not in, and changes no password, without a code of it. A code is
  a try like a password, counted by person: a right password never gives such tries back.
  Each code works once: it is taken by the write that leaves it out (compare and set).
* A password or a second factor that is changed ends every session that an older one has begun,
  also one that is just beginning: a sign-in asks for its epoch, then writes the account as it
  was checked, or is refused; a change writes the account, then raises the floor.

Who has no line in staff.yaml has no account, whatever the state says. What somebody may do
once they are in is judged with each request; a lock is asked here, too, since a page that says
so is better than one that lets them in to nothing.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

from msgspec.structs import replace

from gateway.audit.entry import Entry, entry_of_act
from gateway.audit.quota import RefusalQuota
from gateway.domain.act import Act
from gateway.domain.errors import AuditUnavailableError, RequestError, StateUnavailableError
from gateway.domain.reason import STATUS, Cause, Reason
from gateway.domain.subject import DeviceId, StaffId, staff_id
from gateway.domain.time import Instant, to_milliseconds
from gateway.guesses import Guesses, Source, code_of, known_device, stranger
from gateway.identity.accounts import (
    Account,
    may_renew,
    parse_account,
    render_account,
    signed_in,
    with_password,
    with_second,
)
from gateway.identity.half import Half, Step
from gateway.identity.locks import parse_lock, require_unlocked
from gateway.identity.passwords import normalised, weaknesses
from gateway.identity.roster import Roster
from gateway.identity.second_factor import (
    RECOVERY_BYTES,
    RECOVERY_CODES,
    SecondFactor,
    begun,
    recovery_code,
    used,
)
from gateway.identity.totp import SECRET_BYTES
from gateway.identity.weakness import Weakness
from gateway.ports import AuditTrail, Clock, DocumentStore, EpochStore, Kept, Kind

ROUNDS = 32  # of those who change one document at once, each round lets one through
MAX_NAME = 128  # characters of a name that are looked at
NOBODY = "nobody"  # the key that is asked for a name nobody can have


class PasswordHasher(Protocol):
    """Hashes passwords, slowly; bounded in how many at once."""

    def place(self, known: str | None) -> AbstractContextManager[None]:
        """A place for one sign-in; what strangers share (None), no known device ever needs.

        Raises:
            StateUnavailableError: there is none.
        """
        ...

    async def verify(self, encoded: str | None, password: bytes | None, *, known: bool) -> bool:
        """Is it this password? None on either side is a no, after the same work."""
        ...

    async def hash(self, password: bytes, *, known: bool) -> str:
        """A PHC string."""
        ...

    def is_outdated(self, encoded: str) -> bool:
        """Would a new hash have other parameters?"""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """The password was right.

    Attributes:
        must_change: somebody else knows the password: nobody is in, and nothing may be made of
            this but a page where it is changed. `device` and `epoch` are None then.
        device: known from now on.
        epoch: for a token of this device.
    """

    staff: StaffId
    device: DeviceId | None
    epoch: int | None
    must_change: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """It was not, or it is too early to ask.

    Attributes:
        reason: UNAUTHENTICATED or TOO_MANY_TRIES.
        cause: for the metrics, never to be told.
        wait: seconds until it may be tried again; None = now.
        request_id: of the entry in the trail.
    """

    reason: Reason
    cause: Cause | None
    wait: float | None
    request_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A second factor is set up, and they are in.

    Attributes:
        recovery: the codes for without it; nobody can show them again.
    """

    signed_in: SignedIn
    recovery: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Right:
    """What was asked for was right for this account, as it stood then."""

    staff: StaffId
    account: Account
    kept: Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wrong:
    """A password or a code that was not right, or that was not looked at.

    Attributes:
        staff: whose name was typed; None = nobody's.
        wait: milliseconds; 0 = it was looked at.
    """

    staff: StaffId | None
    cause: Cause | None = None
    wait: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Signs people in.

    Every method raises StateUnavailableError or AuditUnavailableError where it cannot say.

    Attributes:
        roster: staff.yaml as it is in force now.
        policy: the digest of the policy in force.
        new_id: a name for an entry that no other entry has.
        new_device: a device id that nobody can guess.
        require_admitted: raises RequestError for whom an incident keeps out; None = `epochs` alone
            does, when it is asked to begin a session.
        required: must this person have a second factor? They set one up before they are in.
        draw: so many random bytes that nobody can guess.
    """

    documents: DocumentStore
    epochs: EpochStore
    hasher: PasswordHasher
    audit: AuditTrail
    clock: Clock
    roster: Callable[[], Roster]
    policy: Callable[[], str]
    new_id: Callable[[], str]
    new_device: Callable[[], DeviceId]
    require_admitted: Callable[[StaffId], Awaitable[None]] | None = None
    required: Callable[[StaffId], bool] = lambda _: False
    draw: Callable[[int], bytes] = secrets.token_bytes
    quota: RefusalQuota = field(default_factory=RefusalQuota)

    async def sign_in(
        self, name: str, password: str, *, peer: str, device: DeviceId | None
    ) -> SignedIn | Half | Refused:
        """Let somebody in; halfway, where a second factor is asked of them.

        Args:
            name: as they typed it: `mei`, `Mei`, `staff:mei`.
            password: as they typed it.
            peer: the address they ask from.
            device: which device they sign in on, if it has shown that we named it so. It is
                the caller who must know: it decides whose wrong guesses count.

        Raises:
            RequestError: LOCKED or HAS_LEFT, of somebody whose password was right.
        """
        now = self.clock.now()
        found = await self._ask(name, password, peer, device, now)
        if isinstance(found, Refused):
            return found
        if found.account.must_change:
            return await self._not_yet(found.staff, peer, device, now)
        named = device or self.new_device()
        if found.account.second is None and not self.required(found.staff):
            return await self._let_in(found, password, peer, named, now)
        if self.hasher.is_outdated(found.account.password):
            fresh = replace(found.account, password=await self._hashed(password))
            await self._write(found.staff, found.kept, fresh, now)  # or the next sign-in does
        step = Step.ENROL if found.account.second is None else Step.CODE
        return await self._halfway(found, step, peer, named, now)

    async def give_code(self, half: Half, code: str, *, peer: str) -> SignedIn | Refused:
        """Let somebody in who has given their password.

        Args:
            half: what `sign_in` said, to the same person on the same device. It is the caller
                who must know.
            code: as they typed it: of the app, or a recovery code.
            peer: the address they ask from.

        Raises:
            RequestError: as `sign_in`.
        """
        now = self.clock.now()
        found = await self._second_half(half, Step.CODE, now)
        if isinstance(found, _Right):
            await self._require_unlocked(half.staff, peer, half.device, now)
            found = await self._take_code(found, code, peer, half.device, now)
        if isinstance(found, _Wrong):
            return await self._refuse(found, peer, half.device, now)
        return await self._let_in(found, None, peer, half.device, now)

    async def sign_in_elsewhere(
        self, staff: StaffId, *, began: Instant, peer: str, device: DeviceId | None
    ) -> SignedIn:
        """Let somebody in who has signed in at an identity provider. They need no account.

        Args:
            staff: whom the provider names.
            began: the sign-in there; one that is older than their last logout is none.
            peer: the address they ask from.
            device: as `sign_in`.

        Raises:
            RequestError: NOT_ON_ROSTER, LOCKED, HAS_LEFT, INCIDENT or UNAUTHENTICATED.
        """
        now = self.clock.now()
        named = device or self.new_device()
        try:
            self._require_on_roster(staff)
            floor = await self.epochs.floor(staff, None)
            _require_since(began, floor)
        except RequestError as error:
            await self.refused_elsewhere(error, peer=peer, whom=staff)
            raise
        await self._require_unlocked(staff, peer, device, now)
        await self.audit.append(self._act(Act.SIGN_IN, now, peer, staff=staff, device=named))
        epoch = await self.epochs.enrol(staff, named, now)
        # A logout since the floor was asked for has raised it.
        if floor is not None and await self.epochs.floor(staff, None) != floor:
            stale = RequestError(Reason.UNAUTHENTICATED, cause=Cause.EPOCH_STALE)
            await self.refused_elsewhere(stale, peer=peer, whom=staff)
            raise stale
        return SignedIn(staff=staff, device=named, epoch=epoch, must_change=False)

    async def refused_elsewhere(
        self, error: RequestError, *, peer: str, whom: StaffId | None = None
    ) -> None:
        """Enter that a sign-in at an identity provider came to nothing."""
        entry = self._act(Act.SIGN_IN_REFUSED, self.clock.now(), peer, whom=whom)
        await self._enter_refused(entry, error.reason, error.cause)

    async def begin_second_factor(
        self, name: str, password: str, code: str, *, peer: str, device: DeviceId | None
    ) -> SignedIn | Half | Refused:
        """Somebody wants a second factor, or another one: halfway, with a key to be set up.

        Args:
            name: as `sign_in`.
            password: likewise.
            code: of the second factor they have; anything, if they have none.
            peer: the address they ask from.
            device: as `sign_in`.

        Returns:
            SignedIn only where the password must be changed first.

        Raises:
            RequestError: as `sign_in`.
        """
        now = self.clock.now()
        found = await self._ask(name, password, peer, device, now)
        if isinstance(found, Refused):
            return found
        if found.account.must_change:
            return await self._not_yet(found.staff, peer, device, now)
        if found.account.second is not None:
            taken = await self._take_code(found, code, peer, device, now)
            if isinstance(taken, _Wrong):
                return await self._refuse(taken, peer, device, now)
            found = taken
        return await self._halfway(found, Step.ENROL, peer, device or self.new_device(), now)

    async def enrol(self, half: Half, code: str, *, peer: str) -> Enrolled | Refused:
        """Set up the second factor whose first code this is; every older session ends.

        Args:
            half: of an ENROL, as `give_code`. Whoever has it knows the key: a wrong code is a
                mistake, not a guess, and is not counted.
            code: as they typed it.
            peer: the address they ask from.

        Raises:
            RequestError: as `sign_in`.
        """
        now = self.clock.now()
        found = await self._second_half(half, Step.ENROL, now)
        if isinstance(found, _Wrong):
            return await self._refuse(found, peer, half.device, now)
        await self._require_unlocked(half.staff, peer, half.device, now)
        codes = tuple(recovery_code(self.draw(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES))
        second = begun(half.secret, code, codes, now)
        if second is None:
            wrong = _Wrong(staff=half.staff, cause=Cause.WRONG_CODE)
            return await self._refuse(wrong, peer, half.device, now)
        await self.audit.append(
            self._act(
                Act.ADD_SECOND_FACTOR,
                now,
                peer,
                staff=half.staff,
                whom=half.staff,
                device=half.device,
            )
        )
        kept = await self._replace_second(found, second, now)
        if isinstance(kept, _Wrong):
            return await self._refuse(kept, peer, half.device, now)
        await self.epochs.revoke(half.staff, None, now)
        signed = await self._let_in(kept, None, peer, half.device, now)
        return (
            signed if isinstance(signed, Refused) else Enrolled(signed_in=signed, recovery=codes)
        )

    async def remove_second_factor(self, staff: StaffId, *, by: StaffId | None, peer: str) -> bool:
        """Of somebody whose phone is lost; every session ends. False = they had none."""
        now = self.clock.now()
        await self.audit.append(
            self._act(Act.REMOVE_SECOND_FACTOR, now, peer, staff=by, whom=staff)
        )
        for _ in range(ROUNDS):
            kept = await self.documents.get(Kind.ACCOUNT, staff, now)
            before = None if kept is None else parse_account(kept.value)
            if before is None or before.second is None:
                return False
            if await self._write(staff, kept, with_second(before, None), now):
                await self.epochs.revoke(staff, None, now)
                return True
        raise StateUnavailableError("an account was changed by others again and again")

    async def is_password(
        self, staff: StaffId, password: str, *, peer: str, device: DeviceId
    ) -> bool:
        """Is it the password of somebody who is in already? A try like any other.

        Raises:
            RequestError: as `sign_in`.
        """
        found = await self._ask(staff, password, peer, device, self.clock.now())
        return isinstance(found, _Right) and not found.account.must_change

    async def change_password(
        self,
        staff: str,
        old: str,
        new: str,
        *,
        peer: str,
        device: DeviceId | None = None,
        code: str = "",
    ) -> Refused | tuple[Weakness, ...]:
        """Somebody chooses another password for themselves; () = it is set.

        The old one is a try like any other, from the same sources. Every session ends.

        Args:
            staff: as they typed it.
            old: likewise.
            new: likewise.
            peer: the address they ask from.
            device: as `sign_in`.
            code: of their second factor; anything, if they have none.

        Raises:
            RequestError: as `sign_in`.
        """
        now = self.clock.now()
        found = await self._ask(staff, old, peer, device, now)
        if isinstance(found, Refused):
            return found
        weak = self._weaknesses(found.staff, new)
        if normalised(old) == normalised(new):
            weak = (*weak, Weakness.UNCHANGED)
        if weak:
            return weak
        if found.account.second is not None:
            taken = await self._take_code(found, code, peer, device, now)
            if isinstance(taken, _Wrong):
                return await self._refuse(taken, peer, device, now)
            found = taken
        hashed = await self._hashed(new)
        await self.audit.append(
            self._act(Act.SET_PASSWORD, now, peer, staff=found.staff, whom=found.staff)
        )
        after = with_password(found.account, hashed, now, must_change=False)
        if not await self._write(found.staff, found.kept, after, now):
            # Somebody else has set another one meanwhile; what was right is not any more.
            return await self._refuse(_changed(found), peer, device, now)
        await self.epochs.revoke(found.staff, None, now)
        return ()

    async def set_password(
        self, staff: StaffId, new: str, *, by: StaffId | None, peer: str, temporary: bool
    ) -> tuple[Weakness, ...]:
        """Give somebody a password, and an account if they have none; () = it is set.

        Every session of theirs ends.

        Args:
            staff: on the roster.
            new: as it was typed or made.
            by: who does it; None = somebody on the gateway's own machine.
            peer: where it was asked from.
            temporary: nothing but changing it is open to them.

        Raises:
            RequestError: NOT_ON_ROSTER.
        """
        self._require_on_roster(staff)
        if weak := self._weaknesses(staff, new):
            return weak
        now = self.clock.now()
        hashed = await self._hashed(new)
        await self.audit.append(self._act(Act.SET_PASSWORD, now, peer, staff=by, whom=staff))
        for _ in range(ROUNDS):
            kept = await self.documents.get(Kind.ACCOUNT, staff, now)
            before = None if kept is None else parse_account(kept.value)
            after = with_password(before, hashed, now, must_change=temporary)
            if await self._write(staff, kept, after, now):
                await self.epochs.revoke(staff, None, now)
                return ()
        raise StateUnavailableError("an account was changed by others again and again")

    async def remove(self, staff: StaffId, *, by: StaffId | None, peer: str) -> bool:
        """Take an account away, and end every session; False = there was none."""
        now = self.clock.now()
        await self.audit.append(self._act(Act.REMOVE_ACCOUNT, now, peer, staff=by, whom=staff))
        for _ in range(ROUNDS):
            kept = await self.documents.get(Kind.ACCOUNT, staff, now)
            if kept is None:
                return False
            if await self.documents.remove(Kind.ACCOUNT, staff, replaces=kept.revision, now=now):
                await self.epochs.revoke(staff, None, now)
                return True
        raise StateUnavailableError("an account was changed by others again and again")

    async def sign_out(self, staff: StaffId, device: DeviceId | None, *, peer: str) -> None:
        """End the sessions of one device; of the person, if their token names none."""
        now = self.clock.now()
        await self.audit.append(self._act(Act.SIGN_OUT, now, peer, staff=staff, device=device))
        await self.epochs.revoke(staff, device, now)

    async def may_renew(self, staff: StaffId, device: DeviceId | None) -> bool:
        """May a session that is current go on without the password being asked for?"""
        found = await self.find(staff)
        return found is not None and may_renew(found, device, self.clock.now())

    async def find(self, staff: StaffId) -> Account | None:
        """Somebody's account; None = they have none, or are not on the roster (any more)."""
        if staff not in self.roster().members:
            return None
        kept = await self.documents.get(Kind.ACCOUNT, staff, self.clock.now())
        return None if kept is None else parse_account(kept.value)

    async def all(self) -> Mapping[str, Account]:
        """Every account by staff id, also those of people who are not on the roster any more."""
        kept = await self.documents.all(Kind.ACCOUNT, self.clock.now())
        return {key: parse_account(one.value) for key, one in sorted(kept.items())}

    async def settle(self) -> None:
        """Enter how many refusals no line stands for yet. Call it at the end."""
        suppressed = self.quota.flush(self.clock.monotonic())
        if suppressed:
            entry = self._act(Act.SIGN_IN_REFUSED, self.clock.now(), "-")
            await self.audit.append(replace(entry, suppressed=suppressed))

    # -- a try ------------------------------------------------------------------------------

    async def _ask(
        self, name: str, password: str, peer: str, device: DeviceId | None, now: Instant
    ) -> _Right | Refused:
        """Is it this person's password? Counted, checked, and entered if it is not."""
        source = stranger(_typed(name), peer)
        if device is not None:  # else a stranger, before anything is read
            staff, kept = await self._account_of(name, now)
            if staff and kept and parse_account(kept.value).knows(device):
                source = known_device(staff, device)
        with self.hasher.place(source.key if source.known else None):
            right = await self._judge(name, password, source, now)
        if isinstance(right, _Right):
            await self._require_unlocked(right.staff, peer, device, now)
            return right
        return await self._refuse(right, peer, device, now)

    async def _judge(
        self, name: str, password: str, source: Source, now: Instant
    ) -> _Right | _Wrong:
        """With a place before the hashes: the account, or why not, and the wait."""
        staff, kept = await self._account_of(name, now)
        account = None if kept is None else parse_account(kept.value)
        guesses = Guesses(documents=self.documents)
        if wait := await guesses.count(source, now):
            return _Wrong(staff=staff, wait=wait)
        encoded = None if account is None else account.password
        right = await self.hasher.verify(encoded, normalised(password), known=source.known)
        if not right or staff is None or account is None or kept is None:
            nobody = account is None
            return _Wrong(staff=staff, cause=Cause.NO_ACCOUNT if nobody else Cause.WRONG_PASSWORD)
        await guesses.forgive(source, now)
        return _Right(staff=staff, account=account, kept=kept)

    async def _account_of(self, name: str, now: Instant) -> tuple[StaffId | None, Kept | None]:
        """Who may have typed this name, and their account. One read, whoever it is."""
        try:
            staff = staff_id(_typed(name))
        except ValueError:
            staff = None
        if staff not in self.roster().members:
            staff = None
        kept = await self.documents.get(Kind.ACCOUNT, staff or NOBODY, now)
        return staff, kept

    # -- the second factor ------------------------------------------------------------------

    async def _halfway(
        self, found: _Right, step: Step, peer: str, device: DeviceId, now: Instant
    ) -> Half:
        await self.audit.append(
            self._act(Act.ASK_CODE, now, peer, staff=found.staff, device=device)
        )
        return Half(
            staff=found.staff,
            device=device,
            generation=found.account.generation,
            step=step,
            secret=self.draw(SECRET_BYTES) if step is Step.ENROL else b"",
        )

    async def _second_half(self, half: Half, step: Step, now: Instant) -> _Right | _Wrong:
        """The account, if it is still the one whose password was right."""
        if half.step is not step or half.staff not in self.roster().members:
            return _Wrong(staff=half.staff, cause=Cause.WRONG_CODE)
        return await self._again(half.staff, half.generation, now)

    async def _again(self, staff: StaffId, generation: int, now: Instant) -> _Right | _Wrong:
        """The account as it stands now, if nobody has changed what was right meanwhile."""
        kept = await self.documents.get(Kind.ACCOUNT, staff, now)
        account = None if kept is None else parse_account(kept.value)
        if kept is None or account is None or account.generation != generation:
            return _Wrong(staff=staff, cause=Cause.WRONG_PASSWORD)
        return _Right(staff=staff, account=account, kept=kept)

    async def _take_code(
        self, found: _Right, code: str, peer: str, device: DeviceId | None, now: Instant
    ) -> _Right | _Wrong:
        """The account without this code, if it is one; counted before it is looked at."""
        staff, generation = found.staff, found.account.generation
        guesses = Guesses(documents=self.documents)
        source = code_of(staff, device if found.account.knows(device) else None)
        if wait := await guesses.count(source, now):
            return _Wrong(staff=staff, wait=wait)
        for _ in range(ROUNDS):
            before = found.account.second
            after = None if before is None else used(before, code, now)
            if before is None or after is None:
                return _Wrong(staff=staff, cause=Cause.WRONG_CODE)
            if len(after.recovery) < len(before.recovery):
                await self.audit.append(
                    self._act(Act.USE_RECOVERY_CODE, now, peer, staff=staff, device=device)
                )
            taken = await self._replace(found, replace(found.account, second=after), now)
            if taken is not None:
                await guesses.forgive(source, now)
                return taken
            again = await self._again(staff, generation, now)
            if isinstance(again, _Wrong):
                return again
            found = again
        raise StateUnavailableError("an account was changed by others again and again")

    async def _replace_second(
        self, found: _Right, second: SecondFactor, now: Instant
    ) -> _Right | _Wrong:
        """The account with another second factor."""
        generation = found.account.generation
        for _ in range(ROUNDS):
            written = await self._replace(found, with_second(found.account, second), now)
            if written is not None:
                return written
            again = await self._again(found.staff, generation, now)
            if isinstance(again, _Wrong):
                return again
            found = again
        raise StateUnavailableError("an account was changed by others again and again")

    async def _replace(self, found: _Right, after: Account, now: Instant) -> _Right | None:
        """The account as it is written now; None = another writer was first."""
        kept = await self.documents.put(
            Kind.ACCOUNT,
            found.staff,
            render_account(after),
            replaces=found.kept.revision,
            now=now,
        )
        return None if kept is None else _Right(staff=found.staff, account=after, kept=kept)

    # -- what comes of it -------------------------------------------------------------------

    async def _not_yet(
        self, staff: StaffId, peer: str, device: DeviceId | None, now: Instant
    ) -> SignedIn:
        """Somebody else knows the password: it is changed first."""
        await self._enter_refused(
            self._act(Act.SIGN_IN_REFUSED, now, peer, whom=staff, device=device),
            Reason.PASSWORD_TEMPORARY,
        )
        return SignedIn(staff=staff, device=None, epoch=None, must_change=True)

    async def _let_in(
        self, found: _Right, password: str | None, peer: str, device: DeviceId, now: Instant
    ) -> SignedIn | Refused:
        """The order is what the docstring of this file promises: epoch, then account.

        `password` is None where it was given with the request before.
        """
        staff = found.staff
        rehashed = None
        if password is not None and self.hasher.is_outdated(found.account.password):
            rehashed = await self._hashed(password)
        await self.audit.append(self._act(Act.SIGN_IN, now, peer, staff=staff, device=device))
        epoch = await self.epochs.enrol(staff, device, now)
        for _ in range(ROUNDS):
            after = signed_in(found.account, device, now, rehashed=rehashed)
            if await self._write(staff, found.kept, after, now):
                return SignedIn(staff=staff, device=device, epoch=epoch, must_change=False)
            again = await self._again(staff, found.account.generation, now)
            if isinstance(again, _Wrong):
                return await self._refuse(again, peer, device, now)
            found = again
        raise StateUnavailableError("an account was changed by others again and again")

    async def _refuse(
        self, wrong: _Wrong, peer: str, device: DeviceId | None, now: Instant
    ) -> Refused:
        reason = Reason.TOO_MANY_TRIES if wrong.wait else Reason.UNAUTHENTICATED
        entry = self._act(Act.SIGN_IN_REFUSED, now, peer, whom=wrong.staff, device=device)
        await self._enter_refused(entry, reason, wrong.cause)
        return Refused(
            reason=reason,
            cause=wrong.cause,
            wait=wrong.wait / 1000 if wrong.wait else None,
            request_id=entry.request_id,
        )

    async def _enter_refused(
        self, entry: Entry, reason: Reason, cause: Cause | None = None
    ) -> None:
        """A refusal has an allowance: anybody can cause one."""
        carried = self.quota.admit(self.clock.monotonic())
        if carried is None:
            return
        try:
            await self.audit.append(
                replace(
                    entry, reason=reason, status=STATUS[reason], cause=cause, suppressed=carried
                )
            )
        except AuditUnavailableError:
            self.quota.give_back(carried)
            raise

    def _act(
        self,
        act: Act,
        now: Instant,
        peer: str,
        *,
        staff: StaffId | None = None,
        whom: StaffId | None = None,
        device: DeviceId | None = None,
    ) -> Entry:
        return entry_of_act(
            act,
            request_id=self.new_id(),
            at=now,
            peer=peer,
            policy=self.policy(),
            staff=staff,
            whom=whom,
            device=device,
        )

    async def _require_unlocked(
        self, staff: StaffId, peer: str, device: DeviceId | None, now: Instant
    ) -> None:
        kept = await self.documents.get(Kind.LOCK, staff, now)
        try:
            require_unlocked(staff, None if kept is None else parse_lock(kept.value), now)
            if self.require_admitted is not None:
                await self.require_admitted(staff)
        except RequestError as error:
            entry = self._act(Act.SIGN_IN_REFUSED, now, peer, whom=staff, device=device)
            await self._enter_refused(entry, error.reason, error.cause)
            raise

    def _require_on_roster(self, staff: StaffId) -> None:
        if staff not in self.roster().members:
            raise RequestError(Reason.NOT_ON_ROSTER, "they are not on the staff list")

    def _weaknesses(self, staff: StaffId, new: str) -> tuple[Weakness, ...]:
        return weaknesses(new, names=(staff, self.roster().members[staff].name))

    async def _hashed(self, new: str) -> str:
        password = normalised(new)
        if password is None:
            raise ValueError("a password that was looked at before is hashed, no other")
        return await self.hasher.hash(password, known=True)

    async def _write(
        self, staff: StaffId, kept: Kept | None, after: Account, now: Instant
    ) -> bool:
        replaces = None if kept is None else kept.revision
        value = render_account(after)
        return (
            await self.documents.put(Kind.ACCOUNT, staff, value, replaces=replaces, now=now)
            is not None
        )


def _require_since(began: Instant, floor: int | None) -> None:
    if floor is not None and to_milliseconds(began) < floor:
        raise RequestError(Reason.UNAUTHENTICATED, cause=Cause.EPOCH_STALE)


def _changed(found: _Right) -> _Wrong:
    """Somebody has changed the password while it was right."""
    return _Wrong(staff=found.staff, cause=Cause.WRONG_PASSWORD)


def _typed(name: str) -> str:
    """A name as it was meant: phones begin with a capital, and end with a blank."""
    return name[:MAX_NAME].strip().lower().removeprefix("staff:")
