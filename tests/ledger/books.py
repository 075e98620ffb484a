"""Inputs of imports, as lines of JSON, and what imports made of them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.ledger.client import LedgerClient
from tests.ledger.running import Served, export

Line = dict[str, Any]


def account(name: str, side: str = "DEBIT", currency: str = "EUR", **more: Any) -> Line:
    normal = f"NORMAL_BALANCE_{side}"
    return {"account": {"name": name, "currency_code": currency, "normal_balance": normal, **more}}


def leg(name: str, side: str, amount: int | str, currency: str = "EUR") -> Line:
    money = {"currency_code": currency, "minor_units": amount}
    return {"account": name, "direction": f"DIRECTION_{side}", "amount": money}


def transfer(request_id: str, amount: int, **more: Any) -> Line:
    legs = [leg("cash", "DEBIT", amount), leg("payable", "CREDIT", str(amount))]
    return {"request_id": request_id, "transaction": {"entries": legs, **more}}


def write(path: Path, lines: Iterable[Line]) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return path


BOOKS = [account("cash"), account("payable", "CREDIT")]


async def last_sequence(client: LedgerClient) -> int:
    return int((await client.verify()).sequence)


async def leaves(served: Served, directory: Path) -> list[Line]:
    """The ledger's log."""
    ran = await export(served, directory)
    assert ran.code == 0, ran.said
    text = (directory / "transactions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]
