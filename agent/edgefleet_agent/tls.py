"""TLS as a device does it: the fleet's authority alone, and expiry judged by the device's own idea of time.

OpenSSL would judge by the system clock, which starts in 1970 on many boards, so that it is told to judge no dates
(``X509_V_FLAG_NO_CHECK_TIME``). A certificate of our authority that is "not yet valid" proves that our clock lags, and
nothing against its holder; one that has expired is refused by :func:`check_in_date`, against the trusted clock.
"""

from __future__ import annotations

import ssl
from pathlib import Path

NO_CHECK_TIME = ssl.VerifyFlags(0x200000)  # OpenSSL, x509_vfy.h; the ssl module has no name for it
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"  # of TLS 1.2; all of TLS 1.3 are as good


def context(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """A client's context: who answers must have a certificate of ``authority`` for the name that was called."""
    made = ssl.create_default_context(cafile=str(authority))
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(_CIPHERS)
    made.verify_flags |= NO_CHECK_TIME
    made.load_cert_chain(str(certificate), str(key))
    return made


def check_in_date(connection: ssl.SSLSocket, now_ms: int) -> None:
    """Refuse a peer whose certificate has expired.

    Args:
        connection: Its handshake is over, with a context of :func:`context`.
        now_ms: UTC milliseconds.

    Raises:
        SSLCertVerificationError: It has.
    """
    certificate = connection.getpeercert()
    assert certificate is not None, "the context demands one"
    expires = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    if expires * 1000 <= now_ms:
        raise ssl.SSLCertVerificationError(f"the broker's certificate expired on {certificate['notAfter']}")
