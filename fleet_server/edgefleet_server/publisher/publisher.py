"""The operator's machine: his keys, his copy of what was signed, and what he signs next.

``$EDGEFLEET_HOME`` (see ``home``) holds ``keys.json`` and ``keys/``, readable by their owner alone, and
``metadata.json``. Keys are made at the first push, claim token or ``key init``; metadata with the first server.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from securesystemslib.signer import Key
from tuf.api.metadata import Root

from edgefleet_contract import canonical, dsse, trust
from edgefleet_contract.errors import Conflict, InputError, NotFound
from edgefleet_server.publisher import drafts
from edgefleet_server.publisher.draft import Draft
from edgefleet_server.publisher.keyring import (
    OFFLINE_ROLES,
    ROOT,
    TARGETS,
    Keyring,
    SigningKey,
    check_threshold,
    model_role,
)
from edgefleet_server.publisher.own_copy import OwnCopy
from edgefleet_server.publisher.role_change import RoleChange, check_distinct
from edgefleet_server.publisher.statement import StatedRelease
from edgefleet_server.trust.repository import Repository, parse, split_name
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
                    remedy="Use the keys that this fleet was begun with: copy the EDGEFLEET_HOME that has them. To "
                    "join a fleet of others, sign what they began: `edgefleet key sign FILE`.",
                    present=grown.root_digest,
                )
        return grown

    def grown(self, draft: Draft) -> Repository:
        """The own copy with a draft that is complete, and with what is newer of what the draft builds on.

        Raises:
            SignatureInvalid: It is not complete.
            Conflict: It builds on what has been replaced since.
        """
        own = self.repository()
        versions, base = own.versions(), draft.base.files()
        news = {name for name in base for role, version in [split_name(name)] if version > versions.get(role, 0)}
        return own.grown({**{name: base[name] for name in news}, **draft.files()})

    def settle(
        self,
        others: Mapping[str, Sequence[SigningKey]],
        thresholds: Mapping[str, int],
        *,
        passphrase: bool = False,
        token: str = "",
    ) -> None:
        """Say which keys the first root is to name: those made here, and ``others``.

        Args:
            others: Keys of root and targets that are elsewhere. A role of which none is here is made one.
            thresholds: How many of each role must sign.
            passphrase: Whether the files of keys that are made here are encrypted.
            token: PKCS #11 URI of the token that makes them; empty for files.

        Raises:
            Conflict: A key is given twice.
            UsageMalformed: A threshold that the keys cannot meet.
            OutputUnwritable: The folder cannot be written.
        """
        lacking = []
        for role in OFFLINE_ROLES:
            own = {key.id for key in self._listed(role) if key.is_own}
            check_distinct(others[role])
            count = max(len(own), 1) + len({key.id for key in others[role]} - own)
            check_threshold(role, count, thresholds[role])
            if not own:
                lacking.append(role)
        for role in lacking:
            self.keyring.new(role, "", passphrase=passphrase, token=token)
        self.keyring.adopt([key for role in OFFLINE_ROLES for key in others[role]], thresholds, instead=True)

    def first(self, server: ServerKeys, now: int) -> Draft:
        """The first root and targets, signed by what is here.

        Raises:
            InputError: Keys were made here, and nobody has said yet whether others join them.
        """
        roles = {}
        for role in OFFLINE_ROLES:
            threshold = self.keyring.threshold(role)
            if threshold is None:
                raise InputError(
                    f"The keys in {str(self.folder)!r} belong to no trust root yet",
                    remedy="Begin one on one machine, with the public keys of everybody: `edgefleet key init "
                    "--root-key FILE.pub --targets-key FILE.pub`; on the others, sign the file that it writes.",
                )
            roles[role] = (self._public(self.keyring.of(role)), threshold)
        return self._signed(drafts.first(self.repository(), roles[ROOT], roles[TARGETS], server, now))

    def joined(self, draft: Draft) -> None:
        """List the keys that a draft names, once its reader has signed it: so a key holder becomes one of its fleet.

        Raises:
            OutputUnwritable: The folder cannot be written.
        """
        root, listed, thresholds = draft.root, list[SigningKey](), dict[str, int]()
        for role in OFFLINE_ROLES:
            said = root.roles[role]
            for key_id in said.keyids:
                public = root.keys[key_id].to_dict()
                listed.append(SigningKey(role, key_id, public, place="", name=draft.names.get(key_id, "")))
            if self.keyring.threshold(role) is None:
                thresholds[role] = said.threshold
        self.keyring.adopt(listed, thresholds)
        if draft.base.roots and not self.repository().roots:
            self.keep(draft.base)

    def release(self, base: Repository, stated: StatedRelease, now: int) -> Draft:
        """A release, signed by what is here; nothing new when it is there already."""
        role = model_role(stated.release.name)
        own = self._listed(role)
        threshold = self.keyring.threshold(role) if own else None
        model_keys = (self._public(own), threshold) if threshold is not None else None
        return self._signed(drafts.release(base, stated, model_keys, now))

    def withdrawal(self, base: Repository, label: str, now: int) -> Draft:
        """A model's role without the release NAME@VERSION, signed by what is here."""
        return self._signed(drafts.withdrawal(base, label, now))

    def rotation(
        self,
        base: Repository,
        offline: Sequence[str],
        server: ServerKeys,
        online: Sequence[str],
        now: int,
        *,
        change: RoleChange | None = None,
        passphrase: bool = False,
        token: str = "",
    ) -> Draft:
        """A new root with other keys for some roles, signed by what is here.

        Args:
            base: What it builds on.
            offline: Roles that change: "root", "targets". The keys of this machine are replaced by fresh ones, as many
                as there were; those of other people stay.
            server: The server's public keys.
            online: Roles that get the server's: "online", "assignment".
            now: UTC milliseconds.
            change: What changes for the roles in ``offline``, in place of fresh keys.
            passphrase: Whether the files of the fresh keys are encrypted.
            token: PKCS #11 URI of the token that makes them; empty for files.

        Raises:
            EdgefleetError: As :meth:`RoleChange.applied`; or no key of the role was made on this machine.
        """
        if change is not None:
            keys = {role: change.applied(base.root, role) for role in offline}
            self.keyring.adopt(change.add, {})
        else:
            keys = self._replaced(base, offline, passphrase=passphrase, token=token)
        return self._signed(drafts.rotation(base, keys, server, online, now))

    def model_rotation(
        self, base: Repository, name: str, now: int, *, passphrase: bool = False, token: str = ""
    ) -> Draft:
        """Fresh keys of this machine, which alone speak for a released model; as many as it had of its own, else one.

        Raises:
            NotFound: It was never released.
        """
        present, role = base.delegated(name), model_role(name)
        if present is None:
            raise NotFound(f"There is no model {name!r}", remedy="`edgefleet release list` shows the releases of each.")
        count, threshold = (len(present.keyids), present.threshold) if name in drafts.own_keys(base) else (1, 1)
        made = self.keyring.make({role: count}, {role: threshold}, passphrase=passphrase, token=token)
        return self._signed(drafts.model_rotation(base, name, (self._public(made), threshold), now))

    def named_once(self) -> set[str]:
        """Every key that some version of the root has named."""
        return {key_id for root in self.repository().roots for key_id in parse(root, Root, "root").signed.keys}

    def powerless(self) -> list[SigningKey]:
        """Keys on this machine that a root once named, and the newest metadata do not any more."""
        gone = self.named_once() - self.repository().key_ids()
        return [key for key in self.keyring.all() if key.id in gone and self.keyring.is_here(key)]

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

    def _replaced(
        self, base: Repository, roles: Sequence[str], *, passphrase: bool, token: str
    ) -> dict[str, tuple[list[Key], int]]:
        """The keys of ``roles`` with fresh ones in place of those that were made on this machine."""
        own = {key.id: key for key in self.keyring.all() if key.is_own}
        mine = {role: [own[key_id] for key_id in base.root.roles[role].keyids if key_id in own] for role in roles}
        for role in roles:
            if not mine[role]:
                raise InputError(
                    f"None of the {role} keys was made on this machine",
                    remedy="Bring a new one in, and drop another: "
                    f"`edgefleet key rotate {role} --key FILE.pub --drop KEYID`.",
                )
        replaced = {}
        for role in roles:
            fresh = [self.keyring.new(role, old.name, passphrase=passphrase, token=token) for old in mine[role]]
            change = RoleChange(add=fresh, drop=[old.id for old in mine[role]])
            replaced[role] = change.applied(base.root, role)
        return replaced

    def _listed(self, role: str) -> list[SigningKey]:
        return self.keyring.of(role) if self.keyring.exists else []

    def _signed(self, draft: Draft) -> Draft:
        self.sign(draft)
        return replace(draft, names=self.keyring.names())

    @staticmethod
    def _public(keys: Sequence[SigningKey]) -> list[Key]:
        return [key.key for key in keys]
