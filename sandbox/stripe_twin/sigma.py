"""Scheduled queries of Stripe Sigma: their runs, and the files that come of them.

https://docs.stripe.com/sigma/scheduled-queries, https://docs.stripe.com/stripe-data/schema. A query
is made in Stripe's dashboard and not by its API, so that here a test has one run. SQL is SQLite's,
over tables of what the account's data was some hours ago; amounts are Stripe's minor units.
"""

import csv
import io
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call
from sandbox.stripe_twin.files import add_file
from sandbox.stripe_twin.store import JsonObject

RUN = "scheduled_query_run"
FILE_PURPOSE = "sigma_scheduled_query"
# The twin's choice: how long a result can be fetched.
RESULT_SECONDS = 14 * 24 * 3_600
MAX_SQL_CHARACTERS = 100_000
# A query that does more than this has timed out.
MAX_STEPS = 50_000_000
_STEPS_BETWEEN_LOOKS = 100_000

# By table: each column, and the member of the object that it is of.
TABLES: dict[str, dict[str, str]] = {
    "balance_transactions": {
        name: name
        for name in ("id", "amount", "available_on", "created", "currency", "description", "fee")
    }
    | {"net": "net", "reporting_category": "reporting_category", "source_id": "source"}
    | {"status": "status", "type": "type", "automatic_transfer_id": "payout"},
    "payouts": {
        name: name
        for name in ("id", "amount", "arrival_date", "automatic", "created", "currency", "status")
    }
    | {"balance_transaction_id": "balance_transaction", "failure_code": "failure_code"},
    "charges": {
        name: name
        for name in ("id", "amount", "amount_refunded", "captured", "created", "currency")
    }
    | {"paid": "paid", "status": "status", "balance_transaction_id": "balance_transaction"}
    | {"payment_intent": "payment_intent", "customer_id": "customer"},
    "refunds": {name: name for name in ("id", "amount", "created", "currency", "status")}
    | {"charge_id": "charge", "balance_transaction_id": "balance_transaction"},
    "disputes": {name: name for name in ("id", "amount", "created", "currency", "reason", "status")}
    | {"charge_id": "charge"},
}
_TIMES = frozenset({"created", "available_on", "arrival_date"})
_READS = frozenset(
    {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
)
# Functions that reach what is no data.
_NO_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit"})


class ScheduledQuery(BaseModel):
    """A query that runs now; `outcome` is what comes of it whatever it says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Field(min_length=1, max_length=200)
    sql: str = Field(min_length=1, max_length=MAX_SQL_CHARACTERS)
    outcome: Literal["completed", "canceled", "failed", "timed_out"] = "completed"


def list_query_runs(call: Call) -> JsonObject:
    """GET /v1/sigma/scheduled_query_runs."""
    return call.objects(RUN).page("/v1/sigma/scheduled_query_runs", call.params)


def retrieve_query_run(call: Call) -> JsonObject:
    """GET /v1/sigma/scheduled_query_runs/{scheduled_query_run}."""
    return call.objects(RUN).get(call.path["scheduled_query_run"], "scheduled_query_run")


def run_query(account: TwinAccount, query: ScheduledQuery) -> JsonObject:
    """Runs a query as its schedule does, and tells of the run once it has ended."""
    loaded = account.now() - int(account.shared.settings.sigma_lag_seconds)
    status, message, content = query.outcome, "", b""
    if query.outcome == "completed":
        status, message, content = _outcome(account, query.sql, loaded)
    elif query.outcome == "failed":
        message = "The query failed."
    run: JsonObject = {
        "id": account.new_id("sqr"),
        "object": RUN,
        "created": account.now(),
        "data_load_time": loaded,
        "error": {"message": message} if message else None,
        "file": None,
        "livemode": False,
        "result_available_until": account.now() + RESULT_SECONDS,
        "sql": query.sql,
        "status": status,
        "title": query.title,
    }
    if status == "completed":
        run["file"] = add_file(
            account,
            content,
            purpose=FILE_PURPOSE,
            kind="csv",
            file_name=f"{run['id']}.csv",
            lasts_seconds=RESULT_SECONDS,
        )
    account.objects(RUN).add(run)
    account.emit("sigma.scheduled_query_run.created", run)
    return run


def _outcome(
    account: TwinAccount, sql: str, loaded: int
) -> tuple[Literal["completed", "failed", "timed_out"], str, bytes]:
    """How a query ends, with its error or the CSV of its result."""
    database = sqlite3.connect(":memory:")
    steps = 0

    def look() -> int:
        nonlocal steps
        steps += _STEPS_BETWEEN_LOOKS
        return steps > MAX_STEPS

    try:
        for name, columns in TABLES.items():
            _fill(database, name, columns, _objects(account, name, loaded))
        database.set_authorizer(_authorize)
        database.set_progress_handler(look, _STEPS_BETWEEN_LOOKS)
        result = database.execute(sql)
        return "completed", "", _csv([column[0] for column in result.description or ()], result)
    except (sqlite3.Error, sqlite3.Warning) as error:
        if steps > MAX_STEPS:
            return "timed_out", "", b""
        return "failed", str(error), b""
    finally:
        database.close()


def _authorize(action: int, _first: str | None, second: str | None, *_where: str | None) -> int:
    """A query reads tables, and does nothing else."""
    is_read = action in _READS and (
        action != sqlite3.SQLITE_FUNCTION or second not in _NO_FUNCTIONS
    )
    return sqlite3.SQLITE_OK if is_read else sqlite3.SQLITE_DENY


def _objects(account: TwinAccount, table: str, loaded: int) -> Iterator[JsonObject]:
    if table == "balance_transactions":
        for item in account.books.transactions:
            if item["created"] < loaded:
                yield {**item, "payout": account.paid_out.get(item["id"])}
        return
    for item in account.objects(table.removesuffix("s")):
        if item["created"] < loaded:
            yield item


def _fill(
    database: sqlite3.Connection, name: str, columns: dict[str, str], items: Iterable[JsonObject]
) -> None:
    database.execute(f"CREATE TABLE {name} ({', '.join(columns)})")
    places = ", ".join("?" * len(columns))
    rows = ([_cell(member, item.get(member)) for member in columns.values()] for item in items)
    database.executemany(f"INSERT INTO {name} VALUES ({places})", rows)


def _cell(member: str, value: Any) -> Any:
    if member in _TIMES and isinstance(value, int):
        return f"{datetime.fromtimestamp(value, UTC):%Y-%m-%d %H:%M:%S}.000"
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, int | str) else None


def _csv(headings: list[str], rows: Iterable[tuple[Any, ...]]) -> bytes:
    text = io.StringIO(newline="")
    table = csv.writer(text, quoting=csv.QUOTE_MINIMAL)
    table.writerow(headings)
    table.writerows(rows)
    return text.getvalue().encode("utf-8")
