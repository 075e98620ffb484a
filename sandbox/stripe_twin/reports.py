"""Stripe's Reporting API: report types, runs and their files.

https://docs.stripe.com/reports/api. The data of a day of UTC is there some hours after it is over,
which `reporting.report_type.updated` tells to endpoints that name it.
"""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sandbox.stripe_twin.accounts import TwinAccount
from sandbox.stripe_twin.calls import Call
from sandbox.stripe_twin.errors import invalid_request, missing
from sandbox.stripe_twin.files import add_file
from sandbox.stripe_twin.report_rows import LAYOUTS, Layout, Query, names, write_report
from sandbox.stripe_twin.store import JsonObject

RUN, TYPE = "reporting.report_run", "reporting.report_type"
TYPE_UPDATED = f"{TYPE}.updated"
FILE_PURPOSE = "finance_report_run"
# How long the file of a run can be fetched.
FILE_SECONDS = 365 * 24 * 3_600
DAY_SECONDS = 24 * 3_600
DEFAULT_ZONE = "Etc/UTC"
_KNOWN_PARAMETERS = frozenset(
    {"columns", "currency", "interval_end", "interval_start", "reporting_category", "timezone"}
)


def list_report_types(call: Call) -> JsonObject:
    """GET /v1/reporting/report_types: all of them, on one page."""
    return {
        "object": "list",
        "data": [_type(call.account, name, layout) for name, layout in sorted(LAYOUTS.items())],
        "has_more": False,
        "url": "/v1/reporting/report_types",
    }


def retrieve_report_type(call: Call) -> JsonObject:
    """GET /v1/reporting/report_types/{report_type}."""
    name = call.path["report_type"]
    if name not in LAYOUTS:
        raise missing(TYPE, name, "report_type")
    return _type(call.account, name, LAYOUTS[name])


def create_report_run(call: Call) -> JsonObject:
    """POST /v1/reporting/report_runs: pending, until the file is there."""
    account, name = call.account, call.params["report_type"]
    given = call.params.get("parameters", {})
    query = _query(account, name, given)
    run: JsonObject = {
        "id": account.new_id("frr"),
        "object": RUN,
        "created": account.now(),
        "error": None,
        "livemode": False,
        "parameters": {**given, "timezone": query.zone.key},
        "report_type": name,
        "result": None,
        "status": "pending",
        "succeeded_at": None,
    }
    call.objects(RUN).add(run)
    account.shared.clock.after(
        account.shared.settings.report_seconds, lambda: _finish(account, run, query)
    )
    return run


def retrieve_report_run(call: Call) -> JsonObject:
    """GET /v1/reporting/report_runs/{report_run}."""
    return call.objects(RUN).get(call.path["report_run"], "report_run")


def list_report_runs(call: Call) -> JsonObject:
    """GET /v1/reporting/report_runs by created."""
    return call.objects(RUN).page("/v1/reporting/report_runs", call.params)


def available_end(account: TwinAccount) -> int:
    """How far the data of all types reaches: the last midnight of UTC that is long enough ago."""
    settings = account.shared.settings
    reached = int(account.shared.clock.time() - settings.report_lag_seconds)
    return max(reached // DAY_SECONDS * DAY_SECONDS, available_start(account))


def available_start(account: TwinAccount) -> int:
    """From when on there is data: the midnight before the account began."""
    return account.started // DAY_SECONDS * DAY_SECONDS


def announce_types(account: TwinAccount) -> None:
    """Tells each day that there is new data, from now on; once for each account."""
    if account.announces_reports:
        return
    account.announces_reports = True
    clock = account.shared.clock

    def wait() -> None:
        lag = account.shared.settings.report_lag_seconds
        since_last = (clock.time() - lag) % DAY_SECONDS
        clock.after(DAY_SECONDS - since_last, tell)

    def tell() -> None:
        for name, layout in sorted(LAYOUTS.items()):
            account.emit(TYPE_UPDATED, _type(account, name, layout))
        wait()

    wait()


def _type(account: TwinAccount, name: str, layout: Layout) -> JsonObject:
    end = available_end(account)
    return {
        "id": name,
        "object": TYPE,
        "data_available_end": end,
        "data_available_start": available_start(account),
        "default_columns": list(layout.default),
        "livemode": False,
        "name": layout.name,
        "updated": end + int(account.shared.settings.report_lag_seconds),
        "version": int(name.rpartition(".")[2]),
    }


def _query(account: TwinAccount, name: str, given: JsonObject) -> Query:
    """The run's parameters. Raises ApiError (400) for those that the type does not take."""
    layout = LAYOUTS.get(name)
    if layout is None:
        raise missing(TYPE, name, "report_type", 400)
    for parameter in given:
        if parameter not in _KNOWN_PARAMETERS:
            raise _wrong(parameter, f"The report type {name} does not take it.")
    for parameter in layout.needs:
        if parameter not in given:
            raise _wrong(parameter, f"The report type {name} needs it.")
    first, last = available_start(account), available_end(account)
    for parameter in ("interval_start", "interval_end"):
        if parameter in given and not first <= given[parameter] <= last:
            raise _wrong(parameter, f"It has to be within the available data, {first} to {last}.")
    start, end = given.get("interval_start", first), given["interval_end"]
    if "interval_start" in given and start >= end:
        raise _wrong("interval_start", "It has to be before interval_end.")
    columns = tuple(given.get("columns", layout.default))
    known = (*layout.default, *layout.more)
    if not columns or not set(columns) <= set(known):
        raise _wrong("columns", f"The twin has {names(known)}.")
    if len(set(columns)) != len(columns):
        raise _wrong("columns", "Each may be named once.")
    try:
        zone = ZoneInfo(given.get("timezone", DEFAULT_ZONE))
    except (ZoneInfoNotFoundError, ValueError):
        raise _wrong("timezone", "It is no name of a time zone.") from None
    return Query(
        name, start, end, columns, zone, given.get("currency"), given.get("reporting_category")
    )


def _wrong(parameter: str, why: str) -> Exception:
    return invalid_request(f"Invalid {parameter}. {why}", param=f"parameters[{parameter}]")


def _finish(account: TwinAccount, run: JsonObject, query: Query) -> None:
    reached = available_end(account)
    if account.report_faults.fails_run(query.report_type, reached):
        run["status"] = "failed"
        run["error"] = "The report could not be produced. Please try again later."
        account.emit(f"{RUN}.failed", run)
        return
    content = write_report(account, query, reached)
    run["result"] = add_file(
        account,
        content,
        purpose=FILE_PURPOSE,
        kind="csv",
        file_name=f"{run['id']}.csv",
        lasts_seconds=FILE_SECONDS,
    )
    run["status"] = "succeeded"
    run["succeeded_at"] = account.now()
    account.emit(f"{RUN}.succeeded", run)
