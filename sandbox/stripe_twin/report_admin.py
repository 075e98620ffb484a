"""The admin API of reports, what a test has wrong in them and what was done so far; and of Sigma,
whose queries are scheduled in Stripe's dashboard."""

from dataclasses import asdict
from typing import Any

from sandbox.stripe_twin.admin import AdminCall, AdminHandler
from sandbox.stripe_twin.report_faults import ReportFault
from sandbox.stripe_twin.sigma import ScheduledQuery, run_query


def get_report_faults(call: AdminCall) -> Any:
    """GET report_faults/{account}: each fault that was done, by row."""
    account = call.twin.state.find(call.rest[0])
    return [asdict(injected) for injected in account.report_faults.injected]


def post_report_faults(call: AdminCall) -> Any:
    """POST report_faults/{account}: switches a rule on."""
    fault = ReportFault.model_validate_json(call.body)
    return {"id": call.twin.state.find(call.rest[0]).report_faults.add(fault)}


def delete_report_faults(call: AdminCall) -> Any:
    """DELETE report_faults/{account}: switches all rules off; rows that they hit stay so."""
    call.twin.state.find(call.rest[0]).report_faults.clear()
    return {}


def post_sigma(call: AdminCall) -> Any:
    """POST sigma/{account}: a scheduled query runs now."""
    query = ScheduledQuery.model_validate_json(call.body)
    return run_query(call.twin.state.find(call.rest[0]), query)


REPORT_ROUTES: dict[tuple[str, str], AdminHandler] = {
    ("GET", "report_faults"): get_report_faults,
    ("POST", "report_faults"): post_report_faults,
    ("DELETE", "report_faults"): delete_report_faults,
    ("POST", "sigma"): post_sigma,
}
