"""`python -m SERVICE migrate`: what a deployment runs before it replaces the replicas."""

import asyncio
from typing import ClassVar

from pydantic_settings import SettingsConfigDict

from runtime import logs
from runtime.config import DatabaseSettings, ServiceSettings
from runtime.migrations import Standing, migrate, standing
from runtime.postgres import database_urls
from runtime.read_settings import read_settings
from runtime.startup import database_needed

EXIT_PENDING = 1


def run_migrate(settings_type: type[ServiceSettings], *, check: bool) -> int:
    """Migrates, or only looks what is pending; the exit status.

    Raises `SettingsError` and `StartupError`.
    """
    settings = read_settings(_database_settings(settings_type))
    name = settings.service_name
    logs.configure(name, settings.log_level)
    found = asyncio.run(_look(settings) if check else _migrate(settings))
    for migration in found.pending:
        print(
            f"{name}: {'pending' if check else 'applied'} {migration.revision}: {migration.title}"
        )
    if not found.pending:
        print(f"{name}: nothing is pending, the schema has revision {found.newest}")
    return EXIT_PENDING if check and found.pending else 0


def _database_settings(service: type[ServiceSettings]) -> type[DatabaseSettings]:
    """What a migration needs of a service's settings, which may be all that there is."""

    class OfService(DatabaseSettings):
        model_config = SettingsConfigDict(env_prefix=service.model_config["env_prefix"])
        service_name: ClassVar[str] = service.service_name
        other_variables: ClassVar[frozenset[str]] = (
            frozenset(service.variables()) | service.other_variables
        )

    return OfService


async def _migrate(settings: DatabaseSettings) -> Standing:
    variable, url = await _owner(settings)
    with database_needed(variable, url):
        return await migrate(url, settings.service_name)


async def _look(settings: DatabaseSettings) -> Standing:
    variable, url = await _owner(settings)
    with database_needed(variable, url):
        found = await standing(url, settings.service_name)
    found.check_not_too_new()
    return found


async def _owner(settings: DatabaseSettings) -> tuple[str, str]:
    """The variable that names the owner's database, and its URL."""
    owner_url = settings.owner_database_url
    if owner_url is not None:
        return settings.variable("owner_database_url"), owner_url.get_secret_value()
    _, url = await database_urls(settings)
    return settings.variable("database_url"), url
