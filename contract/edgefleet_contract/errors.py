"""Every error that reaches a user: what was seen, what was expected, what to do.

The tree, with the exit status of each branch (design: "Exit status")::

    EdgefleetError                    1  our fault, where no branch below fits
    |-- InputError                    2  usage, or malformed input
    |-- GateError                     3  a gate said no: budget, accuracy, unsupported operator
    |-- VerificationError             4  signature, hash, token, wrong target, replay
    `-- UnreachableError              5  a peer is not there

A leaf stands for one ``code``. Codes are stable: they stand in messages, logs and ``--json`` output, and
``docs/guide/errors.md`` lists them all (a test compares). Rejected (theirs) and failed (ours) never share a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar


class EdgefleetError(Exception):
    """An error that a person or a program can act upon.

    Args:
        seen: What was found, with the values quoted.
        expected: What would have been right; left out of the text when empty.
        remedy: What to do about it; left out of the text when empty.
        **facts: The values of the text as data, for ``--json`` and logs. Only JSON types.
    """

    code: ClassVar[str] = "internal"
    exit_status: ClassVar[int] = 1

    def __init__(self, seen: str, *, expected: str = "", remedy: str = "", **facts: object) -> None:
        self.seen = seen
        self.expected = expected
        self.remedy = remedy
        self.facts = facts
        super().__init__(self.text())

    def text(self) -> str:
        """The error as one sentence or three, without the code."""
        sentences = [self.seen]
        if self.expected:
            sentences.append(f"Expected {self.expected}")
        if self.remedy:
            sentences.append(self.remedy)
        return " ".join(sentence if sentence.endswith((".", "?", "\n")) else sentence + "." for sentence in sentences)

    def as_json(self) -> dict[str, object]:
        """The error as the object that ``--json`` prints under ``error``."""
        return {
            "code": self.code,
            "seen": self.seen,
            "expected": self.expected,
            "remedy": self.remedy,
            "facts": self.facts,
        }


class InputError(EdgefleetError):
    """Usage, or malformed input."""

    code = "input"
    exit_status = 2


class GateError(EdgefleetError):
    """The input is well-formed, and a gate said no."""

    code = "gate"
    exit_status = 3


class VerificationError(EdgefleetError):
    """What came is not what its signer, hash or addressee says."""

    code = "verification"
    exit_status = 4


class UnreachableError(EdgefleetError):
    """A peer is not there, or hangs up."""

    code = "unreachable"
    exit_status = 5


# --- compiler: input -------------------------------------------------------------------------------------------------


class ModelMalformed(InputError):
    """The file is no model, is truncated, or contradicts itself."""

    code = "model.malformed"


class ModelNotFound(InputError):
    """No file at the path given."""

    code = "model.not_found"


class ModelCarriesCode(InputError):
    """A model that would run code of its own, or reach for files, while it is loaded."""

    code = "model.carries_code"


class ConversionLimitReached(InputError):
    """Loading and converting a model takes more time or memory than allowed."""

    code = "model.conversion_limit"


class DataMalformed(InputError):
    """A calibration or validation set that cannot be read, or that the model cannot take."""

    code = "data.malformed"


class DataNotFound(InputError):
    """No calibration or validation set at the path given."""

    code = "data.not_found"


class CalibrationMissing(InputError):
    """int8 was asked for, and no calibration set was given."""

    code = "calibration.missing"


class TargetUnknown(InputError):
    """No target profile has this name."""

    code = "target.unknown"


class ProfileMalformed(InputError):
    """A target profile with unknown keys, units or values."""

    code = "profile.malformed"


class RecipeMalformed(InputError):
    """A recipe that cannot be read, or that names what is not there."""

    code = "recipe.malformed"


class RunMismatch(InputError):
    """A folder of a run that other models, data or options began."""

    code = "run.mismatch"


class OutputUnwritable(InputError):
    """The output folder cannot be made or written."""

    code = "output.unwritable"


class SweepFolderUnfit(InputError):
    """A sweep is to go on in a folder that another request wrote, or that is none of a sweep."""

    code = "sweep.folder_unfit"


class UsageMalformed(InputError):
    """Arguments that contradict each other, or that no command takes."""

    code = "usage"


# --- compiler: gates -------------------------------------------------------------------------------------------------


class OperatorUnsupported(GateError):
    """Operators that we, or the target's runtime, cannot take: all of them, with their nodes."""

    code = "operator.unsupported"


class BudgetExceeded(GateError):
    """Flash, RAM or latency over the limit."""

    code = "budget.exceeded"


class AccuracyLost(GateError):
    """The compiled model is worse than --max-drop allows."""

    code = "accuracy.lost"


class RecipeUnfit(GateError):
    """The target cannot run what the recipe asks for."""

    code = "recipe.unfit"


class ParityLost(GateError):
    """An export does not compute what its source computes."""

    code = "parity.lost"


class TrainingDiverged(GateError):
    """Fine-tuning came to losses that are no numbers."""

    code = "training.diverged"


class TrainingFailed(EdgefleetError):
    """The process that trains died, or found too little memory."""

    code = "training.failed"


# --- compiler: a cluster ---------------------------------------------------------------------------------------------


class ClusterUnreachable(UnreachableError):
    """The scheduler of a cluster does not answer, has no workers, or hung up."""

    code = "cluster.unreachable"


# --- emulated boards -------------------------------------------------------------------------------------------------


class EmulatorUnavailable(UnreachableError):
    """The emulated board was not built, or cannot be; the error names the command that does."""

    code = "emulator.unavailable"


class EmulationFailed(EdgefleetError):
    """A program in an emulated board ended with an error."""

    code = "emulator.failed"


# --- bundle and trust ------------------------------------------------------------------------------------------------


class BundleMalformed(InputError):
    """The file is no bundle, or its manifest contradicts itself."""

    code = "bundle.malformed"


class BundleDamaged(VerificationError):
    """A bundle whose bytes are not those that were written: truncated, flipped, appended to or forged."""

    code = "bundle.damaged"


class HashMismatch(VerificationError):
    """Bytes that are not those their hash names."""

    code = "bundle.hash_mismatch"


class SealBroken(VerificationError):
    """Sealed bytes that do not open: changed, cut off or put in another order, or with another key."""

    code = "seal.broken"


class ContentKeyMissing(VerificationError):
    """A private bundle without the key that opens it."""

    code = "seal.key_missing"


class CertificateRefused(VerificationError):
    """A certificate of lossless pruning that does not hold for the source and the artifact at hand."""

    code = "bundle.certificate_refused"


class SignatureInvalid(VerificationError):
    """No signature by a pinned key verifies."""

    code = "trust.signature_invalid"


class StatementMalformed(VerificationError):
    """A signed statement whose payload is not what its type says."""

    code = "trust.statement_malformed"


class SchemeMismatch(VerificationError):
    """A proof of another scheme than the one pinned at enrolment."""

    code = "trust.scheme_mismatch"


class WrongDevice(VerificationError):
    """An assignment for another device."""

    code = "trust.wrong_device"


class WrongTarget(VerificationError):
    """A bundle for other hardware."""

    code = "trust.wrong_target"


class AssignmentReplayed(VerificationError):
    """A sequence below the floor, or another content under the same sequence."""

    code = "trust.replayed"


class AssignmentExpired(VerificationError):
    """An assignment past its expiry."""

    code = "trust.expired"


class DowngradeRefused(VerificationError):
    """A release older than one this device has confirmed, and not one it confirmed before."""

    code = "trust.downgrade"


class IssuedAhead(VerificationError):
    """A release that says it was signed at a time which has not come: by a wrong clock, or by a thief."""

    code = "trust.issued_ahead"


class RollbackRefused(VerificationError):
    """A rollback to what this device has never confirmed."""

    code = "trust.rollback"


class PermitRefused(VerificationError):
    """A permit for another device or bundle, or past its expiry."""

    code = "trust.permit"


class NotReleased(VerificationError):
    """A bundle that the publisher's metadata do not list."""

    code = "trust.not_released"


class MetadataMalformed(VerificationError):
    """Metadata of the trust repository that are not what the scheme says."""

    code = "metadata.malformed"


class MetadataUnsigned(VerificationError):
    """Metadata that too few of their role's keys signed."""

    code = "metadata.unsigned"


class MetadataExpired(VerificationError):
    """Metadata past their expiry: somebody holds newer ones back, or nobody has renewed them."""

    code = "metadata.expired"


class MetadataRolledBack(VerificationError):
    """Metadata older than some that this device has accepted."""

    code = "metadata.rolled_back"


class MetadataMismatch(VerificationError):
    """Metadata that do not belong together: mixed of several states of the repository."""

    code = "metadata.mismatch"


class MetadataIncomplete(VerificationError):
    """A proof that lacks metadata which its other metadata name."""

    code = "metadata.incomplete"


class MetadataOverlong(VerificationError):
    """Metadata longer than any that a publisher makes."""

    code = "metadata.overlong"


class SecurityFloorViolated(VerificationError):
    """A release below the highest security floor this device has confirmed."""

    code = "trust.security_floor"


class TokenRefused(VerificationError):
    """A claim token that is malformed, unknown, used or expired."""

    code = "token.refused"


class IdentityMismatch(VerificationError):
    """A certificate authority or root that the claim token does not name."""

    code = "identity.mismatch"


class CertificateExpired(VerificationError):
    """A device whose certificate has ended, so that it cannot renew it by itself any more."""

    code = "identity.expired"


class DeviceRevoked(VerificationError):
    """A device, or a key of a device, that the operator has revoked, replaced or retired."""

    code = "identity.revoked"


class BatchRefused(VerificationError):
    """A claim certificate that does not open this: closed, expired, used up, or the device is not on its list."""

    code = "batch.refused"


# --- messages --------------------------------------------------------------------------------------------------------


class MessageMalformed(InputError):
    """A message that does not decode, or whose version is unknown."""

    code = "message.malformed"


# --- fleet server ----------------------------------------------------------------------------------------------------


class NotFound(InputError):
    """No device, release, rollout or alert with this name."""

    code = "not_found"


class Conflict(InputError):
    """The act does not fit the state that the thing is in."""

    code = "conflict"


class Unauthorized(VerificationError):
    """No credentials, or the wrong ones."""

    code = "auth.refused"


class Forbidden(VerificationError):
    """The server knows who asks; their role, or their token's scope, does not allow it."""

    code = "auth.forbidden"


class RateLimited(UnreachableError):
    """Too many requests in a short time; the fact ``retry_after`` tells how many seconds to wait."""

    code = "server.rate_limited"


class AuditLogAltered(VerificationError):
    """Entries of the audit log were altered, removed or moved."""

    code = "audit.altered"


class DataFolderInUse(InputError):
    """Another process holds the lock of this data folder."""

    code = "data_folder.in_use"


class DataFolderMalformed(InputError):
    """A data folder that is none of ours, or newer than we are."""

    code = "data_folder.malformed"


class SignaturesMissing(GateError):
    """Metadata or a permit that more people must sign first."""

    code = "trust.signatures_missing"


class OnlineKeyLost(EdgefleetError):
    """A server without the online key that its trust root names."""

    code = "server.online_key_lost"


class BackupRefused(VerificationError):
    """A backup of a server that is none, is damaged, or is sealed with another passphrase."""

    code = "backup.refused"


class ServerDiskFailed(EdgefleetError):
    """The fleet server's disk is full, read-only or broken, or has lost a file."""

    code = "server.disk_failed"


class BrokerFailed(EdgefleetError):
    """The broker child did not start, or died."""

    code = "broker.failed"


class ServerUnreachable(UnreachableError):
    """The fleet server does not answer."""

    code = "server.unreachable"


class BrokerUnreachable(UnreachableError):
    """The MQTT broker does not answer."""

    code = "broker.unreachable"


# --- agent -----------------------------------------------------------------------------------------------------------


class NotEnrolled(InputError):
    """The agent's data folder holds no identity."""

    code = "agent.not_enrolled"


class HealthCheckFailed(GateError):
    """The golden vectors of a bundle do not come out on this device."""

    code = "agent.health_check_failed"


class RuntimeUnavailable(GateError):
    """This device lacks the runtime that the artifact needs."""

    code = "agent.runtime_unavailable"


class InferenceFailed(EdgefleetError):
    """The inference child died, or answered with an error."""

    code = "agent.inference_failed"


class DiskFailed(EdgefleetError):
    """The disk is full, read-only or broken."""

    code = "agent.disk_failed"


class SignerFailed(EdgefleetError):
    """The hardware that holds the device key does not do what it is asked."""

    code = "agent.signer_failed"


class SignerUnavailable(UnreachableError):
    """The hardware that holds the device key is not there, or does not let us in."""

    code = "agent.signer_unavailable"


class AgentUnreachable(UnreachableError):
    """No agent answers on the data folder or the port given."""

    code = "agent.unreachable"


class DemoFailed(EdgefleetError):
    """A step of the demo did not end as it should."""

    code = "demo.failed"


def all_errors(root: type[EdgefleetError] = EdgefleetError) -> Iterator[type[EdgefleetError]]:
    """Every class of the tree, the root first; for the documentation test and its table."""
    yield root
    for child in root.__subclasses__():
        yield from all_errors(child)


def revive(document: Mapping[str, object]) -> EdgefleetError:
    """The error that :meth:`EdgefleetError.as_json` wrote, in its own class; in the root's if its code is unknown.

    Args:
        document: Fields that are missing or of another type are left empty: the writer may be hostile.
    """
    kinds = {kind.code: kind for kind in all_errors()}
    texts = {name: str(document.get(name) or "") for name in ("code", "seen", "expected", "remedy")}
    facts = document.get("facts")
    error = kinds.get(texts["code"], EdgefleetError)(texts["seen"], expected=texts["expected"], remedy=texts["remedy"])
    if isinstance(facts, dict):
        error.facts.update(facts)
    return error
