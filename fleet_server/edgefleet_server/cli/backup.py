"""``edgefleet server backup`` and ``restore``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.cli import output
from edgefleet_server.cli.options import Json
from edgefleet_server.clock import system_clock
from edgefleet_server.data_folder import for_the_owner_alone
from edgefleet_server.home import default_data

PASSPHRASE = "EDGEFLEET_BACKUP_PASSPHRASE"  # noqa: S105 - the name of a variable
_LENGTH = 12  # characters, at least: a thief of the file can guess for as long as they like

DataOption = Annotated[
    Path | None, typer.Option(help="The data folder. Default: EDGEFLEET_DATA, else $EDGEFLEET_HOME/server.")
]


def backup(
    *,
    out: Annotated[Path, typer.Option(help="The file to write. It must not exist yet.")],
    data: DataOption = None,
    with_keys: Annotated[
        bool,
        typer.Option(
            "--with-keys",
            help="Put certificate authority, online keys and admin token in as well, and seal the whole file with a "
            f"passphrase, asked for or from {PASSPHRASE}. Without them it takes a copy of ca/ and keys/ to restore.",
        ),
    ] = False,
    database: Annotated[str | None, typer.Option(help="SQLAlchemy URL. Default: SQLite in the data folder.")] = None,
    as_json: Json = False,
) -> None:
    """Write a backup of the server, which may go on running."""
    from sqlalchemy import make_url  # noqa: PLC0415 - `server --help` needs no database

    from edgefleet_server.backup.create import create  # noqa: PLC0415 - as above, and no cryptography

    passphrase = _new_passphrase() if with_keys else None
    elsewhere = None if database is None else Path(str(make_url(database).database))
    with for_the_owner_alone():
        table = create(data or default_data(), out, system_clock, database=elsewhere, passphrase=passphrase)
    size = out.stat().st_size
    if as_json:
        output.print_json({"backup": str(out), "bytes": size, "files": len(table.files), "schema": table.schema,
                           "keys": table.keys, "created": table.created})  # fmt: skip
        return
    output.out().print(f"{len(table.files)} files, {output.size(size)}: ", output.text(out))
    if not table.keys:
        output.note("The keys are not in it. Keep a copy of ca/, keys/ and admin.token elsewhere, or use --with-keys.")


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    *,
    data: Annotated[Path, typer.Option(help="Where to: a folder that is empty or not there.")],
    revocations: Annotated[
        Path | None,
        typer.Option(help="The newest revocation list of the lost server, such as revoked.crl of a broker elsewhere."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring a server's data folder back from a backup."""
    from edgefleet_server.backup.restore import restore as bring_back  # noqa: PLC0415 - as above

    with for_the_owner_alone():
        table = bring_back(file, data, _passphrase, revocations=revocations)
    if as_json:
        output.print_json({"data": str(data), "files": len(table.files), "schema": table.schema, "keys": table.keys,
                           "created": table.created})  # fmt: skip
        return
    output.out().print(f"{len(table.files)} files are back in ", output.text(data))
    if not table.keys:
        output.note("The keys were not in it: put ca/, keys/ and admin.token of the lost server in their place first.")
    output.out().print("Next: [bold]edgefleet server run[/], where devices can reach it as they did before.")


def _passphrase() -> str:
    return os.environ.get(PASSPHRASE) or _prompt(confirm=False)


def _new_passphrase() -> str:
    passphrase = os.environ.get(PASSPHRASE) or _prompt(confirm=True)
    if len(passphrase) < _LENGTH:
        raise UsageMalformed(
            f"The passphrase has {len(passphrase)} characters", expected=f"{_LENGTH} at least, such as five words"
        )
    return passphrase


def _prompt(*, confirm: bool) -> str:
    if not sys.stdin.isatty():
        raise UsageMalformed(
            "The backup needs a passphrase, and there is no terminal to ask on", remedy=f"Set {PASSPHRASE}."
        )
    return str(typer.prompt("Passphrase of the backup", hide_input=True, confirmation_prompt=confirm, err=True))
