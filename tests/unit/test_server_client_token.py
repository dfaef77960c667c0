"""Which server gets which token of an operator."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from edgefleet_contract.errors import Unauthorized, UsageMalformed
from edgefleet_server.client import Client
from edgefleet_server.data_folder import addresses_path, admin_token_path

ADMIN_TOKEN = "the-token-of-this-data-folder"


class Listener:
    """Answers like a server that lets nobody in, and notes what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                listener.shown.append(self.headers.get("Authorization", "").removeprefix("Bearer").strip())
                content = json.dumps({"error": Unauthorized("Not you").as_json()}).encode()
                self.send_response(401)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Nothing to stderr."""

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EDGEFLEET_TOKEN", raising=False)
    monkeypatch.delenv("EDGEFLEET_SERVER", raising=False)
    admin_token_path(tmp_path).write_text(ADMIN_TOKEN + "\n")
    addresses_path(tmp_path).write_text(json.dumps({"console": "http://127.0.0.1:1"}))
    return tmp_path


def test_the_token_of_a_data_folder_goes_to_the_server_of_that_folder(data: Path, listener: Listener) -> None:
    addresses_path(data).write_text(json.dumps({"console": listener.url}))
    for url in (None, listener.url, listener.url + "/"):
        with Client(url, data) as client, pytest.raises(Unauthorized):
            client.get("/devices")
    assert listener.shown == [ADMIN_TOKEN] * 3


@pytest.mark.attack
@pytest.mark.parametrize("by", ["--server", "EDGEFLEET_SERVER"])
def test_the_token_of_a_data_folder_goes_to_no_other_server(
    data: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    monkeypatch.setenv("EDGEFLEET_SERVER", listener.url)
    with Client(listener.url if by == "--server" else None, data) as client, pytest.raises(Unauthorized) as refusal:
        client.get("/devices")
    assert listener.shown == [""]
    assert "belongs to the server at http://127.0.0.1:1" in refusal.value.text()


def test_a_token_that_is_given_goes_to_the_server_that_is_given(
    data: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEFLEET_TOKEN", "given")
    with Client(listener.url, data) as client, pytest.raises(Unauthorized):
        client.get("/devices")
    assert listener.shown == ["given"]


@pytest.mark.attack
def test_no_token_crosses_a_network_in_the_clear(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses_path(data).write_text(json.dumps({"console": "http://192.0.2.1:8080"}))
    with pytest.raises(UsageMalformed, match="in the clear"):
        Client(None, data)
    monkeypatch.setenv("EDGEFLEET_TOKEN", "given")
    with pytest.raises(UsageMalformed, match="in the clear"):
        Client("http://fleet.example:8080", data)
    Client("https://fleet.example:8080", data).__exit__(None, None, None)


@pytest.mark.parametrize("url", ["garbage", "ftp://127.0.0.1", "http://", "127.0.0.1:8080"])
def test_what_is_no_address_is_wrong_usage(data: Path, url: str) -> None:
    with pytest.raises(UsageMalformed, match="address"):
        Client(url, data)
