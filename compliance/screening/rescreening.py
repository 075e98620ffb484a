"""Screens stored subjects again, a page at a time: after a list changed, or when one was missed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import RowMapping, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.evidence_news import EvidenceNews
from compliance.screening.active_lists import ActiveList, ActiveLists, person_of, screen_on
from compliance.screening.building import Builder, ListBuildError
from compliance.screening.match_store import Screened, record_screenings
from compliance.screening.names import RULES_VERSION
from compliance.subjects.subject import Subject, subject_of
from compliance.tables import SCREENING, SUBJECT
from runtime.clock import Clock
from runtime.items import Items
from runtime.loops import Loop

PAGE_SIZE = 100
# Of subjects that the builder compares with what is new in a list: this process only stores.
DELTA_PAGE_SIZE = 250
MAX_PAGES_PER_ROUND = 100


@dataclass(frozen=True)
class Delta:
    """What a new version brings: the process that built it, and the ids of what is new in it.

    Subjects that were screened against version `since` or later need to be compared with the
    new and changed entries only.
    """

    list: str
    version: int
    since: int
    builder: Builder
    new_ids: frozenset[str]


class Rescreening:
    """Keeps what is stored of matches in step with subjects and lists."""

    def __init__(
        self, engine: AsyncEngine, lists: ActiveLists, clock: Clock, news: EvidenceNews
    ) -> None:
        self._engine = engine
        self._news = news
        self._lists = lists
        self._clock = clock
        self._items = Items("subjects to screen")

    def loop(self, interval_seconds: float) -> Loop:
        """Follows the lists that other processes bring into use, and screens who lags behind."""

        async def follow() -> bool:
            await self._lists.refresh()
            await self.screen_outdated()
            return False

        return Loop("rescreening", follow, poll_seconds=interval_seconds, rests_first=True)

    async def screen_all(self, delta: Delta) -> int:
        """Brings every subject to the new version; the number of subjects screened.

        One that cannot be read or screened stays at the older version, which no check lets pass.
        Raises `ListBuildError`.
        """
        last = ""
        seen = 0
        # What was found of a page is stored while the builder screens the next.
        storing: asyncio.Task[None] | None = None
        try:
            while True:  # Bounded by the number of subjects: each page is after the one before.
                rows = await self._page_after(last, delta.list)
                if not rows:
                    return seen
                last = rows[-1]["subject_id"]
                seen += len(rows)
                page = self._items.readable(
                    rows, lambda row: (subject_of(row), row["list_version"]), _id_of
                )
                screened = await self._screen_page(page, delta)
                if storing is not None:
                    await storing
                storing = asyncio.create_task(
                    self._items.together(screened, self._store, lambda item: item.subject_id)
                )
        finally:
            if storing is not None:
                await storing

    async def screen_outdated(self) -> int:
        """Screens subjects that were screened against an older version or by older rules only.

        Answers how many there were.

        Such are those that a process with the older version in memory created or changed.
        """
        return sum([await self._screen_outdated(active) for active in self._lists.all()])

    async def _screen_outdated(self, active: ActiveList) -> int:
        async def screen(part: Sequence[Subject]) -> None:
            await self._store(await asyncio.to_thread(self._screen_whole, part, active))

        seen: set[str] = set()
        # Those that come again could not be screened: they do not hold up who comes after them.
        behind: set[str] = set()
        for _ in range(MAX_PAGES_PER_ROUND):
            rows = await self._outdated(active, behind)
            if not rows:
                break
            behind |= seen & {_id_of(row) for row in rows}
            rows = [row for row in rows if _id_of(row) not in seen]
            seen |= {_id_of(row) for row in rows}
            page = self._items.readable(rows, subject_of, _id_of)
            await self._items.together(page, screen, lambda subject: subject.subject_id)
        return len(seen)

    def _screen_whole(self, page: Sequence[Subject], active: ActiveList) -> list[Screened]:
        return [screen_on(subject, active, self._lists.threshold) for subject in page]

    async def _screen_page(
        self, page: Sequence[tuple[Subject, int | None]], delta: Delta
    ) -> list[Screened]:
        """What the builder finds of a page: this process has calls to answer."""
        only_new = [since is not None and since >= delta.since > 0 for _, since in page]
        people = [
            (person_of(subject), only) for (subject, _), only in zip(page, only_new, strict=True)
        ]
        found = await delta.builder.screen(people, self._lists.threshold)
        screened = []
        for (subject, _), only, result in zip(page, only_new, found, strict=True):
            if result.failure:
                error = ListBuildError(result.failure)
                self._items.unhandled(subject.subject_id, error)
                continue
            screened.append(
                Screened(
                    subject_id=subject.subject_id,
                    profile_revision=subject.profile_revision,
                    list=delta.list,
                    list_version=delta.version,
                    hits=result.hits,
                    scope=delta.new_ids if only else None,
                    is_comparable=result.is_comparable,
                )
            )
        return screened

    async def _store(self, screened: Sequence[Screened]) -> None:
        """Stores what holds for subjects that did not change meanwhile."""
        async with self._engine.begin() as connection:
            rows = await connection.execute(
                select(SUBJECT.c.subject_id, SUBJECT.c.profile_revision)
                .where(SUBJECT.c.subject_id == func.any([item.subject_id for item in screened]))
                .order_by(SUBJECT.c.subject_id)
                .with_for_update(read=True)
            )
            revisions = {row.subject_id: row.profile_revision for row in rows}
            current = [
                item for item in screened if revisions.get(item.subject_id) == item.profile_revision
            ]
            await record_screenings(connection, current, self._clock.now())
        self._news.about(item.subject_id for item in current)

    async def _page_after(self, subject_id: str, list_name: str) -> Sequence[RowMapping]:
        """Subjects with the version that their profile was last screened against."""
        statement = (
            select(SUBJECT, SCREENING.c.list_version)
            .select_from(
                SUBJECT.outerjoin(
                    SCREENING,
                    and_(
                        SCREENING.c.subject_id == SUBJECT.c.subject_id,
                        SCREENING.c.list == list_name,
                        SCREENING.c.profile_revision == SUBJECT.c.profile_revision,
                        # What older rules found on the whole list is no base for a delta.
                        SCREENING.c.rules_version == RULES_VERSION,
                    ),
                )
            )
            .where(SUBJECT.c.subject_id > subject_id)
            .order_by(SUBJECT.c.subject_id)
            .limit(DELTA_PAGE_SIZE)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).mappings().all()

    async def _outdated(self, active: ActiveList, without: set[str]) -> Sequence[RowMapping]:
        statement = (
            select(SUBJECT)
            .join(SCREENING, SCREENING.c.subject_id == SUBJECT.c.subject_id)
            .where(
                SCREENING.c.list == active.list,
                or_(
                    SCREENING.c.list_version < active.version,
                    SCREENING.c.rules_version < RULES_VERSION,
                ),
                SCREENING.c.subject_id != func.all(sorted(without)),
            )
            .order_by(SCREENING.c.list_version)
            .limit(PAGE_SIZE)
        )
        async with self._engine.connect() as connection:
            return (await connection.execute(statement)).mappings().all()


def _id_of(row: RowMapping) -> str:
    return str(row["subject_id"])
