"""The lists in use, in memory, ready to be searched."""

import asyncio
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.screening.building import Building, ListBuildError
from compliance.screening.index import Hit, NameIndex, ScreenedPerson
from compliance.screening.list_store import active_version, entry_pages
from compliance.screening.match_store import Screened
from compliance.subjects.subject import Subject
from runtime.items import Items
from runtime.logs import get_logger

RETRY_SECONDS = 60.0
MAX_STEPS_OF_FORGETTING = 10_000

log = get_logger(__name__)


@dataclass(frozen=True)
class ActiveList:
    """One list version with its index."""

    list: str
    version: int
    index: NameIndex


class ActiveLists:
    """Follows the versions that the database says are in use."""

    def __init__(
        self,
        engine: AsyncEngine,
        list_names: tuple[str, ...],
        threshold: float,
        building: Building,
    ) -> None:
        self._engine = engine
        self._building = building
        self._names = list_names
        self._active: dict[str, ActiveList] = {}
        self._items = Items("lists to follow")
        # Of lists that could not be followed, when to try again: a builder is no small thing.
        self._not_before: dict[str, float] = {}
        self.threshold = threshold

    def all(self) -> tuple[ActiveList, ...]:
        """What is in use, as far as this process knows."""
        return tuple(self._active.values())

    def get(self, list_name: str) -> ActiveList | None:
        """The list in use; None until a version was loaded."""
        return self._active.get(list_name)

    async def replace(self, active: ActiveList) -> None:
        """Takes a version into use that this process has just activated."""
        before = self._active.get(active.list)
        self._active[active.list] = active
        self._not_before.pop(active.list, None)
        # Whatever the old one remembers is given back bit by bit, while calls are answered.
        for _ in range(MAX_STEPS_OF_FORGETTING):
            if before is None or not before.index.forget():
                break
            await asyncio.sleep(0)

    async def refresh(self) -> None:
        """Reads the versions that another process brought into use.

        One that cannot be read is not in use here: what it would find waits, and does not pass.
        """
        now = asyncio.get_running_loop().time()
        for name in self._names:
            if now < self._not_before.get(name, now):
                continue
            with self._items.kept_apart(name):
                try:
                    await self._refresh(name)
                except ListBuildError:
                    self._not_before[name] = now + RETRY_SECONDS
                    raise

    async def _refresh(self, name: str) -> None:
        async with self._engine.connect() as connection:
            version = await active_version(connection, name)
            known = self._active.get(name)
            if version is None or (known is not None and known.version >= version.version):
                return
        async with self._building.builder() as builder, self._engine.connect() as connection:
            await builder.start(entry_pages(connection, name, version.version))
            index = await builder.index()
        await self.replace(ActiveList(name, version.version, index))
        log.info("list_in_use", list=name, version=version.version, entries=len(index))

    def screen(self, subject: Subject) -> list[Screened]:
        """What a subject matches on each list, as far as this process knows them.

        One that it does not know is screened against version 0, that is, not yet.
        """
        return [
            screen_on(subject, active, self.threshold)
            if (active := self.get(name)) is not None
            else Screened(
                subject.subject_id,
                subject.profile_revision,
                name,
                list_version=0,
                hits=(),
                scope=frozenset(),
                is_comparable=person_of(subject).is_comparable,
            )
            for name in self._names
        ]

    def search(self, person: ScreenedPerson) -> list[tuple[ActiveList, Hit]]:
        """What somebody who is no subject matches, the surest first."""
        found = [
            (active, hit)
            for active in self.all()
            for hit in active.index.search(person, self.threshold)
        ]
        return sorted(found, key=lambda item: -item[1].score)


def screen_on(subject: Subject, active: ActiveList, threshold: float) -> Screened:
    """What a subject matches on a whole list."""
    person = person_of(subject)
    return Screened(
        subject_id=subject.subject_id,
        profile_revision=subject.profile_revision,
        list=active.list,
        list_version=active.version,
        hits=active.index.search(person, threshold),
        scope=None,
        is_comparable=person.is_comparable,
    )


def person_of(subject: Subject) -> ScreenedPerson:
    """The part of a subject that lists are searched for."""
    return ScreenedPerson(
        names=subject.names,
        is_person=subject.is_person,
        birth_date=subject.birth_date,
        country_code=subject.country_code,
    )
