"""The operator's machine: his keys, his copy of what was signed, and what he signs next.

``$EDGEFLEET_HOME`` (see ``home``) holds ``keys.json`` and ``keys/``, readable by their owner alone, and
``metadata.json``. Keys are made at the first push, claim token or ``key init``; metadata with the first server.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from securesystemslib.signer import Key

from edgefleet_contract import canonical, dsse, trust
from edgefleet_contract.errors import Conflict
from edgefleet_server.publisher import drafts
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.keyring import OFFLINE_ROLES, ROOT, TARGETS, Keyring, SigningKey, model_role
from edgefleet_server.publisher.own_copy import OwnCopy
from edgefleet_server.publisher.statement import StatedRelease
from edgefleet_server.trust.repository import Repository
from edgefleet_server.trust.server_keys import ServerKeys, statement_key_id


class Publisher:
    """The publisher of one folder.

    Args:
        folder: The operator's own (see ``home``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.keyring = Keyring(folder)
        self._copy = OwnCopy(folder)

    def ensure(self) -> bool:
        """Make one key for root and one for targets, if there are none; returns whether it did.

        Raises:
            OutputUnwritable: The folder cannot be written.
        """
        if self.keyring.exists:
            return False
        self.keyring.make(dict.fromkeys(OFFLINE_ROLES, 1), dict.fromkeys(OFFLINE_ROLES, 1))
        return True

    def repository(self) -> Repository:
        """The operator's own copy of what was signed; empty before the first server."""
        return self._copy.load()

    def keep(self, repository: Repository) -> None:
        """Make ``repository`` the own copy."""
        self._copy.save(repository)

    def merged(self, server: Mapping[str, bytes]) -> Repository:
        """The own copy with what a server has that is newer.

        Args:
            server: Its metadata by file name.

        Raises:
            VerificationError: They are not signed by the keys of this fleet.
            Conflict: They contradict the copy; or there is no copy, and they are of other keys than those here.
        """
        own = self.repository()
        grown = own.grown(server)
        if not own.roots and grown.roots:
            mine = {key.id for key in self.keyring.all()} if self.keyring.exists else set()
            if not set(grown.root.roles[ROOT].keyids) <= mine:
                raise Conflict(
                    f"This server's trust root is {str(grown.root_digest)[:16]}, and its keys are not in "
                    f"{str(self.folder)!r}",
                    remedy="Use the keys that this fleet was begun with: copy the EDGEFLEET_HOME that has them.",
                    present=grown.root_digest,
                )
        return grown

    def first(self, server: ServerKeys, now: int) -> Draft:
        """The first root and targets, signed by what is here."""
        roles = {role: (self._public(self.keyring.of(role)), self.keyring.threshold(role)) for role in OFFLINE_ROLES}
        return self._signed(drafts.first(self.repository(), roles[ROOT], roles[TARGETS], server, now))

    def release(self, base: Repository, stated: StatedRelease, now: int) -> Draft:
        """A release, signed by what is here; nothing new when it is there already."""
        role = model_role(stated.release.name)
        own = self.keyring.of(role) if self.keyring.exists else []
        model_keys = (self._public(own), self.keyring.threshold(role)) if own else None
        return self._signed(drafts.release(base, stated, model_keys, now))

    def rotation(
        self,
        base: Repository,
        offline: Sequence[str],
        server: ServerKeys,
        online: Sequence[str],
        now: int,
        *,
        passphrase: bool = False,
        token: str = "",
    ) -> Draft:
        """A new root with fresh keys for some roles, signed by what is here.

        Args:
            base: What it builds on.
            offline: Roles that get fresh keys of this machine, as many as they have: "root", "targets".
            server: The server's public keys.
            online: Roles that get the server's: "online", "assignment".
            now: UTC milliseconds.
            passphrase: Whether the files of the fresh keys are encrypted.
            token: PKCS #11 URI of the token that makes them; empty for files.
        """
        thresholds = {role: base.root.roles[role].threshold for role in offline}
        counts = {role: len(base.root.roles[role].keyids) for role in offline}
        made = self.keyring.make(counts, thresholds, passphrase=passphrase, token=token) if offline else []
        fresh = {role: (self._public([key for key in made if key.role == role]), thresholds[role]) for role in offline}
        return self._signed(drafts.rotation(base, fresh, server, online, now))

    def renewal(self, base: Repository, before: int, now: int) -> Draft:
        """What expires before ``before``, signed once more."""
        return self._signed(drafts.renewal(base, before, now))

    def sign(self, draft: Draft) -> int:
        """Add to a draft the signatures of the keys that are here; how many there were."""
        return draft.sign(self.keyring.signer)

    def permit(self, base: Repository, permit: trust.Permit) -> bytes:
        """A permit in its envelope, signed by the targets keys that are here."""
        payload = canonical.encode(permit)
        return self.countersign(base, dsse.PERMIT, payload, [])

    def countersign(
        self, base: Repository, payload_type: str, payload: bytes, present: Sequence[dsse.Signature]
    ) -> bytes:
        """An envelope with the signatures that it has, and those of the targets keys that are here."""
        message = dsse.pre_authentication_encoding(payload_type, payload)
        signatures = list(present)
        root = base.root
        for tuf_id in root.roles[TARGETS].keyids:
            signer, key_id = self.keyring.signer(tuf_id), statement_key_id(root.keys[tuf_id])
            if signer is not None and key_id not in {signature.keyid for signature in signatures}:
                signed = bytes.fromhex(signer.sign(message).signature)
                signatures.append(dsse.Signature(key_id, base64.b64encode(signed).decode()))
        return canonical.encode(dsse.Envelope(payload_type, base64.b64encode(payload).decode(), signatures))

    def _signed(self, draft: Draft) -> Draft:
        self.sign(draft)
        return draft

    @staticmethod
    def _public(keys: Sequence[SigningKey]) -> list[Key]:
        return [key.key for key in keys]
