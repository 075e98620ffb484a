"""Brings a list's newest state into use: read, check, compare, screen, then switch.

A source that is missing, broken, empty or suddenly much shorter changes nothing but the alarm. The
new version is in use only when every subject was compared with what changed, so that there is no
moment at which a listed subject passes.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.errors import list_broken, list_not_configured
from compliance.evidence_news import EvidenceNews
from compliance.screening.active_lists import ActiveList, ActiveLists
from compliance.screening.entries import BrokenListError, Entry, ParsedList
from compliance.screening.index import NameIndex
from compliance.screening.list_store import (
    ListVersion,
    activate_version,
    active_version,
    confirm_version,
    entries_of,
    next_version,
    record_attempt,
    stage_version,
)
from compliance.screening.match_store import retire_entries
from compliance.screening.plausibility import check_presence, check_shrinking, quantities_of
from compliance.screening.rescreening import Delta, Rescreening
from compliance.screening.sources import ListSource, SourceContent
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


@dataclass(frozen=True)
class _Comparison:
    """How a list's entries differ from those in use."""

    added: tuple[Entry, ...]
    changed: tuple[Entry, ...]
    removed_ids: tuple[str, ...]

    @property
    def new(self) -> tuple[Entry, ...]:
        return (*self.added, *self.changed)

    @property
    def gone_ids(self) -> tuple[str, ...]:
        """Entries whose stored state ends: replaced or removed."""
        return (*self.removed_ids, *(entry.entry_id for entry in self.changed))


class ListLoader:
    """Loads lists, one load of a list at a time over all replicas."""

    def __init__(
        self,
        engine: AsyncEngine,
        sources: Mapping[str, ListSource],
        lists: ActiveLists,
        rescreening: Rescreening,
        clock: Clock,
        news: EvidenceNews,
    ) -> None:
        self._engine = engine
        self._news = news
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
        Raises `LIST_NOT_CONFIGURED`, or `LIST_BROKEN` with what is wrong.
        """
        source = self.sources.get(list_name)
        if source is None:
            raise list_not_configured(list_name)
        async with self._alone(list_name):
            try:
                content = await asyncio.to_thread(source.read)
                version, changed = await self._load(source, content, accept_losses=accept_losses)
            except BrokenListError as error:
                await self._note_attempt(list_name, str(error))
                raise list_broken(list_name, str(error)) from error
            except Exception:
                ALARM.labels(list_name).set(1)
                raise
            await self._note_attempt(list_name, "")
        self._news.about_everybody()
        return version, changed

    async def _load(
        self, source: ListSource, content: SourceContent, *, accept_losses: bool
    ) -> tuple[ListVersion, bool]:
        checksum = _checksum(content.files)
        async with self._engine.begin() as connection:
            active = await active_version(connection, source.list_name)
            if active is not None and active.checksum == checksum:
                await confirm_version(
                    connection, active.list, active.version, content.observed_time
                )
                confirmed = await active_version(connection, source.list_name)
                assert confirmed is not None
                return confirmed, False
        parsed = await asyncio.to_thread(source.parse, content)
        return await self._bring_into_use(
            source.list_name, content, parsed, active, accept_losses=accept_losses
        ), True

    async def _bring_into_use(
        self,
        list_name: str,
        content: SourceContent,
        parsed: ParsedList,
        active: ListVersion | None,
        *,
        accept_losses: bool,
    ) -> ListVersion:
        since = active.version if active else 0
        entries = parsed.entries
        async with self._engine.begin() as connection:
            before = await entries_of(connection, list_name, since)
            if not accept_losses:
                check_presence(parsed.quantities)
                # What is stored was counted by today's rules; rows of files only its load knows.
                counted = quantities_of(entry for _, entry in before.values())
                stored = active.quantities if active else {}
                check_shrinking({**stored, **counted}, parsed.quantities)
            compared = _compare(before, entries)
            version = ListVersion(
                list=list_name,
                version=await next_version(connection, list_name),
                state="STAGED",
                checksum=_checksum(content.files),
                entry_count=len(entries),
                added_count=len(compared.added),
                changed_count=len(compared.changed),
                removed_count=len(compared.removed_ids),
                create_time=self._clock.now(),
                activate_time=None,
                confirm_time=content.observed_time,
                quantities=dict(parsed.quantities),
            )
            await stage_version(connection, version, compared.new, active=since)
        whole = await asyncio.to_thread(NameIndex, entries)
        changed = await asyncio.to_thread(NameIndex, compared.new)
        ids = frozenset(entry.entry_id for entry in compared.new)
        subjects = await self._rescreening.screen_all(
            Delta(list_name, version.version, since, whole, changed, ids)
        )
        async with self._engine.begin() as connection:
            now = self._clock.now()
            await activate_version(
                connection,
                list_name,
                version.version,
                active=since,
                gone_entry_ids=compared.gone_ids,
                now=now,
            )
            await retire_entries(connection, list_name, compared.removed_ids, now)
            in_use = await active_version(connection, list_name)
        assert in_use is not None
        self._lists.replace(ActiveList(list_name, version.version, whole))
        # Subjects that came while the others were screened saw the old list only.
        await self._rescreening.screen_outdated()
        log.info(
            "list_loaded",
            list=list_name,
            version=version.version,
            entries=len(entries),
            added=version.added_count,
            changed=version.changed_count,
            removed=version.removed_count,
            subjects=subjects,
        )
        return in_use

    async def _note_attempt(self, list_name: str, defect: str) -> None:
        ALARM.labels(list_name).set(1 if defect else 0)
        if defect:
            log.error("list_broken", list=list_name, defect=defect)
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


def _compare(before: Mapping[str, tuple[str, Entry]], entries: tuple[Entry, ...]) -> _Comparison:
    """How the list changed."""
    now = {entry.entry_id: entry for entry in entries}
    return _Comparison(
        added=tuple(entry for key, entry in now.items() if key not in before),
        changed=tuple(
            entry
            for key, entry in now.items()
            if key in before and before[key][0] != entry.content_hash
        ),
        removed_ids=tuple(key for key in before if key not in now),
    )


def _checksum(files: Mapping[str, bytes]) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name} {len(files[name])}\n".encode())
        digest.update(files[name])
    return digest.digest()
