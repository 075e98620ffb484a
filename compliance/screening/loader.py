"""Brings a list's newest state into use: read, check, compare, screen, then switch.

A source that is missing, broken, empty or suddenly much shorter changes nothing but the alarm. The
new version is in use only when every subject was compared with what changed, so that there is no
moment at which a listed subject passes. Another process reads, compares and screens (building.py).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.errors import list_broken, list_not_built, list_not_configured
from compliance.evidence_news import EvidenceNews
from compliance.screening.active_lists import ActiveList, ActiveLists
from compliance.screening.building import Builder, Building, ListBuildError
from compliance.screening.entries import BrokenListError
from compliance.screening.list_store import (
    ListVersion,
    activate_version,
    active_version,
    add_entries,
    confirm_version,
    entry_pages,
    next_version,
    record_attempt,
    stage_version,
)
from compliance.screening.match_store import retire_entries
from compliance.screening.rescreening import Delta, Rescreening
from compliance.screening.sources import ListSource
from runtime.clock import Clock
from runtime.errors import ServiceError
from runtime.items import Items
from runtime.logs import get_logger
from runtime.loops import Loop

ALARM = Gauge(
    "compliance_list_alarm", "1 while a list's source cannot be loaded, else 0.", ["list"]
)
CONFIRMED = Gauge(
    "compliance_list_confirm_time_seconds",
    "Unix time at which the list in use was last known to be its source's newest state.",
    ["list"],
)

log = get_logger(__name__)


class ListLoader:
    """Loads lists, one load of a list at a time over all replicas."""

    def __init__(
        self,
        engine: AsyncEngine,
        sources: Mapping[str, ListSource],
        lists: ActiveLists,
        rescreening: Rescreening,
        building: Building,
        clock: Clock,
        news: EvidenceNews,
    ) -> None:
        self._engine = engine
        self._news = news
        self._building = building
        self.sources = sources
        self._lists = lists
        self._rescreening = rescreening
        self._clock = clock
        self._items = Items("lists to load")

    def loop(self, interval_seconds: float) -> Loop:
        """Loads every list again and again. The first load is its `attempt`."""
        return Loop("list loading", self._load_all, poll_seconds=interval_seconds, rests_first=True)

    async def _load_all(self) -> bool:
        for name in self.sources:
            # The alarm is up: the rules go by the age of what is in use.
            with self._items.kept_apart(name), contextlib.suppress(ServiceError):
                await self.load(name)
        return False

    async def load(
        self, list_name: str, *, accept_losses: bool = False
    ) -> tuple[ListVersion, bool]:
        """The version in use afterwards, and whether it is a new one.

        `accept_losses` believes a list that became much smaller, or has nothing of a kind: a person
        looked at it.
        Raises `LIST_NOT_CONFIGURED`, `LIST_BROKEN` with what is wrong, or `LIST_NOT_BUILT`.
        """
        source = self.sources.get(list_name)
        if source is None:
            raise list_not_configured(list_name)
        async with self._alone(list_name):
            try:
                version, changed = await self._load(source, accept_losses=accept_losses)
            except BrokenListError as error:
                await self._note_attempt(list_name, str(error))
                raise list_broken(list_name, str(error)) from error
            except ListBuildError as error:
                await self._note_attempt(
                    list_name, f"the index was not built: {error}", "list_not_built"
                )
                raise list_not_built(list_name, str(error)) from error
            except Exception:
                ALARM.labels(list_name).set(1)
                raise
            await self._note_attempt(list_name, "")
        self._news.about_everybody()
        return version, changed

    async def _load(self, source: ListSource, *, accept_losses: bool) -> tuple[ListVersion, bool]:
        seen = await asyncio.to_thread(source.fingerprint)
        async with self._engine.begin() as connection:
            active = await active_version(connection, source.list_name)
            if active is not None and active.checksum == seen.checksum:
                observed_time = source.observed_time(seen, self._clock.now())
                await confirm_version(connection, active.list, active.version, observed_time)
                confirmed = await active_version(connection, source.list_name)
                assert confirmed is not None
                return confirmed, False
        async with self._building.builder() as builder:
            since = active.version if active else 0
            async with self._engine.connect() as connection:
                await builder.start(
                    entry_pages(connection, source.list_name, since),
                    source,
                    active.quantities if active else {},
                    accept_losses=accept_losses,
                )
            return await self._bring_into_use(source, builder, since), True

    async def _bring_into_use(
        self, source: ListSource, builder: Builder, since: int
    ) -> ListVersion:
        list_name = source.list_name
        compared, fingerprint = await builder.comparison()
        gone_ids = (*compared.removed_ids, *compared.changed_ids)
        async with self._engine.begin() as connection:
            now = self._clock.now()
            version = ListVersion(
                list=list_name,
                version=await next_version(connection, list_name),
                state="STAGED",
                checksum=fingerprint.checksum,
                entry_count=compared.entry_count,
                added_count=compared.added_count,
                changed_count=len(compared.changed_ids),
                removed_count=len(compared.removed_ids),
                create_time=now,
                activate_time=None,
                confirm_time=source.observed_time(fingerprint, now),
                quantities=compared.quantities,
            )
            await stage_version(connection, version, active=since)
            async for rows in builder.new_rows():
                await add_entries(connection, version, rows)
        index = await builder.index()
        new_ids = frozenset(compared.new_ids)
        subjects = await self._rescreening.screen_all(
            Delta(list_name, version.version, since, builder, new_ids)
        )
        async with self._engine.begin() as connection:
            now = self._clock.now()
            await activate_version(
                connection,
                list_name,
                version.version,
                active=since,
                gone_entry_ids=gone_ids,
                now=now,
            )
            await retire_entries(connection, list_name, compared.removed_ids, now)
            in_use = await active_version(connection, list_name)
        assert in_use is not None
        await self._lists.replace(ActiveList(list_name, version.version, index))
        # Subjects that came while the others were screened saw the old list only.
        await self._rescreening.screen_outdated()
        log.info(
            "list_loaded",
            list=list_name,
            version=version.version,
            entries=version.entry_count,
            added=version.added_count,
            changed=version.changed_count,
            removed=version.removed_count,
            subjects=subjects,
            index_bytes=index.size,
        )
        return in_use

    async def _note_attempt(self, list_name: str, defect: str, event: str = "list_broken") -> None:
        ALARM.labels(list_name).set(1 if defect else 0)
        if defect:
            log.error(event, list=list_name, defect=defect)
        async with self._engine.begin() as connection:
            await record_attempt(connection, list_name, self._clock.now(), defect)
            version = await active_version(connection, list_name)
        # Without any version since 1970: what is not there is old.
        CONFIRMED.labels(list_name).set(version.confirm_time.timestamp() if version else 0)

    @asynccontextmanager
    async def _alone(self, list_name: str) -> AsyncIterator[None]:
        """Holds the list's lock; it goes with the connection if this process dies."""
        key = f"compliance.list.{list_name}"
        async with self._engine.connect() as connection:
            await connection.exec_driver_sql(
                "SELECT pg_advisory_lock(hashtextextended(%s, 0))", (key,)
            )
            await connection.commit()
            try:
                yield
            finally:
                await connection.exec_driver_sql(
                    "SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (key,)
                )
                await connection.commit()
