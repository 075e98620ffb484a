"""What the parts of docker-compose.yml prove to each other who they are with: made at random, once.

A folder for each part, which is the volume that it alone is given:

    authority/          the CA's key and every certificate; of this program alone
    <service>/          <service>.crt, <service>.key, ca.crt, database_url, owner_database_url
    ledger/             signing_key
    reconciliation/     signing_key
    gateway/            webhook_secret_keys
    compliance/         document_keys
    clients/            the certificates of a shop and of the staff, and ca.crt
    postgres/           a file for each login, named as it is, with its password
    grafana/            admin, with its password

What is there is kept, so it may run before each start; certificates are renewed in time.
"""

import base64
import os
import secrets
import tempfile
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

from runtime.signed_notes import SignerKey
from sandbox.certificates import NAMES, CertificateFiles, make_certificates

SERVICES = ("ledger", "gateway", "compliance", "reconciliation")
AUTHORITY, CLIENTS, POSTGRES, GRAFANA = "authority", "clients", "postgres", "grafana"
SUPERUSER = "postgres"
# What the servers of a cluster log in as at each other (deploy/patroni).
CLUSTER_LOGINS = ("replicator", "rewinder")
GRAFANA_LOGIN = "admin"
PASSWORD_BYTES = 24
SIGNING_SERVICES = ("ledger", "reconciliation")
SEALING_KEY_BYTES = 32
PRIVATE = 0o600
# The containers of others read as accounts that their images know and ours does not. Each is the
# only one with its folder.
SHARED = 0o644


def make_credentials(directory: Path, now: datetime, database_host: str = POSTGRES) -> list[Path]:
    """Makes what is missing or about to expire; the folders of all parts.

    `database_host` is as URLs have it, so it may name several, with ports: `a:5432,b:5432`.
    """
    certificates = make_certificates(directory / AUTHORITY, now)
    for name in NAMES:
        _put(certificates[name], directory / (name if name in SERVICES else CLIENTS))
    passwords = directory / POSTGRES
    passwords.mkdir(exist_ok=True)
    for login in (SUPERUSER, *CLUSTER_LOGINS):
        _kept(passwords / login, _password, SHARED)
    (directory / GRAFANA).mkdir(exist_ok=True)
    _kept(directory / GRAFANA / GRAFANA_LOGIN, _password, SHARED)
    for service in SERVICES:
        for variable, login in (
            ("database_url", f"{service}_login"),
            ("owner_database_url", f"{service}_owner"),
        ):
            password = _kept(passwords / login, _password, SHARED)
            url = f"postgresql://{login}:{password}@{database_host}/{service}"
            _write(directory / service / variable, f"{url}\n".encode(), PRIVATE)
    for service in SIGNING_SERVICES:
        _kept(directory / service / "signing_key", partial(_signing_key, service), PRIVATE)
    for keys in (
        directory / "gateway" / "webhook_secret_keys",
        directory / "compliance" / "document_keys",
    ):
        _kept(
            keys, lambda: base64.b64encode(secrets.token_bytes(SEALING_KEY_BYTES)).decode(), PRIVATE
        )
    return [directory / name for name in (AUTHORITY, *SERVICES, CLIENTS, POSTGRES, GRAFANA)]


def _signing_key(service: str) -> str:
    return SignerKey.generate(f"{service}.compose").secret_text()


def _password() -> str:
    """Nothing in it has to be quoted in a URL."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _put(made: CertificateFiles, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for file, mode in ((made.certificate, SHARED), (made.key, PRIVATE), (made.ca, SHARED)):
        _write(folder / file.name, file.read_bytes(), mode)


def _kept(path: Path, make: Callable[[], str], mode: int) -> str:
    """The text of a file, which is made when it is missing."""
    if not path.exists():
        _write(path, f"{make()}\n".encode(), mode)
    return path.read_text(encoding="utf-8").strip()


def _write(path: Path, content: bytes, mode: int) -> None:
    """Whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        os.fchmod(handle, mode)
    Path(temporary).replace(path)
