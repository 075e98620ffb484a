"""Who did it: each act of an operator, written down before it is done.

An act is a call by an operator that changes something, or a command on a database. It is there
with the operator's name, the method, the request's id and what it is about before anything is
changed; how it ended follows. What has no end was cut off, and may have been done or not: the thing
itself tells, and a repetition with the same id is an act of its own. Nothing of it is ever changed.
"""

import getpass
import json
import os
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from google.protobuf.message import Message

from runtime.clock import Clock
from runtime.connections import Connections
from runtime.database import Database
from runtime.database_errors import DATABASE_IS_GONE
from runtime.errors import ServiceError
from runtime.logs import get_logger
from runtime.rights import Caller, Role, Rule

# Of a value that tells what an act is about.
MAX_ABOUT_CHARACTERS = 255
MAX_NAME_CHARACTERS = 255
DONE = "OK"
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 500
# Operators are few.
POOL_SIZE = 2

BEGIN_ACT = """
    INSERT INTO operator_act (client, method, request_id, about, begin_time)
    VALUES (%(client)s, %(method)s, %(request_id)s, %(about)s::jsonb, %(now)s)
    RETURNING act_number
"""
END_ACT = """
    INSERT INTO operator_act_outcome (act_number, outcome, end_time)
    VALUES (%(act_number)s, %(outcome)s, %(now)s)
"""
LIST_ACTS = """
    SELECT
        a.act_number, a.client, a.method, a.request_id, a.about, a.begin_time, o.outcome, o.end_time
    FROM operator_act AS a
    LEFT JOIN operator_act_outcome AS o ON a.act_number = o.act_number
    WHERE (%(before)s::bigint IS NULL OR a.act_number < %(before)s)
        AND (%(client)s = '' OR a.client = %(client)s)
        AND a.about @> %(about)s::jsonb
    ORDER BY a.act_number DESC
    LIMIT %(limit)s
"""

log = get_logger(__name__)


@dataclass(frozen=True)
class Act:
    """What an operator does."""

    client: str
    method: str
    """`package.Service/Method`, or of a command its name as it is typed."""
    request_id: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    """What it is about, by the names of the request's fields."""


@dataclass(frozen=True)
class RecordedAct:
    """An act with its place; without an outcome it is under way, or was cut off."""

    number: int
    act: Act
    begin_time: datetime
    outcome: str
    end_time: datetime | None


class ActLog:
    """The acts on one database."""

    def __init__(self, connections: Connections, clock: Clock) -> None:
        self._connections = connections
        self._clock = clock

    @asynccontextmanager
    async def act(self, act: Act) -> AsyncIterator[None]:
        """Writes the act down, lets it be done, and writes down how it ended.

        Raises the database's errors before anything is done, and none after.
        """
        number = await self._begin(act)
        try:
            yield
        except Exception as error:
            told = error.reason if isinstance(error, ServiceError) else type(error).__name__
            await self._end(number, told)
            raise
        await self._end(number, DONE)

    async def page(
        self, client: str, about: Mapping[str, str], before: int | None, limit: int
    ) -> list[RecordedAct]:
        """Acts of a client, or of all, about all of these things; the newest first."""
        rows = await self._connections.fetch(
            LIST_ACTS,
            {
                "client": client,
                "about": json.dumps(dict(about)),
                "before": before,
                "limit": limit,
            },
        )
        return [_recorded(*row) for row in rows]

    async def _begin(self, act: Act) -> int:
        values = {
            "client": act.client[:MAX_NAME_CHARACTERS],
            "method": act.method,
            "request_id": act.request_id,
            "about": json.dumps(dict(act.about)),
            "now": self._clock.now(),
        }
        async with self._connections.borrow() as connection:
            cursor = await connection.execute(BEGIN_ACT, values)
            (number,) = await cursor.fetchone() or (0,)
        return int(number)

    async def _end(self, number: int, outcome: str) -> None:
        values = {"act_number": number, "outcome": outcome, "now": self._clock.now()}
        try:
            async with self._connections.borrow() as connection:
                await connection.execute(END_ACT, values)
        except DATABASE_IS_GONE as error:
            # What was done is done, and its caller is told so; the act stays without an end.
            log.warning("act_end_unwritten", act=number, error_type=type(error).__name__)


@asynccontextmanager
async def open_act_log(database: Database | str, role: str, clock: Clock) -> AsyncIterator[ActLog]:
    """The acts on a database, over connections of their own, which are opened when needed."""
    connections = Connections(
        database, role=role, size=POOL_SIZE, application_name="operator acts", read_span="acts"
    )
    try:
        yield ActLog(connections, clock)
    finally:
        await connections.close()


def is_act(caller: Caller, rule: Rule) -> bool:
    """Whether a call is written down: an operator's that changes something.

    Without TLS nobody has a role; then it is what only operators may call.
    """
    if not rule.changes:
        return False
    if caller.role is None:
        return rule.roles == {Role.OPERATOR}
    return caller.role is Role.OPERATOR


def act_of(caller: Caller, method: str, request: Any, rule: Rule) -> Act:
    """The act that a request is."""
    fields = ((path, _text_at(request, path)) for path in rule.about.split())
    return Act(
        caller.name,
        method,
        getattr(request, "request_id", ""),
        {path: text[:MAX_ABOUT_CHARACTERS] for path, text in fields if text},
    )


def add_by(parser: ArgumentParser) -> None:
    """Lets a command's caller say who he is."""
    parser.add_argument(
        "--by",
        default=_user(),
        metavar="NAME",
        help="who runs it, to be kept with what it does; without it the user of this process",
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # In a container a user may have no name.
        return f"uid {os.getuid()}"


def _recorded(
    number: int,
    client: str,
    method: str,
    request_id: str,
    about: Mapping[str, str],
    begin_time: datetime,
    outcome: str | None,
    end_time: datetime | None,
) -> RecordedAct:
    act = Act(client, method, request_id, about)
    return RecordedAct(number, act, begin_time, outcome or "", end_time)


def _text_at(message: Any, path: str) -> str:
    """What a dotted path leads to, as text; of a message that is a choice, what was chosen."""
    name, _, rest = path.partition(".")
    value = getattr(message, name)
    if rest:
        return _text_at(value, rest)
    descriptor = message.DESCRIPTOR.fields_by_name[name]
    if isinstance(value, Message):
        return " ".join(str(chosen) for _, chosen in value.ListFields())
    if descriptor.enum_type is not None:
        named = descriptor.enum_type.values_by_number.get(value)
        return named.name if named is not None else str(value)
    return str(value) if value else ""
