"""Users: added by an admin, who gives them a word with which they set their own password."""

from __future__ import annotations

import hmac
import re

from sqlalchemy import delete, select
from sqlalchemy.orm import Session as DatabaseSession

from edgefleet_contract.errors import Conflict, NotFound, Unauthorized, UsageMalformed
from edgefleet_server.audit.change import Change
from edgefleet_server.clock import DAY
from edgefleet_server.users import api_tokens, passwords
from edgefleet_server.users.models import Session, User
from edgefleet_server.users.roles import Role
from edgefleet_server.users.secrets import new_secret, sha256

SETUP_LIFE = DAY
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_RESERVED = frozenset({"admin", "policy", "server", "nobody"})  # other actors of the audit log


def users(session: DatabaseSession) -> list[User]:
    """All users, by name."""
    return list(session.scalars(select(User).order_by(User.name)))


def user(session: DatabaseSession, name: str) -> User:
    """The user of that name.

    Raises:
        NotFound: There is none.
    """
    found = session.get(User, name)
    if found is None:
        raise NotFound(f"There is no user {name!r}", remedy="`edgefleet user list` shows them.")
    return found


def add(change: Change, name: str, role: Role) -> tuple[User, str]:
    """A new user without a password, and the word with which they set one.

    Raises:
        UsageMalformed: The name is none.
        Conflict: It is taken.
    """
    if _NAME.fullmatch(name) is None or name in _RESERVED or name.startswith("d-"):
        raise UsageMalformed(
            f"The user's name is {name!r}",
            expected="letters a to z, digits and . _ - (64 at most), a letter first; not admin, policy, server, nobody",
        )
    if change.session.get(User, name) is not None:
        raise Conflict(f"There is a user {name!r} already", remedy="`edgefleet user role` changes what they may do.")
    added = User(name=name, role=role.label, disabled=False, created_at=change.now)
    change.session.add(added)
    change.record("user.added", user=name, role=role.label)
    return added, _new_setup_word(change, added)


def set_role(change: Change, name: str, role: Role) -> User:
    """Let a user do more, or less; from their next request on. Who is no admin any more leaves no API tokens behind."""
    found = user(change.session, name)
    before, found.role = found.role, role.label
    change.record("user.role_changed", user=name, before=before, role=role.label)
    if role < Role.ADMIN:
        api_tokens.revoke_made_by(change, name)
    return found


def set_disabled(change: Change, name: str, disabled: bool) -> User:
    """Shut a user out, or let them in again; shutting out ends their sessions and the API tokens that they made."""
    found = user(change.session, name)
    found.disabled = disabled
    change.record("user.disabled" if disabled else "user.enabled", user=name)
    if disabled:
        end_sessions(change.session, name)
        api_tokens.revoke_made_by(change, name)
    return found


def reset(change: Change, name: str) -> tuple[User, str]:
    """Take a user's password away, end their sessions, and make the word with which they set another."""
    found = user(change.session, name)
    found.password = None
    end_sessions(change.session, name)
    change.record("user.password_reset", user=name)
    return found, _new_setup_word(change, found)


def set_password(change: Change, name: str, password: str) -> User:
    """Give a user a password; ends their sessions, and any word that would set another.

    Raises:
        UsageMalformed: It is too easily guessed.
    """
    passwords.check_acceptable(password, name)
    found = user(change.session, name)
    found.password = passwords.hashed(password)
    found.setup_sha256 = found.setup_expires = None
    end_sessions(change.session, name)
    change.record("user.password_set", user=name)
    return found


def check_setup_word(session: DatabaseSession, now: int, name: str, word: str) -> User:
    """The user whose word this is.

    Raises:
        Unauthorized: It is nobody's, was used, or has expired.
    """
    found = session.get(User, name)
    if found is None or found.disabled or not _is_setup_word(found, now, word):
        raise Unauthorized(
            "The name or the setup word is wrong, or the word was used or has expired",
            remedy="Ask an admin for another: `edgefleet user password NAME`.",
        )
    return found


def _is_setup_word(found: User, now: int, word: str) -> bool:
    if found.setup_sha256 is None or found.setup_expires is None or found.setup_expires <= now:
        return False
    return hmac.compare_digest(found.setup_sha256, sha256(word))


def end_sessions(session: DatabaseSession, name: str) -> None:
    """Sign a user out everywhere."""
    session.execute(delete(Session).where(Session.user_name == name))


def _new_setup_word(change: Change, found: User) -> str:
    word = new_secret()
    found.setup_sha256, found.setup_expires = sha256(word), change.now + SETUP_LIFE
    return word
