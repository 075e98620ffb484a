"""What the parts of the compose file are given: random, each its own, kept from start to start."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.x509 import DNSName, SubjectAlternativeName

from runtime.production import SslMode, database_problems, weakness
from runtime.sealing import keys_of
from runtime.signed_notes import SignerKey
from sandbox.certificates import LIFETIME, NAMES, RENEW_BEFORE
from sandbox.credentials import CLUSTER_LOGINS, SERVICES, make_credentials

NOW = datetime(2026, 11, 1, tzinfo=UTC)
LOGINS = {f"{service}_{role}" for service in SERVICES for role in ("login", "owner")}


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_each_part_has_a_folder_with_its_own_and_no_others(tmp_path: Path) -> None:
    folders = make_credentials(tmp_path, NOW)
    assert {folder.name for folder in folders} == {path.name for path in tmp_path.iterdir()}
    listed = {
        folder.name: {path.name for path in folder.iterdir()}
        for folder in folders
        if folder.name != "authority"
    }
    urls = {"ca.crt", "database_url", "owner_database_url"}
    assert listed == {
        "ledger": urls | {"ledger.crt", "ledger.key", "signing_key"},
        "gateway": urls | {"gateway.crt", "gateway.key", "webhook_secret_keys"},
        "compliance": urls | {"compliance.crt", "compliance.key", "document_keys"},
        "reconciliation": urls | {"reconciliation.crt", "reconciliation.key", "signing_key"},
        "clients": {"ca.crt"}
        | {f"{name}.{kind}" for name in set(NAMES) - set(SERVICES) for kind in ("crt", "key")},
        "postgres": LOGINS | {"postgres", *CLUSTER_LOGINS},
        "grafana": {"admin"},
    }
    for service in SERVICES:
        certificate = x509.load_pem_x509_certificate(
            (tmp_path / service / f"{service}.crt").read_bytes()
        )
        names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
        assert service in names.get_values_for_type(DNSName)


def test_secrets_are_random_and_strong_enough_for_production(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        directory.mkdir()
        make_credentials(directory, NOW)
    secrets = [
        path.read_text().strip()
        for directory in (one, other)
        for path in [
            *(directory / "postgres").iterdir(),
            directory / "grafana/admin",
            directory / "ledger/signing_key",
            directory / "gateway/webhook_secret_keys",
        ]
    ]
    assert len(set(secrets)) == len(secrets) == 2 * (len(LOGINS) + len(CLUSTER_LOGINS) + 4)
    assert [weakness(secret) for secret in secrets] == [None] * len(secrets)
    assert SignerKey.parse((one / "ledger/signing_key").read_text().strip())
    assert len(keys_of((one / "gateway/webhook_secret_keys").read_text().strip())) == 1
    url = (one / "ledger/database_url").read_text().strip()
    assert url.startswith("postgresql://ledger_login:")
    # Its password is fine; that the compose file's database speaks plain text is not.
    (problem,) = database_problems(url, SslMode.VERIFY_FULL, {}, "X")
    assert problem.startswith("sslmode=")


def test_keys_and_urls_are_their_owners_alone_and_the_databases_can_read_its_folder(
    tmp_path: Path,
) -> None:
    for folder in make_credentials(tmp_path, NOW):
        for path in folder.iterdir():
            mode = stat.S_IMODE(path.stat().st_mode)
            is_open = path.suffix == ".crt" or folder.name in ("postgres", "grafana")
            assert mode == (0o644 if is_open else 0o600), path


def test_what_is_there_is_kept_and_certificates_are_renewed(tmp_path: Path) -> None:
    make_credentials(tmp_path, NOW)
    before = contents(tmp_path)
    make_credentials(tmp_path, NOW + timedelta(days=1))
    assert contents(tmp_path) == before
    (tmp_path / "postgres" / "ledger_login").unlink()
    make_credentials(tmp_path, NOW + LIFETIME - RENEW_BEFORE + timedelta(days=1))
    after = contents(tmp_path)
    assert after.keys() == before.keys()
    changed = {name for name in after if after[name] != before[name]}
    assert {name for name in changed if not name.endswith((".crt", ".key"))} == {
        "postgres/ledger_login",
        "ledger/database_url",
    }
    assert {"ledger/ledger.key", "clients/operator.crt", "gateway/ca.crt"} <= changed
