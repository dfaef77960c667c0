"""What trust costs a device: no memory that stays, and no native code that a small board lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgefleet_contract import canonical, trust
from support.contract_samples import NOW, sample_assignment, sample_repository, signed_assignment
from support.trusting import SERIAL, publish

pytestmark = pytest.mark.integration

ACCEPTANCES = 6

# An agent's process takes assignments as the deployment does, and tells its resident memory (KiB) after each.
IN_A_CHILD = """
import json, sys
from pathlib import Path
from edgefleet_agent import daemon, verify
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.record import Record
from edgefleet_agent.trust_store import DurableTrustStore

root, now, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = DurableTrustStore(DataFolder(root), Disk(), Record)

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

held = [resident()]
for number in range(1, count + 1):
    assignment, proof = ((root / f"{what}-{number}").read_bytes() for what in ("assignment", "proof"))
    assert ACCEPT(assignment, proof, now, store).assignment.sequence == number
    held.append(resident())
foreign = {line.split()[-1] for line in open("/proc/self/maps") if "site-packages" in line and ".so" in line}
print(json.dumps({"held": held, "modules": sorted(sys.modules), "native": sorted(foreign)}))
"""
CHILD = IN_A_CHILD.replace(
    "ACCEPT(assignment, proof, now, store)",
    "verify.accept(assignment, proof, verify.Time.at(now), store, confirmed=[])",
)
HERE = IN_A_CHILD.replace("ACCEPT(", "verify.trust.accept(")
# A board may have a cryptography that lacks names which securesystemslib imports, such as that of Debian 12.
OLD_CRYPTOGRAPHY = (
    """
import cryptography.hazmat.primitives.asymmetric.types as types
del types.PublicKeyTypes
"""
    + HERE
    + """
from securesystemslib.signer import _key
assert _key.CRYPTO_IMPORT_ERROR, "securesystemslib has found what it wants"
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An enrolled device's folder, with assignments and proofs to take one after the other."""
    repository = sample_repository()
    pins = trust.Pins(sample_assignment().device, sample_assignment().hardware, trust.SCHEME, repository.first_root)
    (tmp_path / "trust").mkdir()
    (tmp_path / "trust" / "pins.json").write_bytes(canonical.encode(pins))
    for number in range(1, ACCEPTANCES + 1):
        path = publish(repository, number)
        assignment = sample_assignment(sequence=number, digest=SERIAL.format(number))
        (tmp_path / f"assignment-{number}").write_bytes(signed_assignment(assignment))
        (tmp_path / f"proof-{number}").write_bytes(repository.proof(path))
    return tmp_path


def run(code: str, folder: Path) -> dict[str, list[str]]:
    command = [sys.executable, "-c", code, str(folder), str(NOW), str(ACCEPTANCES)]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_agents_memory_does_not_grow_by_accepted_assignments(folder: Path) -> None:
    told = run(CHILD, folder)
    first, *later = told["held"]
    assert not {name.partition(".")[0] for name in told["modules"]} & {"tuf", "securesystemslib", "urllib3"}
    assert later[0] - first < 1024, "the first one needs pipes, and no library"
    assert later[-1] - later[0] < 256, told["held"]


def test_the_measure_sees_what_trust_would_cost_without_a_child(folder: Path) -> None:
    first, *later = run(HERE, folder)["held"]
    assert later[-1] - first > 4096


def test_ed25519_is_verified_without_a_cryptography_that_securesystemslib_knows(folder: Path) -> None:
    run(OLD_CRYPTOGRAPHY, folder)


def test_trust_needs_no_native_code_beyond_what_debian_has_for_32_bit_arm(folder: Path) -> None:
    packages = {path.partition("site-packages/")[2].partition("/")[0] for path in run(HERE, folder)["native"]}
    assert {name.partition(".")[0] for name in packages} <= {"cryptography", "_cffi_backend", "msgspec"}
