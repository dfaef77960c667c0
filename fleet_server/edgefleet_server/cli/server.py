"""``edgefleet server``: run the fleet server, bring its database up to date, back it up and restore it."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from edgefleet_contract.manifest import RETENTION_LIMIT
from edgefleet_server.addresses import Addresses
from edgefleet_server.cli import backup, output
from edgefleet_server.cli.options import Json, group
from edgefleet_server.config import CONSOLE_PORT, LOOPBACK, ServerConfig
from edgefleet_server.data_folder import (
    DataFolder,
    admin_token_path,
    check_present,
    for_the_owner_alone,
    is_admin_token_retired,
)
from edgefleet_server.erasure.terms import Terms
from edgefleet_server.home import default_data
from edgefleet_server.stop_signals import StopSignals

app = group()
app.info.help = "The fleet server."
app.command()(backup.backup)
app.command()(backup.restore)

DataFolderOption = Annotated[
    Path | None, typer.Option(help="The data folder. Default: EDGEFLEET_DATA, else $EDGEFLEET_HOME/server.")
]
DatabaseOption = Annotated[str | None, typer.Option(help="SQLAlchemy URL. Default: SQLite in the data folder.")]


@app.command()
def run(
    *,
    data: DataFolderOption = None,
    host: Annotated[
        str,
        typer.Option(
            help="Where devices and broker are served, with TLS. The console goes there too only with --certificate; "
            "without one it stays on loopback."
        ),
    ] = LOOPBACK,
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="The console's port. 0 takes free ports at the first start, and keeps them."
        ),
    ] = CONSOLE_PORT,
    device_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port for enrolment. Default 8443, or a free one with --port 0."),
    ] = None,
    broker_port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of the broker. Default 8883, or a free one with --port 0."),
    ] = None,
    public_url: Annotated[
        str | None,
        typer.Option(help="https://NAME:PORT at which devices reach this server, if not --host and --device-port."),
    ] = None,
    database: DatabaseOption = None,
    broker: Annotated[
        str,
        typer.Option(help="embedded (mosquitto if installed, else amqtt), mosquitto, amqtt, or mqtts://HOST:PORT."),
    ] = "embedded",
    certificate: Annotated[Path | None, typer.Option(help="PEM certificate for the console.")] = None,
    certificate_key: Annotated[Path | None, typer.Option(help="PEM private key of --certificate.")] = None,
    telemetry_days: Annotated[
        int, typer.Option(min=1, max=RETENTION_LIMIT, help="Days that telemetry is kept.")
    ] = Terms.telemetry,
    sample_days: Annotated[
        int, typer.Option(min=1, max=RETENTION_LIMIT, help="Days that a raw sample is kept, if its consent says more.")
    ] = Terms.samples,
    as_json: Json = False,
) -> None:
    """Run until SIGTERM or SIGINT. With --json, one line of JSON on stdout tells the addresses when it is ready."""
    config = ServerConfig(
        data=data or default_data(),
        host=host,
        port=port,
        device_port=device_port,
        broker_port=broker_port,
        public_url=public_url,
        database=database,
        broker=broker,
        certificate=certificate,
        certificate_key=certificate_key,
        terms=Terms(telemetry_days, sample_days),
    ).checked()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s %(message)s"
    )
    for chatty in ("alembic", "uvicorn"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    from edgefleet_server.server import FleetServer  # noqa: PLC0415 - `server --help` needs no database and no web

    stop = StopSignals()
    with for_the_owner_alone():
        server = FleetServer(config)
        server.start()
        try:
            _tell_ready(server.addresses, config, as_json=as_json)
            stop.wait()
        finally:
            server.stop()


@app.command()
def upgrade(data: DataFolderOption = None, database: DatabaseOption = None, as_json: Json = False) -> None:
    """Bring the database's schema up to this version. Stop the server and copy its data folder first."""
    from edgefleet_server import migrate  # noqa: PLC0415 - `server --help` needs no database
    from edgefleet_server.db import Database  # noqa: PLC0415 - as above

    path = data or default_data()
    check_present(path)
    with (
        for_the_owner_alone(),
        closing(DataFolder(path)) as folder,
        closing(Database(database or folder.database_url)) as opened,
    ):
        revision = migrate.upgrade(opened)
    if as_json:
        output.print_json({"schema": revision})
    else:
        output.out().print(f"The database has schema {revision}, the newest.")


def _tell_ready(addresses: Addresses, config: ServerConfig, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({**addresses.as_json(), "data": str(config.data)}) + "\n")
        sys.stdout.flush()
        return
    console = output.out()
    console.print("[bold green]The fleet server is ready.[/]")
    rows = output.properties()
    rows.add_row("Console", output.text(addresses.console))
    retired = is_admin_token_retired(config.data)
    rows.add_row("Admin token", output.text("retired: users sign in" if retired else admin_token_path(config.data)))
    rows.add_row("Devices enroll at", output.text(addresses.devices))
    rows.add_row("Broker", output.text(f"{addresses.broker.host}:{addresses.broker.port}"))
    console.print(rows)
    if config.console_host != config.host:
        output.note(f"Without --certificate the console stays on {config.console_host}; devices reach {config.host}.")
    console.print("Next: [bold]edgefleet device token[/]    Ctrl-C stops the server.")
