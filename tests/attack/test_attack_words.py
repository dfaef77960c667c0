"""Words that are meant to be taken for something else: for SQL, for a password that everybody knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edgefleet_contract.errors import EdgefleetError
from edgefleet_server.data_folder import DataFolder
from edgefleet_server.devices import service as devices
from edgefleet_server.devices.groups import Selector, devices_of
from edgefleet_server.releases import service as releases
from edgefleet_server.rollouts import service as rollouts
from support.server_state import Inside
from support.unchanged import unchanged

pytestmark = pytest.mark.attack

HOSTILE = ["' OR '1'='1", "x'; DROP TABLE devices; --", "%", "_", '" OR ""="', "\\' OR 1=1 #", "x\0y", "all' --"]


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    with closing(Inside(tmp_path)) as opened:
        opened.device(site="south")
        yield opened


@pytest.mark.parametrize("text", HOSTILE)
def test_what_looks_like_sql_finds_nothing_and_changes_nothing(inside: Inside, text: str) -> None:
    with unchanged(inside.data.path), inside.database.read() as session:
        assert devices_of(session, Selector(("site", text))) == []
        assert devices.devices(session, Selector((text, "south")), after="", limit=10) == []
        for look in (devices.device, releases.release, rollouts.rollout):
            with pytest.raises(EdgefleetError):
                look(session, text)
            with pytest.raises(EdgefleetError):
                look(session, f"{text}@{text}")


def test_no_two_servers_share_a_password(tmp_path: Path) -> None:
    tokens = set()
    for number in range(3):
        with closing(DataFolder(tmp_path / str(number))) as folder:
            tokens.add(folder.admin_token())
            assert (folder.path / "admin.token").stat().st_mode & 0o077 == 0
    assert len(tokens) == 3
    assert all(len(token) >= 43 for token in tokens), "256 bits"
