"""The fleet's own certificate authority: issues the certificates of server, broker and devices (RFC 5280).

EC P-256 throughout, the curve that secure elements have. Made at the first start; its key never leaves ``ca/``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edgefleet_contract import canonical, keys
from edgefleet_contract.errors import SignatureInvalid, StatementMalformed
from edgefleet_server.clock import DAY, Clock, as_datetime
from edgefleet_server.data_folder import lost, read_kept, write_durable

AUTHORITY_LIFE = 3650 * DAY
SERVER_LIFE = 730 * DAY  # issued anew at each start
DEVICE_LIFE = 90 * DAY
TRANSPORT_LIFE = 7 * DAY  # of a key for TLS alone, in a file, where the identity key stays in hardware
REVOCATIONS_LIFE = 90 * DAY  # a broker whose list has ended lets nobody in: as long as anything on it can be good
SERVER_NAME = "fleet-server"  # subject of the server's own client certificate: its user name at the broker
# Ours alone (an arc of a random UUID, ITU-T X.667): no TLS stack takes a certificate of this usage for a client's.
CLAIM_USAGE = x509.ObjectIdentifier("2.25.90285618744162706229187165306325904431")
_CLAIM_UNIT = "edgefleet claim"
_BACKDATE = DAY  # boards without a clock of their own lag


@dataclass(frozen=True)
class Credentials:
    """Where a certificate and its private key lie, as PEM."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder.

    Attributes:
        certificate_path: PEM of its own certificate.
    """

    def __init__(self, folder: Path, clock: Clock, *, pinned: bool = False) -> None:
        """Open the authority of ``folder``, or make one there.

        Args:
            folder: Of certificate and key.
            clock: For what it issues.
            pinned: Whether devices have pinned it already, so that another one would be of no use.

        Raises:
            DataFolderMalformed: Certificate or key are gone, are none, or do not belong together.
        """
        self._clock = clock
        self._folder = folder
        self.certificate_path = folder / "authority.pem"
        key_path = folder / "authority.key"
        if not self.certificate_path.exists() and not pinned:
            self._create(key_path)
        self._certificate = _kept_certificate(self.certificate_path)
        self._key = _kept_key(key_path)
        if self._key.public_key() != self._certificate.public_key():
            raise lost(key_path, f"it is not the key of {self.certificate_path.name}")

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def digest(self) -> str:
        """SHA-256 of the authority's DER certificate: what claim tokens name."""
        return canonical.sha256(self._certificate.public_bytes(serialization.Encoding.DER))

    def issue_device(
        self, device: str, public_key: ec.EllipticCurvePublicKey, life: int = DEVICE_LIFE
    ) -> tuple[str, int]:
        """A client certificate for a device; returns its PEM and when it ends, in UTC milliseconds."""
        expires = self._clock() + life
        certificate = self._issue(device, public_key, expires, ExtendedKeyUsageOID.CLIENT_AUTH)
        return certificate.public_bytes(serialization.Encoding.PEM).decode(), expires

    def issue_claim(self, batch: str, public_key: ec.EllipticCurvePublicKey, expires: int) -> str:
        """A claim certificate for a batch of devices, PEM: good for enrolment, and for nothing that speaks TLS."""
        certificate = self._issue(batch, public_key, expires, CLAIM_USAGE, unit=_CLAIM_UNIT)
        return certificate.public_bytes(serialization.Encoding.PEM).decode()

    def crl(self, revoked: Iterable[tuple[int, int]]) -> bytes:
        """A certificate revocation list (RFC 5280, section 5), PEM.

        Args:
            revoked: Serial numbers, each with the time of its revocation in UTC milliseconds.
        """
        now = self._clock()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(as_datetime(now - _BACKDATE))
            .next_update(as_datetime(now + REVOCATIONS_LIFE))
            .add_extension(x509.CRLNumber(now), critical=False)  # milliseconds: grows without being remembered
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        for serial, at in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(as_datetime(at))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def check_issued(self, pem: str, device: str) -> x509.Certificate:
        """A certificate that this authority has issued to ``device``, expired or not.

        Raises:
            SignatureInvalid: It is none.
        """
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            certificate.verify_directly_issued_by(self._certificate)
            usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as cause:
            raise _not_issued(device) from cause
        if certificate.subject != _name(device) or list(usage) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
            raise _not_issued(device)
        return certificate

    def issue_listener(self, hosts: list[str], stem: str = "listener") -> Credentials:
        """A certificate for a TLS server at ``hosts``, in the files STEM.pem and STEM.key; replaces the one before."""
        names = [_general_name(host) for host in dict.fromkeys([*hosts, "localhost", "127.0.0.1", "::1"])]
        return self._issue_to_file(stem, hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, names)

    def issue_server(self) -> Credentials:
        """The client certificate that the server shows to the broker; replaces the one before."""
        return self._issue_to_file("fleet-server", SERVER_NAME, ExtendedKeyUsageOID.CLIENT_AUTH, [])

    def _issue_to_file(
        self, stem: str, subject: str, usage: x509.ObjectIdentifier, names: list[x509.GeneralName]
    ) -> Credentials:
        key = keys.generate_device_key()
        certificate = self._issue(subject[:64], key.public_key(), self._clock() + SERVER_LIFE, usage, names)
        credentials = Credentials(self._folder / f"{stem}.pem", self._folder / f"{stem}.key")
        write_durable(credentials.key, keys.to_pem(key))
        write_durable(credentials.certificate, certificate.public_bytes(serialization.Encoding.PEM))
        return credentials

    def _issue(
        self,
        subject: str,
        public_key: ec.EllipticCurvePublicKey,
        expires: int,
        usage: x509.ObjectIdentifier,
        names: list[x509.GeneralName] | None = None,
        unit: str = "",
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject, unit))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(as_datetime(self._clock() - _BACKDATE))
            .not_valid_after(as_datetime(expires))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _create(self, key_path: Path) -> None:
        key = keys.generate_device_key()
        name = _name("edgefleet fleet authority")
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(as_datetime(self._clock() - _BACKDATE))
            .not_valid_after(as_datetime(self._clock() + AUTHORITY_LIFE))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        # The certificate comes last: while it is missing, nobody has pinned this authority yet.
        write_durable(key_path, keys.to_pem(key))
        write_durable(self.certificate_path, certificate.public_bytes(serialization.Encoding.PEM))


def key_of_request(pem: str) -> ec.EllipticCurvePublicKey:
    """The public key of a certificate signing request that proves to hold it; its subject is ignored.

    Raises:
        StatementMalformed: No request, signed by another key, or on another curve than P-256.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        proven = request.is_signature_valid
    except Exception as cause:
        raise StatementMalformed(
            "The certificate signing request cannot be read", expected="PEM of PKCS #10"
        ) from cause
    if not proven or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise StatementMalformed(
            "The certificate signing request does not prove a key that we take", expected="a self-signed P-256 request"
        )
    return key


def _not_issued(device: str) -> SignatureInvalid:
    return SignatureInvalid(
        f"The certificate is not one that this fleet's authority has issued to {device}",
        expected="the certificate of the key that signs",
    )


def _kept_certificate(path: Path) -> x509.Certificate:
    content = read_kept(path)
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError as cause:
        raise lost(path, "it holds no certificate") from cause


def _kept_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = keys.from_pem(read_kept(path))
    except StatementMalformed as cause:
        raise lost(path, cause.seen) from cause
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise lost(path, "it holds another kind of key than ECDSA P-256")
    return key


def _name(common: str, unit: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if unit:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
    return x509.Name(attributes)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
