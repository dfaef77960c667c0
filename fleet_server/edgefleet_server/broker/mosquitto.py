"""mosquitto as the broker child: its configuration, with mutual TLS and an access list.

Source: mosquitto.conf(5) of mosquitto 2.0. ``use_identity_as_username`` makes the certificate's subject the user
name, and ``use_username_as_clientid`` makes that the client id: without the second, a device could name another one's
client id and take over its session.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from edgefleet_server.broker import kick
from edgefleet_server.broker.acl import NOTHING, mosquitto_acl
from edgefleet_server.broker.settings import (
    INFLIGHT_MESSAGES,
    MESSAGE_BYTES,
    QUEUED_BYTES,
    QUEUED_MESSAGES,
    BrokerSettings,
)
from edgefleet_server.data_folder import write_durable

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2: with forward secrecy and authenticated
_SBIN = "/usr/sbin:/usr/local/sbin"  # where Debian has it, and users' PATH has not


def program() -> str | None:
    """Where mosquitto is installed; None when it is not."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")


def prepare(settings: BrokerSettings, executable: str) -> list[str]:
    """Write configuration and access lists; returns the command that runs mosquitto with them, in their folder."""
    return [executable, "-c", str(_write(settings))]


def write_for_elsewhere(settings: BrokerSettings) -> None:
    """Write what an operator copies to the machine on which mosquitto runs, with the program that ends sessions."""
    _write(settings)
    write_durable(settings.folder / "kick.py", Path(kick.__file__).read_bytes())


def _write(settings: BrokerSettings) -> Path:
    write_durable(settings.folder / "acl", mosquitto_acl(settings.servers).encode())
    write_durable(settings.folder / "acl-nothing", NOTHING.encode())
    configuration = settings.folder / "mosquitto.conf"
    write_durable(configuration, _configuration(settings).encode())
    return configuration


def _configuration(settings: BrokerSettings) -> str:
    # Seen from the folder in which the child is started: a socket's path has room for 107 characters.
    door = settings.door.name if settings.is_child else settings.door
    return f"""\
# Written by edgefleet at each start. For a mosquitto on another machine (--broker mqtts://HOST:PORT) copy this file
# and the six that it names, and adapt the paths; the user line is only for one that root starts.
per_listener_settings true
{_user_line()}
# The server publishes all that was retained again when it connects, so nothing needs to be kept on disk.
persistence false

{f"listener {settings.port} {settings.host}".strip()}
cafile {settings.authority}
certfile {settings.listener.certificate}
keyfile {settings.listener.key}
# The list of revoked certificates, read again at SIGHUP. Resumed TLS sessions do not outlive it.
crlfile {settings.revocations}
# 1.2 is the lowest; 1.3 is taken as well.
tls_version tlsv1.2
ciphers {CIPHERS}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
allow_anonymous false
acl_file {settings.folder / "acl"}

# For who can enter this folder alone: a connection here takes over the session of a device and so ends it (kick.py).
listener 0 {door}
allow_anonymous true
acl_file {settings.folder / "acl-nothing"}

max_queued_messages {QUEUED_MESSAGES}
max_queued_bytes {QUEUED_BYTES}
max_inflight_messages {INFLIGHT_MESSAGES}
max_packet_size {MESSAGE_BYTES}
set_tcp_nodelay true
persistent_client_expiration 30d

log_dest stderr
log_type error
log_type warning
log_type notice
connection_messages false
"""


def _user_line() -> str:
    """Mosquitto started by root would become another user, who cannot read the keys."""
    return f"user {pwd.getpwuid(os.geteuid()).pw_name}" if os.geteuid() == 0 else ""
