"""Reads docker-compose.yml as Docker Compose would, with its defaults filled in."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent.parent
COMPOSE_FILE = PROJECT / "docker-compose.yml"
HA_COMPOSE_FILE = PROJECT / "docker-compose.ha.yml"
# Where each service has its credentials mounted, and where the image has the project.
CREDENTIALS = "/credentials"
IMAGE_PROJECT = "/app/"
OWN_SERVICES = ("ledger", "gateway", "compliance", "reconciliation")

# ${NAME:-default}; the file uses no other form.
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")


@dataclass(frozen=True)
class Compose:
    """The file as written, and with every variable at its default."""

    written: dict[str, Any]
    filled: dict[str, Any]

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        services: dict[str, dict[str, Any]] = self.filled["services"]
        return services

    def environment(self, service: str) -> dict[str, str]:
        return {name: str(value) for name, value in self.services[service]["environment"].items()}

    def environment_here(self, service: str, credentials: Path) -> dict[str, str]:
        """With paths of this machine: of what `make_credentials` made in a folder, and ours."""
        return {
            name: value.replace(IMAGE_PROJECT, f"{PROJECT}/").replace(
                CREDENTIALS, str(credentials / service)
            )
            for name, value in self.environment(service).items()
        }

    def published(self, service: str) -> dict[int, str]:
        """The container's ports that are published, with the host's address."""
        published = {}
        for mapping in self.services[service].get("ports", []):
            address, container = mapping.rsplit(":", 1)
            published[int(container)] = address
        return published


@cache
def read_compose(file: Path = COMPOSE_FILE) -> Compose:
    text = file.read_text()
    return Compose(written=yaml.safe_load(text), filled=yaml.safe_load(_VARIABLE.sub(r"\2", text)))
