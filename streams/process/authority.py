"""The local authority: a certificate of its own, and from it one for each service. ECDSA on P-256, X.509 version 3.

An authority lasts ten years and its certificate is what every login trusts, so services get new certificates without anybody having to know. A service's
lasts 90 days and is renewed when a third of that is left. A service's file holds its key and its certificate, so that both are replaced at once.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from schemas.errors import OutcryError
from streams.process.files import write_atomically

AUTHORITY_LIFE: Final = timedelta(days=3_650)
LIFE: Final = timedelta(days=90)
RENEWED_WITH_LEFT: Final = LIFE / 3
EARLIER: Final = timedelta(minutes=5)
"""A certificate is valid from so long before it was made: clocks differ."""
OWNER_ONLY: Final = 0o600


class BadCertificate(OutcryError):
    """A certificate or a key cannot be read. The message names the file and says why."""


@dataclass(frozen=True)
class Certificate:
    """What people want to know of one."""

    path: Path
    names: tuple[str, ...]
    begins: datetime
    ends: datetime
    issuer: str
    is_ours: bool
    """The authority beside it has signed it."""

    def state(self, now: datetime) -> str:
        """In words."""
        if not self.is_ours:
            return "from another authority"
        if now >= self.ends:
            return "expired"
        if now < self.begins:
            return "to come"
        return "to be renewed" if self.is_due(now) else "valid"

    def is_due(self, now: datetime) -> bool:
        """Whether a new one should take its place."""
        return not self.is_ours or self.ends - now < min(RENEWED_WITH_LEFT, (self.ends - self.begins) / 3)


def make_authority(certificate: Path, key: Path, name: str) -> None:
    """A new authority of this name. Whoever trusted another one has to be told."""
    secret, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        _begun(subject, subject, secret.public_key(), now - EARLIER, now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(secret.public_key()), critical=False)
        .sign(secret, hashes.SHA256())
    )
    write_atomically(key, _pem(secret), OWNER_ONLY)
    write_atomically(certificate, made.public_bytes(serialization.Encoding.PEM).decode(), 0o644)


def make_certificate(path: Path, authority: Path, authority_key: Path, names: Iterable[str], life: timedelta = LIFE) -> None:
    """Write a new key and certificate for a service that is found under these names and addresses. Raises BadCertificate."""
    issuer, signer = _read(authority), _read_key(authority_key)
    secret, now, all_names = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC), tuple(names)
    made = (
        _begun(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)]), issuer.subject, secret.public_key(), now - EARLIER, now + life
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in all_names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    write_atomically(path, _pem(secret) + made.public_bytes(serialization.Encoding.PEM).decode(), OWNER_ONLY)


def certificate_in(path: Path, authority: Path) -> Certificate:
    """What a service's file says. Raises BadCertificate."""
    found, issuer = _read(path), _read(authority)
    try:
        found.verify_directly_issued_by(issuer)
        is_ours = True
    except Exception:  # of whatever kind: a wrong signature, another name, another kind of key
        is_ours = False
    try:
        alternatives = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternatives = x509.SubjectAlternativeName([])
    names = tuple(str(one.value) for one in alternatives)
    return Certificate(path, names, found.not_valid_before_utc, found.not_valid_after_utc, found.issuer.rfc4514_string(), is_ours)


def serial_in(source: Path | str) -> int:
    """Serial number of the certificate in a file, or in a text. Raises BadCertificate."""
    return (_read(source) if isinstance(source, Path) else x509.load_pem_x509_certificate(source.encode())).serial_number


def _begun(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=signs_certificates, crl_sign=signs_certificates, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(secret: ec.EllipticCurvePrivateKey) -> str:
    """PKCS 8, which Java reads too."""
    return secret.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def _read(path: Path) -> x509.Certificate:
    try:
        text = path.read_text()
        return x509.load_pem_x509_certificate(text[text.index("-----BEGIN CERTIFICATE") :].encode())
    except (OSError, ValueError) as error:
        raise BadCertificate(f"the certificate {path} cannot be read ({error})") from error


def _read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        found = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise BadCertificate(f"the key of the authority, {path}, cannot be read ({error})") from error
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise BadCertificate(f"the key of the authority, {path}, is not one of an elliptic curve")
    return found
