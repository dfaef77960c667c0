"""What a bundle can show of the model that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from edgefleet_contract import canonical
from edgefleet_contract.bundle import Bundle
from edgefleet_contract.errors import CertificateRefused, ModelNotFound

_WORDS = {
    "rechecked": "every claim of the certificate holds for this file",
    "lineage": "the lineage names this file, and there is no certificate: no channel was taken out by proof",
    "unpruned-needed": "the lineage names this file; the certificate refers to the model before channels were taken "
    "out of it. Compile with the bundle's recipe, `lossless = false` in it and the same data, and give that artifact",
}


class Provenance(msgspec.Struct, frozen=True):
    """What came of checking a bundle against a model file.

    Attributes:
        path: The model file.
        sha256: Of it.
        outcome: "rechecked": the certificate holds; "lineage": it is the source, and nothing else is claimed;
            "unpruned-needed": it is the source, from which a certificate cannot be rechecked, for quantising took data.
        says: The same in words.
        dialects: Where outputs are proved to be the same, bit for bit.
        removed_channels: How many channels of layers with weights went.
    """

    path: str
    sha256: str
    outcome: Literal["rechecked", "lineage", "unpruned-needed"]
    says: str
    dialects: list[str]
    removed_channels: int


def check_provenance(bundle: Bundle, source: Path) -> Provenance:
    """Check a bundle against the file that it was made from, or against its unpruned artifact.

    Args:
        bundle: Opened; its hashes need not have been checked.
        source: The model file.

    Raises:
        CertificateRefused: The file is not what the bundle was made from, or a claim does not hold.
        ModelNotFound: There is no such file.
        HashMismatch: Contents of the bundle are not those of its manifest.
    """
    from edgefleet_compiler.lossless.certificate import FILE  # noqa: PLC0415 - heavy: numpy and the schema
    from edgefleet_compiler.lossless.verify import decode_certificate, verify_certificate  # noqa: PLC0415 - as above
    from edgefleet_compiler.lossless.weighted import KINDS  # noqa: PLC0415 - as above

    data = _read(source)
    digest = canonical.sha256(data)
    lineage = bundle.manifest.lineage
    is_source = digest == lineage.source_sha256

    def found(outcome: Literal["rechecked", "lineage", "unpruned-needed"], dialects: list[str], n: int) -> Provenance:
        return Provenance(str(source), digest, outcome, _WORDS[outcome], dialects, n)

    if FILE not in {entry.path for entry in bundle.manifest.files}:
        if not is_source:
            raise _another_source(source, digest, lineage.source_sha256)
        return found("lineage", [], 0)
    encoded = bundle.read(FILE)
    certificate = decode_certificate(encoded)
    layers = [entry for entry in certificate.removed if entry.kind in KINDS]
    count = sum(len(entry.constant) + len(entry.unread) for entry in layers)
    if certificate.refers_to == "unpruned" and certificate.whole_sha256 == lineage.source_sha256:
        raise CertificateRefused("The certificate takes the source for an unpruned artifact", path=str(source))
    if is_source and certificate.refers_to == "unpruned":
        return found("unpruned-needed", [], count)
    if certificate.refers_to == "source" and not is_source:
        raise _another_source(source, digest, lineage.source_sha256)
    verify_certificate(data, bundle.read(bundle.manifest.artifact), encoded)
    return found("rechecked", certificate.dialects, count)


def _another_source(source: Path, digest: str, expected: str) -> CertificateRefused:
    return CertificateRefused(
        f"The bundle was not made from {str(source)!r}, whose SHA-256 is {digest}",
        expected=f"the file with SHA-256 {expected}",
        path=str(source),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise ModelNotFound(f"The model {str(path)!r} cannot be read: {cause.strerror}", path=str(path)) from cause
