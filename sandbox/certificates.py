"""A certificate authority for development, and mutual-TLS certificates for all who talk gRPC.

A certificate's DNS name is the client name that services have a role for (`gateway`, `client`,
...). Production brings its own authority; the services only read files.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from runtime.production import DEVELOPMENT_AUTHORITY

# The services, plus those who call them: a merchant's shop and the staff.
NAMES = (
    *("ledger", "gateway", "compliance", "reconciliation"),
    *("client", "operator", "finance", "support"),
)
LIFETIME = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
# Clocks of containers and their host may differ a little.
BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True)
class CertificateFiles:
    """The three files that `*_TLS_CERTIFICATE_FILE`, `_TLS_KEY_FILE` and `_TLS_CA_FILE` name."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True)
class _Issuer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def channel_credentials(files: CertificateFiles) -> grpc.ChannelCredentials:
    """What a client shows with its certificate, and takes from the services."""
    return grpc.ssl_channel_credentials(
        files.ca.read_bytes(), files.key.read_bytes(), files.certificate.read_bytes()
    )


def certificate_files(directory: Path, name: str) -> CertificateFiles:
    """Where the files of `name` are in the folder."""
    return CertificateFiles(
        directory / f"{name}.crt", directory / f"{name}.key", directory / "ca.crt"
    )


def make_certificates(
    directory: Path, now: datetime, names: Iterable[str] = NAMES
) -> dict[str, CertificateFiles]:
    """Makes what is missing or about to expire in the folder; keeps the rest.

    A new authority replaces every certificate, as the old ones no longer verify.
    Keys are readable by their owner only.
    """
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    authority = certificate_files(directory, "ca")
    issuer = _load(authority, now)
    renewed = issuer is None
    if issuer is None:
        issuer = _make_authority(now)
        _write(authority, issuer.certificate, issuer.key)
    made = {}
    for name in names:
        made[name] = files = certificate_files(directory, name)
        if renewed or _load(files, now) is None:
            key = ec.generate_private_key(ec.SECP256R1())
            _write(files, _make_leaf(name, key, issuer, now), key)
    return made


def _load(files: CertificateFiles, now: datetime) -> _Issuer | None:
    if not (files.certificate.exists() and files.key.exists()):
        return None
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    if certificate.not_valid_after_utc - now < RENEW_BEFORE:
        return None
    key = load_pem_private_key(files.key.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{files.key} is not an elliptic-curve key: remove it or choose a folder")
    return _Issuer(certificate, key)


def _make_authority(now: datetime) -> _Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, DEVELOPMENT_AUTHORITY)])
    certificate = (
        _builder(name, name, key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .sign(key, SHA256())
    )
    return _Issuer(certificate, key)


def _make_leaf(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: _Issuer, now: datetime
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    reachable_at = [
        x509.DNSName(name),
        x509.DNSName("localhost"),
        x509.IPAddress(IPv4Address("127.0.0.1")),
        x509.IPAddress(IPv6Address("::1")),
    ]
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _builder(subject, issuer.certificate.subject, key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(reachable_at), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()),
            critical=False,
        )
        .sign(issuer.key, SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _write(
    files: CertificateFiles, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    files.key.unlink(missing_ok=True)
    descriptor = os.open(files.key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(private)
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
