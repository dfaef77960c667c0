"""What entitles a machine to enroll: a claim token, or the folder of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from edgefleet_contract import canonical, dsse, enrolment, keys
from edgefleet_contract.enrolment import BatchClaim, BatchFile, ClaimToken
from edgefleet_contract.errors import BatchRefused, StatementMalformed, UsageMalformed

FILE, CERTIFICATE, KEY = "claim.json", "claim.pem", "claim.key"


@dataclass(frozen=True)
class Claim:
    """A claim, of either kind.

    Attributes:
        authority: SHA-256 of the DER certificate of the fleet's authority.
        root: Hash of the trust root.
        token_id, secret: Of a token; "" of a batch.
        batch: Its name; "" with a token.
        key: The batch's key; None with a token.
    """

    authority: str
    root: str
    token_id: str = ""
    secret: str = ""
    batch: str = ""
    key: keys.PrivateKey | None = None

    def vouch(self, csr: bytes) -> str:
        """What the batch's key signs for the request ``csr`` (PEM): a DSSE envelope; "" with a token."""
        if self.key is None:
            return ""
        statement = BatchClaim(enrolment.VERSION, self.batch, canonical.sha256(csr))
        return dsse.sign(canonical.encode(statement), dsse.BATCH_CLAIM, [self.key]).decode()


def of_token(token: ClaimToken) -> Claim:
    """The claim of a token."""
    return Claim(token.authority, token.root, token_id=token.id, secret=token.secret)


def of_folder(folder: Path) -> tuple[Claim, str]:
    """The claim of a batch's folder, and the server that it names.

    Raises:
        UsageMalformed: The folder is none of a batch.
        BatchRefused: Key and certificate do not belong together.
    """
    try:
        about = enrolment.decode((folder / FILE).read_bytes(), BatchFile)
        key = keys.from_pem((folder / KEY).read_bytes())
        certificate = x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes())
    except (OSError, ValueError, StatementMalformed) as cause:
        raise UsageMalformed(
            f"The folder {str(folder)!r} holds no claim of a batch: {cause}",
            expected=f"{FILE}, {CERTIFICATE} and {KEY}, as `edgefleet device batch create` wrote them",
        ) from cause
    if certificate.public_key() != key.public_key():
        raise BatchRefused(f"The key in {str(folder)!r} is not that of its claim certificate")
    return Claim(about.authority, about.root, batch=about.batch, key=key), about.server
