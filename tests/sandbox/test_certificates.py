"""The development certificates: what a TLS peer and an auditor would check."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sandbox.certificates import LIFETIME, NAMES, RENEW_BEFORE, make_certificates

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_each_name_gets_a_certificate_of_the_authority(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, NOW)
    authority = load(tmp_path / "ca.crt")
    assert set(made) == set(NAMES)
    for name, files in made.items():
        certificate = load(files.certificate)
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName)[0] == name
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert [attribute.value for attribute in common] == [name]
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert set(purposes) == {
            ExtendedKeyUsageOID.SERVER_AUTH,
            ExtendedKeyUsageOID.CLIENT_AUTH,
        }
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_openssl_accepts_them_strictly(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, datetime.now(UTC))
    context = ssl.create_default_context(cafile=made["gateway"].ca)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(made["gateway"].certificate, made["gateway"].key)
    assert context.cert_store_stats()["x509_ca"] == 1


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    make_certificates(tmp_path, NOW)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("*.key")}
    assert modes == {f"{name}.key": 0o600 for name in (*NAMES, "ca")}


def test_a_second_run_keeps_what_is_valid(tmp_path: Path) -> None:
    make_certificates(tmp_path, NOW)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    make_certificates(tmp_path, NOW + LIFETIME - RENEW_BEFORE - timedelta(minutes=1))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_expires_soon_is_renewed(tmp_path: Path) -> None:
    make_certificates(tmp_path, NOW)
    later = NOW + LIFETIME - RENEW_BEFORE + timedelta(minutes=1)
    old = load(tmp_path / "ledger.crt")
    made = make_certificates(tmp_path, later)
    assert load(made["ledger"].certificate).not_valid_after_utc == later + LIFETIME
    assert load(made["ledger"].certificate).serial_number != old.serial_number
    load(made["ledger"].certificate).verify_directly_issued_by(load(made["ledger"].ca))


def test_a_new_name_joins_the_old_authority(tmp_path: Path) -> None:
    make_certificates(tmp_path, NOW)
    authority = (tmp_path / "ca.crt").read_bytes()
    made = make_certificates(tmp_path, NOW, ["shop"])
    assert (tmp_path / "ca.crt").read_bytes() == authority
    load(made["shop"].certificate).verify_directly_issued_by(load(made["shop"].ca))
