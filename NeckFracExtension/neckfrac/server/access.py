"""Who may do what: bearer tokens, the browser's session, single sign-on through a trusted proxy; and how often."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from fastapi import Request
from sqlalchemy import Engine, and_, insert, select, update

from ..errors import InputError
from .database import READ_ONLY, tokens
from .problems import Problem
from .settings import ServerSettings

ROLES = ("read", "write", "admin")
SESSION_SECONDS, LINK_SECONDS = 12 * 3600.0, 15 * 60.0
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# A page of another site can't send it without asking first, and that is never allowed.
OWN_PAGE_HEADER = "X-NeckFrac"


@dataclass(frozen=True)
class Principal:
    """Who asks. name: of the token or of the signed-on user, for the audit."""

    name: str
    role: str
    address: str

    def may(self, role: str) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


def hashed(secret: str) -> str:
    """Tokens hold 256 random bits: no salt and no slow hash are needed to keep them from being guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create_token(engine: Engine, name: str, role: str, *, kind: str = "token", seconds: float | None = None) -> str:
    """A new token, given this once; only its hash is kept. seconds: how long it is good; None: until it is revoked.

    Raises InputError for an unknown role.
    """
    if role not in ROLES:
        raise InputError(f"There is no role {role!r}.", advice=f"Choose {', '.join(ROLES)}.")
    secret, now = f"nf_{secrets.token_urlsafe(32)}", time.time()
    values = {"hash": hashed(secret), "name": name[:80], "role": role, "kind": kind, "created": now}
    with engine.begin() as connection:
        connection.execute(insert(tokens).values(**values, expires=None if seconds is None else now + seconds))
    return secret


def list_tokens(engine: Engine) -> list[dict]:
    """Name, role, times and the first letters of the hash of each token that was made by hand."""
    with engine.execution_options(**{READ_ONLY: True}).connect() as connection:
        rows = connection.execute(select(tokens).where(tokens.c.kind == "token").order_by(tokens.c.created)).mappings()
        return [{**row, "hash": row["hash"][:12]} for row in rows]


def revoke_tokens(engine: Engine, name: str) -> int:
    """Tokens and sessions of that name are good no more; how many there were."""
    with engine.begin() as connection:
        which = and_(tokens.c.name == name, tokens.c.revoked.is_(False))
        return connection.execute(update(tokens).where(which).values(revoked=True)).rowcount


class Access:
    """Finds out who sends a request. Raises Problem: 401, 403 or 429."""

    def __init__(self, engine: Engine, settings: ServerSettings) -> None:
        self._engine, self._settings = engine, settings
        self._reading = engine.execution_options(**{READ_ONLY: True})
        limits = settings.limits
        self.requests = Rate(limits.requests_a_minute)
        self.uploads = Rate(limits.uploads_a_minute)
        self._failures = Rate(limits.failed_logins_a_minute)
        self._proxies = [ipaddress.ip_network(proxy, strict=False) for proxy in settings.proxies]
        self.cookie = "__Host-neckfrac" if settings.secure else "neckfrac"

    def identify(self, request: Request, role: str, *, counted: bool = True) -> Principal:
        """Who sends the request; they must have the role. counted: False for a PACS, which sends slice by slice."""
        principal = self._bearer(request) or self._signed_on(request) or self._session(request)
        if principal is None:
            raise Problem(
                401, "Nobody is signed in.", "Send a token: Authorization: Bearer ...", headers=_CHALLENGE
            )  # fmt: skip
        if counted:
            self.requests.take(principal.name, "Requests come too fast.")
        if not principal.may(role):
            raise Problem(403, f"This needs the role {role}.", f"You have the role {principal.role}.")
        return principal

    def open_session(self, request: Request, secret: str) -> tuple[Principal, str]:
        """A browser's session for a token or for the code of a one-time link, which is spent by it."""
        row = self._checked(request, secret, ("token", "link"))
        if row["kind"] == "link":
            with self._engine.begin() as connection:
                unspent = and_(tokens.c.hash == row["hash"], tokens.c.revoked.is_(False))
                if connection.execute(update(tokens).where(unspent).values(revoked=True)).rowcount != 1:
                    raise _wrong()
        session = create_token(self._engine, row["name"], row["role"], kind="session", seconds=SESSION_SECONDS)
        return Principal(row["name"], row["role"], address(request)), session

    def close_session(self, request: Request) -> None:
        if secret := request.cookies.get(self.cookie):
            with self._engine.begin() as connection:
                which = and_(tokens.c.hash == hashed(secret), tokens.c.kind == "session")
                connection.execute(update(tokens).where(which).values(revoked=True))

    def _bearer(self, request: Request) -> Principal | None:
        kind, _, secret = request.headers.get("authorization", "").partition(" ")
        if not kind:
            return None
        if kind.lower() != "bearer" or not secret:
            raise _wrong()
        row = self._checked(request, secret.strip(), ("token",))
        return Principal(row["name"], row["role"], address(request))

    def _session(self, request: Request) -> Principal | None:
        secret = request.cookies.get(self.cookie)
        if not secret:
            return None
        row = self._valid(secret, ("session",))
        if row is None:
            return None
        _check_own_page(request)
        return Principal(row["name"], row["role"], address(request))

    def _signed_on(self, request: Request) -> Principal | None:
        name = self._settings.sign_on_header
        user = request.headers.get(name, "") if name else ""
        if not user:
            return None
        try:
            peer = ipaddress.ip_address(request.scope["neckfrac_peer"])
        except ValueError:
            return None
        if not any(peer in proxy for proxy in self._proxies):
            return None
        _check_own_page(request)  # the proxy's own cookie goes along with any page's requests
        return Principal(user[:80], self._settings.sign_on_role, address(request))

    def _checked(self, request: Request, secret: str, kinds: tuple[str, ...]) -> dict:
        row = self._valid(secret, kinds)
        if row is None:
            self._failures.take(address(request), "Too many wrong tokens.")
            raise _wrong()
        return row

    def _valid(self, secret: str, kinds: tuple[str, ...]) -> dict | None:
        with self._reading.connect() as connection:
            which = and_(tokens.c.hash == hashed(secret), tokens.c.kind.in_(kinds), tokens.c.revoked.is_(False))
            row = connection.execute(select(tokens).where(which)).mappings().first()
        if row is None or (row["expires"] is not None and row["expires"] < time.time()):
            return None
        return dict(row)


class Rate:
    """So many a minute for each name, saved up to a minute's worth."""

    _MOST_NAMES = 10_000

    def __init__(self, a_minute: int) -> None:
        self._most, self._lock = a_minute, threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, what: str) -> None:
        """Raises Problem 429 when nothing is left."""
        now = time.monotonic()
        with self._lock:
            left, then = self._left.pop(name, (float(self._most), now))
            left = min(self._most, left + (now - then) * self._most / 60)
            self._left[name] = (max(left - 1, 0.0), now)
            if len(self._left) > self._MOST_NAMES:
                self._left.popitem(last=False)
        if left < 1:
            wait = int((1 - left) * 60 / self._most) + 1
            raise Problem(429, what, f"Wait {wait} s.", headers={"Retry-After": str(wait)})


_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="neckfrac"'}


def _wrong() -> Problem:
    return Problem(401, "The token is not known, or good no more.", "Ask for a new one.", headers=_CHALLENGE)


def _check_own_page(request: Request) -> None:
    if request.method not in SAFE_METHODS and OWN_PAGE_HEADER not in request.headers:
        raise Problem(
            403, f"The header {OWN_PAGE_HEADER} is missing.", "A browser's request must come from the service's page."
        )


def address(request: Request) -> str:
    """The client's address, for the audit."""
    return str(request.scope["neckfrac_client"])[:60]
