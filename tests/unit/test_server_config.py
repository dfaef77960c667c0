"""Settings, data folder, addresses, schema and the other small parts of a server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from edgefleet_contract.enrolment import BrokerAddress
from edgefleet_contract.errors import DataFolderInUse, DataFolderMalformed, UsageMalformed
from edgefleet_server import addresses, migrate
from edgefleet_server.cli.options import milliseconds, pairs, percent
from edgefleet_server.config import ServerConfig, is_loopback
from edgefleet_server.data_folder import DataFolder, write_durable
from edgefleet_server.db import Database
from edgefleet_server.metrics import Metrics
from edgefleet_server.models import Base
from edgefleet_server.worker import Worker

DATA = Path("/nowhere")


@pytest.mark.attack
def test_beyond_loopback_the_console_needs_a_certificate() -> None:
    plain = ServerConfig(DATA, host="192.0.2.7").checked()
    assert plain.console_host == "127.0.0.1"
    assert plain.public_host == "192.0.2.7"
    with_tls = ServerConfig(DATA, host="192.0.2.7", certificate=DATA / "c", certificate_key=DATA / "k").checked()
    assert with_tls.console_host == "192.0.2.7"
    assert ServerConfig(DATA, host="::1").checked().console_host == "::1"


@pytest.mark.parametrize(
    "config",
    [
        ServerConfig(DATA, host="0.0.0.0"),
        ServerConfig(DATA, host="::"),
        ServerConfig(DATA, public_url="http://fleet.example.org"),
        ServerConfig(DATA, public_url="https://"),
        ServerConfig(DATA, public_url="https://fleet:99999"),
        ServerConfig(DATA, broker="rabbitmq"),
        ServerConfig(DATA, broker="mqtt://127.0.0.1"),
        ServerConfig(DATA, certificate=DATA / "cert.pem"),
        ServerConfig(DATA, certificate_key=DATA / "cert.key"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(config: ServerConfig) -> None:
    with pytest.raises(UsageMalformed):
        config.checked()


@pytest.mark.parametrize("url", ["nonsense", "postgresql://nobody@nowhere/x", ""])
def test_a_database_that_we_cannot_use_is_refused(url: str) -> None:
    with pytest.raises(UsageMalformed):
        Database(url)


def test_where_devices_find_what() -> None:
    ports = addresses.Ports(8080, 8443, 8883)
    near = addresses.describe(ServerConfig(DATA), ports)
    assert (near.console, near.devices) == ("http://127.0.0.1:8080", "https://127.0.0.1:8443")
    config = ServerConfig(DATA, host="0.0.0.0", public_url="https://fleet.example.org:443", broker="mqtts://mq:1")
    far = addresses.describe(config, ports)
    assert (far.console, far.devices) == ("http://127.0.0.1:8080", "https://fleet.example.org:443")
    assert far.broker == BrokerAddress("mq", 1)
    assert addresses.describe(ServerConfig(DATA, host="::1"), ports).devices == "https://[::1]:8443"


def test_free_ports_are_kept_from_one_start_to_the_next(tmp_path: Path) -> None:
    config = ServerConfig(tmp_path, port=0)
    first = addresses.choose_ports(config)
    assert first.broker > 0
    chosen = addresses.Ports(1, 2, 3)
    addresses.remember(config, addresses.describe(config, chosen), chosen)
    assert addresses.choose_ports(config) == chosen
    assert addresses.choose_ports(ServerConfig(tmp_path)) == addresses.Ports(8080, 8443, 8883)
    assert addresses.choose_ports(ServerConfig(tmp_path, port=0, broker_port=9)).broker == 9
    assert addresses.console_of(tmp_path) == "http://127.0.0.1:1"
    (tmp_path / "addresses.json").write_text("half of a li")
    assert addresses.console_of(tmp_path) is None


@pytest.mark.parametrize(
    ("host", "near"), [("localhost", True), ("127.9.9.9", True), ("::1", True), ("8.8.8.8", False)]
)
def test_loopback_is_recognised(host: str, near: bool) -> None:
    assert is_loopback(host) == near


def test_a_data_folder_is_made_locked_and_private(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data")
    token = folder.admin_token()
    assert len(token) >= 40
    assert folder.admin_token() == token
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    with pytest.raises(DataFolderInUse):
        DataFolder(tmp_path / "data")
    folder.close()
    DataFolder(tmp_path / "data").close()


def test_a_folder_that_is_not_ours_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(DataFolderMalformed, match="not those of a fleet server"):
        DataFolder(tmp_path)
    with pytest.raises(DataFolderMalformed, match="is a file"):
        DataFolder(tmp_path / "letter.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_durable(tmp_path / "file", b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        write_durable(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_migrations_make_the_schema_of_the_models(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        command.check(migrate.configuration(connection))
    database.close()


def test_the_schema_is_made_checked_and_refused(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    migrate.prepare(database)
    migrate.prepare(database)
    for revision, remedy in (("9999", "newer edgefleet"), ("0000", "newer edgefleet")):
        with sqlite3.connect(tmp_path / "db") as raw:
            raw.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        raw.close()
        for act in (migrate.prepare, migrate.upgrade):
            with pytest.raises(DataFolderMalformed, match=remedy):
                act(database)
    database.close()


def test_sqlite_is_as_durable_as_it_can_be(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'db'}")
    with database.engine.connect() as connection:
        asked = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in
                 ("journal_mode", "synchronous", "foreign_keys")}  # fmt: skip
    assert asked == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 500), ("30s", 30_000), ("1.5m", 90_000), ("10min", 600_000), ("7d", 604_800_000)]
)
def test_durations_have_units(text: str, value: int) -> None:
    assert milliseconds("--probation", text) == value


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1 s", "1e3s", "ten minutes"])
def test_what_is_no_duration_is_told(text: str) -> None:
    with pytest.raises(UsageMalformed, match="--probation is"):
        milliseconds("--probation", text)


def test_percentages_and_pairs() -> None:
    assert percent("--stage", "12.5%") == 12.5
    assert pairs("--tag", ["a=b", "c=d=e"]) == {"a": "b", "c": "d=e"}
    for wrong in ("10", "10 %", "-1%"):
        with pytest.raises(UsageMalformed):
            percent("--stage", wrong)
    for wrong in ("a", "=b", "a="):
        with pytest.raises(UsageMalformed):
            pairs("--tag", [wrong])


def test_metrics_are_counted_and_escaped() -> None:
    metrics = Metrics()
    metrics.count_message("reported", "stored")
    metrics.count_message("reported", "stored")
    metrics.count_block(1000)
    metrics.count_broker_restart()
    text = metrics.render(broker_connected=False, gauges={"g": ("Help.", {(("k", 'a"b\\c\nd'),): 1.5})})
    assert 'edgefleet_messages_total{kind="reported",result="stored"} 2' in text
    assert "edgefleet_block_bytes_sent_total 1000" in text
    assert "edgefleet_broker_restarts_total 1" in text
    assert "edgefleet_broker_connected 0" in text
    assert 'g{k="a\\"b\\\\c\\nd"} 1.5' in text


def test_a_worker_that_fails_tries_again_and_stops_when_told(caplog: pytest.LogCaptureFixture) -> None:
    from support.server_runs import until

    runs: list[int] = []

    def act() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise RuntimeError("the first time")

    worker = Worker("test", act, 600.0)
    worker.stop()
    assert runs == [], "stopped before it began"
    worker = Worker("test", act, 600.0)
    worker.start()
    until(lambda: len(runs) == 1)
    worker.wake()
    until(lambda: len(runs) == 2)
    worker.stop()
    assert "worker=test failed and will try again" in caplog.text
