"""Certificates and keys of a kube-apiserver that lives for a test run."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = timedelta(days=2)
_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
Key = ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM contents for clients, and the files that a kube-apiserver reads."""

    ca: bytes
    admin_cert: bytes
    admin_key: bytes
    ca_file: Path
    server_cert_file: Path
    server_key_file: Path
    admin_cert_file: Path
    admin_key_file: Path
    account_key_file: Path
    account_public_file: Path


def make_certificates(directory: Path) -> Certificates:
    """Write a new authority, a server's and an administrator's certificate into `directory`.

    They are valid for two days, the server's for 127.0.0.1. Keys have mode 0600.
    """
    ca_key, server_key, admin_key, account_key = (_new_key() for _ in range(4))
    ca = _sign(_name("sysdisk-envtest-ca"), ca_key, None, ca_key)
    server = _sign(_name("kube-apiserver"), server_key, ca, ca_key, server=True)
    admin = _sign(_name("sysdisk-admin", "system:masters"), admin_key, ca, ca_key)
    public = account_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return Certificates(
        ca=_pem(ca),
        admin_cert=_pem(admin),
        admin_key=_private(admin_key),
        ca_file=_write(directory / "ca.crt", _pem(ca)),
        server_cert_file=_write(directory / "server.crt", _pem(server)),
        server_key_file=_write(directory / "server.key", _private(server_key)),
        admin_cert_file=_write(directory / "admin.crt", _pem(admin)),
        admin_key_file=_write(directory / "admin.key", _private(admin_key)),
        account_key_file=_write(directory / "account.key", _private(account_key)),
        account_public_file=_write(directory / "account.pub", public),
    )


def _new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common: str, organisation: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(parts)


def _sign(
    subject: x509.Name,
    key: Key,
    issuer: x509.Certificate | None,
    issuer_key: Key,
    *,
    server: bool = False,
) -> x509.Certificate:
    """Return a certificate for `key`; without an issuer, an authority signed by itself."""
    now = datetime.now(UTC)
    authority = issuer is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .add_extension(_usage(authority=authority), critical=True)
    )
    if not authority:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
    if server:
        names = [x509.DNSName(name) for name in _NAMES]
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(
            x509.SubjectAlternativeName([*names, address]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _private(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes) -> Path:
    path.touch(mode=0o600)
    path.write_bytes(content)
    return path
