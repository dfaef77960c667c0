"""``edgefleet key new`` and ``key init``: keys are made, and the trust root over them is begun."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from edgefleet_contract.errors import Conflict, OutputUnwritable, UsageMalformed
from edgefleet_contract.trust.repository import check_role
from edgefleet_server.cli import output, trust
from edgefleet_server.cli.options import Data, Json, Server
from edgefleet_server.client import Client
from edgefleet_server.clock import system_clock
from edgefleet_server.home import home
from edgefleet_server.publisher import public_keys
from edgefleet_server.publisher.keyring import OFFLINE_ROLES, ROOT, TARGETS, SigningKey, model_role
from edgefleet_server.publisher.publisher import Publisher

Encrypted = Annotated[
    bool, typer.Option("--passphrase", help="Encrypt the key files; EDGEFLEET_PASSPHRASE, else it is asked.")
]
Token = Annotated[
    str,
    typer.Option(metavar="URI", help="Make them in a token: pkcs11:token=T;object=NAME. PIN: EDGEFLEET_PKCS11_PIN."),
]
PublicKeys = list[Path] | None


def new(
    role: Annotated[str, typer.Argument(metavar="ROLE", help="root or targets.")],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where its public part goes.")],
    name: Annotated[str, typer.Option(help="Whose key it is, for lists.")] = "",
    passphrase: Encrypted = False,
    pkcs11: Token = "",
    as_json: Json = False,
) -> None:
    """Make a key on this machine, and write its public part for whoever begins or changes the trust root.

    The key has no power until a root names it: `key init --root-key FILE`, or `key rotate root --key FILE`.
    """
    if role not in OFFLINE_ROLES:
        raise UsageMalformed(f"The role is {role!r}", expected=" or ".join(OFFLINE_ROLES))
    if out.exists() or not out.absolute().parent.is_dir():  # told before a key is made
        raise OutputUnwritable(
            f"The public key cannot be written to {str(out)!r}", expected="a new file in a folder that is there"
        )
    keyring = Publisher(home()).keyring
    key = keyring.new(role, public_keys.check_name(name), passphrase=passphrase, token=pkcs11)
    public_keys.write(out, key)
    if as_json:
        output.print_json({"role": role, "id": key.id, "name": name, "path": keyring.where(key), "public": str(out)})
        return
    output.out().print(output.text(f"Made a {role} key: {keyring.where(key)}"))
    output.out().print(output.text(f"Its id is {key.id}; its public part is in {out}."))
    output.note(
        "Give that file to whoever runs `key init` or `key rotate`, and read them the id by another way. The private "
        "key stays here: keep a copy where no server is."
    )


def init(
    root_key: Annotated[
        PublicKeys,
        typer.Option(metavar="FILE", help="A root key of somebody else's, as `key new` wrote it; repeatable."),
    ] = None,
    targets_key: Annotated[
        PublicKeys, typer.Option(metavar="FILE", help="A targets key of somebody else's; repeatable.")
    ] = None,
    root_keys: Annotated[int, typer.Option(min=1, max=16, help="How many root keys to make here.")] = 1,
    root_threshold: Annotated[int, typer.Option(min=1, max=16, help="How many root keys must sign.")] = 1,
    targets_keys: Annotated[int, typer.Option(min=1, max=16, help="How many targets keys to make here.")] = 1,
    targets_threshold: Annotated[int, typer.Option(min=1, max=16, help="How many targets keys must sign.")] = 1,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="Make keys that sign releases of this model alone, beside the others.")
    ] = "",
    passphrase: Encrypted = False,
    pkcs11: Token = "",
    server: Server = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make the root and targets keys in $EDGEFLEET_HOME, unless they are there.

    With --root-key or --targets-key, begin a trust root over the keys of others and those of this machine, which are
    made if `key new` has made none: the server is asked for its keys, and what lacks signatures is written to a file
    for `key sign`.
    """
    publisher = Publisher(home())
    thresholds = {ROOT: root_threshold, TARGETS: targets_threshold}
    counts = {ROOT: root_keys, TARGETS: targets_keys}
    if root_key or targets_key:
        if model or root_keys > 1 or targets_keys > 1:
            raise UsageMalformed(
                "--root-key and --targets-key begin a trust root over keys that are made already",
                expected="neither --model, nor --root-keys or --targets-keys",
            )
        files = {ROOT: root_key or [], TARGETS: targets_key or []}
        with Client(server, data) as client:
            _begin_together(client, publisher, files, thresholds, (passphrase, pkcs11), as_json)
        return
    if model:
        roles = {model_role(check_role(model)): (targets_keys, targets_threshold)}
    else:
        roles = {role: (counts[role], thresholds[role]) for role in OFFLINE_ROLES}
    made = not (publisher.keyring.exists and all(publisher.keyring.threshold(role) for role in roles))
    if made:
        _make(publisher, roles, passphrase=passphrase, token=pkcs11)
    if as_json:
        output.print_json({"made": made, "home": str(home()), "root": publisher.repository().root_digest})
        return
    if not made:
        output.out().print(f"The keys in {home()} are there already; nothing was changed.")
        return
    output.out().print(f"Made the {' and '.join(roles)} keys in {home()}.")
    if not model:
        output.note(
            "Keep copies where no server is. Take the root keys offline after the first push or claim token: they are "
            "needed once a year, and to replace stolen keys. See docs/guide/trust.md."
        )


def read_public(paths: Sequence[Path], role: str) -> list[SigningKey]:
    """The keys of public files, told with their whole ids, which are to be compared with what their holders say.

    Raises:
        InputError: As :func:`public_keys.read`.
    """
    keys = [public_keys.read(path, role) for path in paths]
    for key in keys:
        output.note(f"Brought in: the {role} key {key.id}{f' of {key.name}' if key.name else ''}")
    return keys


def _make(publisher: Publisher, roles: dict[str, tuple[int, int]], *, passphrase: bool, token: str) -> None:
    """Make the keys of ``roles`` (how many, and how many must sign); where `key new` made some, they are used."""
    keyring, thresholds = publisher.keyring, {role: threshold for role, (_, threshold) in roles.items()}
    if keyring.exists and ROOT in roles and any(keyring.of(role) for role in OFFLINE_ROLES):
        publisher.settle(dict.fromkeys(OFFLINE_ROLES, ()), thresholds, passphrase=passphrase, token=token)
    else:
        counts = {role: count for role, (count, _) in roles.items()}
        keyring.make(counts, thresholds, passphrase=passphrase, token=token)


def _begin_together(
    client: Client,
    publisher: Publisher,
    files: dict[str, list[Path]],
    thresholds: dict[str, int],
    making: tuple[bool, str],
    as_json: bool,
) -> None:
    """Begin a trust root over keys of several machines, as far as the keys here can sign it."""
    others = {role: read_public(paths, role) for role, paths in files.items()}
    state = trust.look(client, publisher)
    if state.repository.roots:
        raise Conflict(
            "There is a trust root already",
            remedy="Bring keys into it: `edgefleet key rotate root --key FILE.pub`, and the same for targets.",
        )
    publisher.settle(others, thresholds, passphrase=making[0], token=making[1])
    draft = publisher.first(state.keys, system_clock())
    result = trust.end(client, publisher, draft)
    if as_json:
        output.print_json({"made": True, "home": str(publisher.folder), **result})
    else:
        trust.tell_end(draft, result)
