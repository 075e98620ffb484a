"""The bank's part of the admin API, under `/_twin/bank`: accounts, files, faults, the truth."""

from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from sandbox.stripe_twin.admin import AdminCall, AdminHandler
from sandbox.stripe_twin.bank_controls import BankControls
from sandbox.twin_bank.books import OwnEntry
from sandbox.twin_bank.faults import BankFault
from sandbox.twin_bank.files import CONTENT_TYPES, FileFormat, formats_of
from sandbox.twin_bank.practice import Practice
from sandbox.twin_bank.statement import IssuedFile


class Opening(BaseModel):
    """The body of POST /_twin/bank."""

    model_config = ConfigDict(extra="forbid")

    account: str = "default"
    currency: str = "usd"
    identification: str = ""
    opening: int = 0
    practice: Practice = Practice()


def get_bank(call: AdminCall) -> Any:
    """GET bank, or bank/{account}/statements, /statements/{file or day}/{format}, /faults, /truth.

    The day `today` has a report: camt.052.
    """
    bank = call.twin.bank
    match call.rest:
        case ():
            return bank.bank.described()
        case (account, "statements"):
            return [_listed(file) for file in bank.files(account)]
        case (account, "statements", name, file_format):
            return _file(bank, account, name, file_format)
        case (account, "faults"):
            return {
                active.fault_id: {**active.fault.model_dump(mode="json"), "hits": active.hits}
                for active in bank.faults(account)
            }
        case (account, "truth"):
            return bank.truth(account)
        case _:
            raise LookupError("/".join(call.rest))


def post_bank(call: AdminCall) -> Any:
    """POST bank: opens an account; bank/{account}/entries: something of the company's own;
    bank/{account}/faults: switches a fault on."""
    bank = call.twin.bank
    match call.rest:
        case ():
            given = Opening.model_validate_json(call.body)
            opened = bank.open(
                given.account,
                given.currency,
                identification=given.identification,
                opening=given.opening,
                **given.practice.model_dump(),
            )
            return {"identification": opened.terms.identification}
        case (account, "entries"):
            bank.book(account, OwnEntry.model_validate_json(call.body))
            return {}
        case (account, "faults"):
            fault = BankFault.model_validate_json(call.body)
            return {"id": bank.add_fault(account, **fault.model_dump())}
        case _:
            raise LookupError("/".join(call.rest))


def delete_bank(call: AdminCall) -> Any:
    """DELETE bank/{account}/faults[/{id}]: switches all or one off; what they did stays known."""
    match call.rest:
        case (account, "faults"):
            call.twin.bank.clear_faults(account)
        case (account, "faults", fault_id):
            call.twin.bank.clear_faults(account, fault_id)
        case _:
            raise LookupError("/".join(call.rest))
    return {}


def _listed(file: IssuedFile) -> dict[str, Any]:
    statement = file.statement
    return {
        "file": file.file_id,
        "statement": statement.statement_id,
        "number": statement.number,
        "first_day": statement.first_day.isoformat(),
        "day": statement.day.isoformat(),
        "opening": statement.opening,
        "closing": statement.closing,
        "entries": len(statement.entries),
        "formats": formats_of(statement),
    }


def _file(bank: BankControls, account: str, name: str, wanted: str) -> web.Response:
    if wanted not in set(FileFormat):
        raise LookupError(wanted)
    file_format = FileFormat(wanted)
    content = bank.content(account, name, file_format)
    return web.Response(body=content, content_type=CONTENT_TYPES[file_format])


BANK_ROUTES: dict[tuple[str, str], AdminHandler] = {
    ("GET", "bank"): get_bank,
    ("POST", "bank"): post_bank,
    ("DELETE", "bank"): delete_bank,
}
