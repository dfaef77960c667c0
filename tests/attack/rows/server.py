"""The server's own state: backups, what was restored, and what it ships with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from attack.defence import Defence, answering, value

_BACKUP = "tests/unit/test_server_backup.py"
_RESTORED = "tests/attack/test_attack_restored.py"
_PLANTED = "tests/attack/test_attack_planted_modules.py"
_TOKEN = "tests/unit/test_server_client_token.py"
_WORDS = "tests/attack/test_attack_words.py"


def _any_certificate(_original: Any) -> Any:
    """The certificate of whoever asks."""

    def check_issued(_self: Any, pem: str, _device: str) -> Any:
        from cryptography import x509

        return x509.load_pem_x509_certificate(pem.encode())

    return check_issued


def _from_the_working_folder(original: Any) -> Any:
    """Python as it starts by default."""
    return lambda command, **options: original([word for word in command if word != "-P"], **options)


def _with_secrets(original: Any) -> Any:
    return lambda data, **_: original(data, secrets=True)


def _unsealed(_original: Any) -> Any:
    @contextmanager
    def sealed(file: Any, _passphrase: str | None) -> Iterator[Any]:
        yield file

    return sealed


def _concatenated(_original: Any) -> Any:
    """The query as a careless programmer would write it."""

    def query(self: Any) -> Any:
        from sqlalchemy import select, text

        from edgefleet_server.devices.models import Device, Tag

        key, wanted = self.tag
        return select(Device).join(Tag).where(text(f"key = '{key}' AND value = '{wanted}'".replace("\0", "")))

    return query


ROWS = (
    Defence(
        "a restored server has forgotten what it assigned, and its devices take it for a replay",
        "sequences go on above the database, what devices report, and Unix seconds",
        (
            f"{_RESTORED}::test_a_restored_server_goes_on_above_what_its_devices_report",
            f"{_RESTORED}::test_a_restored_server_goes_on_above_what_it_cannot_know",
            "tests/integration/test_server_restore.py::test_a_fleet_goes_on_after_its_server_was_lost_and_restored",
        ),
        {
            "edgefleet_server.rollouts.assignments.next_sequence": lambda _: (
                lambda _session, device, _now: device.sequence + 1
            )
        },
    ),
    Defence(
        "a device that the restored server does not know speaks",
        "nothing of it is taken, and an alert names it",
        (f"{_RESTORED}::test_a_device_that_the_backup_forgot_changes_nothing_and_is_told",),
        {"edgefleet_server.alerts.senders.tell_unknown": answering()},
    ),
    Defence(
        "a claim token that was used after the backup opens the restored server",
        "a restore lets every open claim token expire",
        (f"{_BACKUP}::test_a_claim_token_of_a_restored_backup_opens_nothing",),
        {"edgefleet_server.backup.old_rights._end_claims": answering()},
    ),
    Defence(
        "a batch that was closed after the backup takes devices in again",
        "a restore closes every open batch",
        (f"{_RESTORED}::test_a_batch_of_a_restored_backup_takes_nobody_in",),
        {"edgefleet_server.backup.old_rights._end_claims": answering()},
    ),
    Defence(
        "a session, setup word or API token that was ended after the backup opens the restored server",
        "a restore ends all of them, and stands in the audit log",
        (f"{_RESTORED}::test_no_session_word_or_token_of_a_restored_backup_opens_the_server",),
        {
            "edgefleet_server.backup.old_rights._end_sign_ins": answering(),
            "edgefleet_server.backup.old_rights._end_api_tokens": answering(),
        },
    ),
    Defence(
        "a device that was revoked after the backup comes back by way of the restored server",
        "a surviving revocation list is taken up by `restore --revocations`, and a revoked certificate is not renewed",
        (
            f"{_RESTORED}::test_a_device_of_a_surviving_revocation_list_is_not_let_in_again",
            f"{_RESTORED}::test_a_revocation_list_of_somebody_else_is_refused",
        ),
        {"edgefleet_server.backup.old_rights.revoke": answering()},
    ),
    Defence(
        "a restored server takes any key of the fleet for that of a device whose key it has forgotten",
        "only a key that the authority certified for this device, and only with the operator's token for it",
        (
            f"{_RESTORED}::test_a_device_that_renewed_after_the_backup_comes_back_with_its_own_token_alone",
            f"{_RESTORED}::test_a_key_that_was_revoked_is_not_taken_up_with_a_token",
        ),
        {"edgefleet_server.authority.Authority.check_issued": _any_certificate},
        ends_with="IdentityMismatch",  # of the agent, which gets another device's certificate
    ),
    Defence(
        "a thief finds a backup without keys",
        "what is not known to be public is taken for a secret, and left out",
        (f"{_BACKUP}::test_without_a_passphrase_no_secret_is_in_a_backup",),
        {"edgefleet_server.backup.create.files_of": _with_secrets},
    ),
    Defence(
        "a thief finds a backup with keys",
        "all of it is sealed by a passphrase (scrypt, AES-256-GCM)",
        (f"{_BACKUP}::test_a_sealed_backup_shows_nothing_without_its_passphrase",),
        {"edgefleet_server.backup.create._sealed": _unsealed},
    ),
    Defence(
        "a backup was damaged or changed",
        "hash of every file, and a sound database, before the data folder gets its name",
        (f"{_BACKUP}::test_a_damaged_backup_leaves_nothing_behind",),
        {"edgefleet_server.backup.restore._check_hash": answering()},
    ),
    Defence(
        "a backup that writes outside the data folder (paths, links)",
        "only regular files whose names a data folder has, in the order of the table of contents",
        (
            f"{_BACKUP}::test_a_table_that_names_what_no_data_folder_holds_is_refused",
            f"{_BACKUP}::test_a_link_in_place_of_a_file_is_refused",
        ),
        {"edgefleet_server.backup.contents._NAME": value(re.compile(".*", re.DOTALL))},
    ),
    Defence(
        "whoever can write where agent or server are started plants modules for their children",
        "every child in Python is started without its working folder on the path",
        (
            f"{_PLANTED}::test_a_renewal_runs_no_module_of_the_folder_in_which_the_agent_was_started",
            f"{_PLANTED}::test_a_broker_child_runs_no_module_of_its_folder",
        ),
        {"subprocess.Popen": _from_the_working_folder},
    ),
    Defence(
        "SQL in the place of a name",
        "bound parameters everywhere",
        (f"{_WORDS}::test_what_looks_like_sql_finds_nothing_and_changes_nothing",),
        {"edgefleet_server.devices.groups.Selector.query": _concatenated},
    ),
    Defence(
        "default passwords",
        "none are shipped: each server makes its own secret of 256 bits, for its owner alone",
        (f"{_WORDS}::test_no_two_servers_share_a_password",),
        {"secrets.token_urlsafe": answering("a" * 43)},
    ),
    Defence(
        "the console's traffic is read on its way",
        "in the clear on loopback only; TLS beyond it",
        ("tests/unit/test_server_config.py::test_beyond_loopback_the_console_needs_a_certificate",),
        {"edgefleet_server.config.is_loopback": answering(True)},
    ),
    Defence(
        "an address from somebody else (--server, EDGEFLEET_SERVER) collects the admin token of a data folder",
        "that token goes to the server of its own folder, and nowhere else",
        (f"{_TOKEN}::test_the_token_of_a_data_folder_goes_to_no_other_server",),
        {"edgefleet_server.client_token._origin": answering()},
    ),
    Defence(
        "an operator's token is read on its way",
        "commands send none over http:// beyond this machine",
        (f"{_TOKEN}::test_no_token_crosses_a_network_in_the_clear",),
        {"edgefleet_server.client_token.is_loopback": answering(True)},
    ),
)
