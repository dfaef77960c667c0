"""Inference for the programs of this device: Open Inference Protocol v2 over loopback HTTP or a Unix socket.

Source: KServe, "Predict Protocol - Version 2" (REST), so that clients of KServe and Triton work. Bodies go to the
inference child as they come; nothing here parses a tensor.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import msgspec

from edgefleet_agent import agent_version
from edgefleet_agent.served import Confirmed, ServedModel
from edgefleet_contract.errors import EdgefleetError, InferenceFailed, InputError, NotFound, UsageMalformed
from edgefleet_contract.manifest import TensorSpec

log = logging.getLogger(__name__)

BODY_LIMIT = 32 * 1024 * 1024  # bytes
_UNIX = "unix:"
_IDLE_S = 60.0  # a connection that says nothing for so long is closed


class InferenceServer:
    """The listener, with a thread for each connection.

    Args:
        listen: ``HOST:PORT`` or ``unix:PATH``.
        model: Answers the requests.
        status: Tells how the agent is, as JSON types.

    Attributes:
        url: Where it listens; ``unix:PATH`` for a socket.

    Raises:
        UsageMalformed: No such address, not of this device, or taken.
    """

    def __init__(self, listen: str, model: ServedModel, status: Callable[[], dict[str, object]]) -> None:
        handler = partial(_Handler, model, status)
        try:
            if listen.startswith(_UNIX):
                path = Path(listen.removeprefix(_UNIX))
                path.unlink(missing_ok=True)
                self._server: socketserver.BaseServer = _UnixServer(str(path), handler)
                path.chmod(0o600)
                self.url = listen
            else:
                host, port = _loopback(listen)
                server = _TcpServer((host, port), handler)
                self._server = server
                self.url = f"http://{host}:{server.server_address[1]}"
        except OSError as cause:
            raise UsageMalformed(
                f"The agent cannot listen on {listen!r}: {cause.strerror or cause}",
                remedy="Choose another with --listen.",
            ) from cause
        self._thread = threading.Thread(target=self._server.serve_forever, name="serving", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End; connections that are open are cut with the process."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _loopback(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    try:
        is_own = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host.strip("[]")).is_loopback
        number = int(port)
    except ValueError:
        is_own, number = False, -1
    if not is_own or not 0 <= number <= 65535:
        raise UsageMalformed(
            f"The address to listen on is {listen!r}",
            expected="HOST:PORT of the loopback, such as 127.0.0.1:8501, or unix:PATH",
            remedy="Inference is unauthenticated, and so for this device alone; put a proxy before it for others.",
        )
    return host.strip("[]"), number


class _TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def get_request(self) -> tuple[socket.socket, Any]:
        """A connection that sends at once: Nagle's algorithm would hold back a response's last bytes for 40 ms."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class _TensorMetadata(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]


class _ModelMetadata(msgspec.Struct):
    name: str
    versions: list[str]
    platform: str
    inputs: list[_TensorMetadata]
    outputs: list[_TensorMetadata]


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    wbufsize = -1  # a response leaves in one piece

    def __init__(self, model: ServedModel, status: Callable[[], dict[str, object]], *connection: Any) -> None:
        self._model = model
        self._status = status
        super().__init__(*connection)

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > BODY_LIMIT:
            self.close_connection = True
            self._send(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": f"A body needs a length of at most {BODY_LIMIT}"})
            return
        self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        try:
            self._check_host()
            self._route(body)
        except NotFound as error:
            self._send(HTTPStatus.NOT_FOUND, {"error": error.text()})
        except InputError as error:
            self._send(HTTPStatus.BAD_REQUEST, {"error": error.text()})
        except InferenceFailed as error:
            ready = self._model.is_ready
            self._send(
                HTTPStatus.INTERNAL_SERVER_ERROR if ready else HTTPStatus.SERVICE_UNAVAILABLE, {"error": error.text()}
            )
        except EdgefleetError as error:
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, {"error": error.text()})

    def _check_host(self) -> None:
        """Refuse names: a page in a browser that resolves its own name to the loopback must not reach the model."""
        host = self.headers.get("Host", "localhost").rpartition(":")[0] or self.headers.get("Host", "localhost")
        try:
            is_own = host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
        except ValueError:
            is_own = False
        if not is_own:
            raise UsageMalformed(f"The request is for the host {host!r}", expected="this device's loopback address")

    def _route(self, body: bytes) -> None:
        match (self.command, [part for part in self.path.split("?")[0].split("/") if part]):
            case "GET", ["edgefleet", "v1", "status"]:
                self._send(HTTPStatus.OK, self._status())
            case "GET", ["v2"]:
                self._send(HTTPStatus.OK, {"name": "edgefleet-agent", "version": agent_version(), "extensions": []})
            case "GET", ["v2", "health", "live"]:
                self._send(HTTPStatus.OK, {"live": True})
            case "GET", ["v2", "health", "ready"]:
                self._send_readiness()
            case "GET", ["v2", "models", name] | ["v2", "models", name, "versions", _] as path:
                self._send(HTTPStatus.OK, _metadata(self._find(name, path)))
            case "GET", ["v2", "models", name, "ready"] | ["v2", "models", name, "versions", _, "ready"] as path:
                self._find(name, path)
                self._send_readiness()
            case "POST", ["v2", "models", name, "infer"] | ["v2", "models", name, "versions", _, "infer"] as path:
                self._find(name, path)
                self._send_bytes(HTTPStatus.OK, self._model.infer(body))
            case _:
                raise NotFound(f"There is nothing at {self.command} {self.path!r}")

    def _find(self, name: str, path: list[str]) -> Confirmed:
        confirmed = self._model.confirmed
        version = path[4] if len(path) > 4 and path[3] == "versions" else None
        if confirmed is None:
            raise NotFound("This device has no confirmed model yet")
        manifest = confirmed.manifest
        if name != manifest.name or version not in (None, manifest.version):
            raise NotFound(
                f"There is no model {name!r}" + (f" of version {version!r}" if version else ""),
                expected=f"{manifest.name!r}, version {manifest.version!r}",
            )
        return confirmed

    def _send_readiness(self) -> None:
        ready = self._model.is_ready
        self._send(HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, {"ready": ready})

    def _send(self, status: HTTPStatus, document: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send_bytes(status, msgspec.json.encode(document), headers)

    def _send_bytes(self, status: HTTPStatus, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What ``http.server`` itself refuses, told as everything else: JSON, and 405 for a method it does not know."""
        self.close_connection = True  # a body may follow that nobody reads
        if code == HTTPStatus.NOT_IMPLEMENTED:
            error = f"The method {self.command!r} is not served; expected GET or POST"
            self._send(HTTPStatus.METHOD_NOT_ALLOWED, {"error": error}, {"Allow": "GET, POST"})
        else:
            self._send(HTTPStatus(code), {"error": message or explain or HTTPStatus(code).phrase})

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in http.server
        """Requests are counted, not logged."""

    def address_string(self) -> str:
        """Who asks; a Unix socket has no address."""
        return str(self.client_address)


def _metadata(confirmed: Confirmed) -> _ModelMetadata:
    manifest = confirmed.manifest
    platform = {"tflite": "tflite_litert", "onnx": "onnx_onnxruntime"}.get(manifest.format, manifest.format)
    return _ModelMetadata(
        manifest.name,
        [manifest.version],
        platform,
        [_TensorMetadata(spec.name, _input_datatype(spec), [-1, *spec.shape[1:]]) for spec in manifest.inputs],
        [_TensorMetadata(spec.name, "FP32", [-1, *spec.shape[1:]]) for spec in manifest.outputs],
    )


def _input_datatype(spec: TensorSpec) -> str:
    """What callers send: real values, also where the artifact quantises them; integers where they mean themselves."""
    return "FP32" if spec.quantisation is not None or spec.dtype.startswith("float") else spec.dtype.upper()
