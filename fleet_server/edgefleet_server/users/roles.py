"""Roles, in their order, and the principal: whoever makes a request, with the role and scopes they have."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edgefleet_contract.errors import Forbidden, UsageMalformed


class Role(IntEnum):
    """What somebody may do; each role may do what those before it may.

    Attributes:
        VIEWER: See the fleet.
        OPERATOR: Claim tokens, tags, pushes, plans of rollouts; stop a rollout.
        APPROVER: Let devices run something: start, resume and roll back rollouts.
        ADMIN: Users, API tokens, and whatever cannot be undone.
    """

    VIEWER = 1
    OPERATOR = 2
    APPROVER = 3
    ADMIN = 4

    @property
    def label(self) -> str:
        """The role as it is written everywhere."""
        return self.name.lower()

    @staticmethod
    def of(label: str) -> Role:
        """The role that is called ``label``.

        Raises:
            UsageMalformed: None is.
        """
        for role in Role:
            if role.label == label:
                return role
        raise UsageMalformed(f"The role is {label!r}", expected=", ".join(role.label for role in Role))


@dataclass(frozen=True)
class Principal:
    """Whoever makes a request.

    Attributes:
        name: As the audit log calls them: a user's name, ``token ID``, or ``admin`` for the first admin token.
        role: The most that they may do.
        scopes: What an API token is for, as ``devices:read``; None: all that the role may.
        origin: The address that the request came from.
        token: The API token's id; None for people and for the first admin token.
        session: Whether a browser's session speaks, and no ``Authorization`` header.
    """

    name: str
    role: Role
    scopes: frozenset[str] | None = None
    origin: str | None = None
    token: str | None = None
    session: bool = False

    def require(self, role: Role, act: str = "This") -> None:
        """Let pass whoever has ``role`` at least.

        Raises:
            Forbidden: They have less.
        """
        if self.role < role:
            raise Forbidden(
                f"{act} needs the role {role.label}, and {self.name} is {self.role.label}",
                remedy="Ask somebody who has it; an admin changes roles with `edgefleet user role NAME ROLE`.",
                needs=role.label,
                role=self.role.label,
            )
