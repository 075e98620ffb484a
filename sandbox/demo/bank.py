"""Days that are reconciled down to the bank, and one difference that a person resolves.

The bank books the payouts as they are, and takes a fee off the last one. That is found and told of.
The bank corrects it, and an operator says that the payout and both lines belong together.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc

from reconciliation.v1 import reconciliation_pb2 as messages
from reconciliation.v1 import reconciliation_service_pb2 as pb
from reconciliation.v1 import statement_service_pb2 as statements
from reconciliation.v1.reconciliation_service_pb2_grpc import ReconciliationServiceStub
from reconciliation.v1.statement_service_pb2_grpc import StatementServiceStub
from sandbox.addresses import at
from sandbox.demo.scenarios import Parties, UnexpectedError, expect
from sandbox.demo.shop import CALL_SECONDS, CORRIDOR, CURRENCY, Shop
from sandbox.engine import Engine
from sandbox.polling import poll

BANK_ACCOUNT = "usd-main"
OPENING_MINOR = 1_000_00
TAKEN_OFF_MINOR = 15_00
CAMT = "camt.053"
AVAILABLE = timedelta(days=2)
# So many days at most until what comes to the bank is in a statement: arrival, a weekend, holidays.
MAX_DAYS = 14
DAY = timedelta(days=1)
PAGE_SIZE = 500
LEGS = (messages.LEG_BOOKED, messages.LEG_CONTENT, messages.LEG_BANKED)
NOTE = "The bank took a fee off by mistake, and has given it back"


@dataclass(frozen=True)
class Reconciled:
    """What came of it."""

    statements: int
    found: str
    """The sentence about the difference."""
    matched: Mapping[str, int]
    """Items by the leg that they were matched in."""


class BankDays:
    """A platform whose payouts go to the twin's bank, and reconciliation after all of it."""

    def __init__(self, engine: Engine, shop: Shop, parties: Parties) -> None:
        self._engine = engine
        self._shop = shop
        self._parties = parties
        self._ahead = timedelta()
        self._number = ""

    async def play(self) -> Reconciled:
        """Plays the days and reconciles them. Raises `UnexpectedError`."""
        self._number = await self._shop.twin.open_bank_account(opening=OPENING_MINOR)
        from_day = datetime.now(UTC).date()
        # With the one that a scenario has made.
        await self._pay_out(lines=2)
        paid = await self._shop.pay(self._parties.merchant, self._parties.customer, 250_00, "visa")
        await self._shop.settled(paid.id)
        await self._shop.twin.add_bank_fault(
            self._number, kind="row_other_amount", by=-TAKEN_OFF_MINOR
        )
        last = await self._pay_out(lines=3)
        await self._shop.twin.book_at_bank(self._number, TAKEN_OFF_MINOR)
        await self._until_stated(lines=4)
        files = await self._shop.twin.bank_files(self._number)
        contents = [
            await self._shop.twin.bank_file(self._number, file["file"], CAMT) for file in files
        ]
        declared = self._declare(from_day.isoformat())
        async with self._reconciliation(declared) as channel:
            return await self._reconcile(channel, contents, last)

    async def _pay_out(self, lines: int) -> str:
        """What is available is paid out, and as many lines are in statements then; the payout's id
        at Stripe."""
        await self._advance(AVAILABLE)
        payout = await self._shop.twin.pay_out()
        await self._until_stated(lines)
        return str(payout["id"])

    async def _until_stated(self, lines: int) -> None:
        for _ in range(MAX_DAYS):
            if await self._lines() >= lines:
                return
            await self._advance(DAY)
        raise UnexpectedError(f"the bank has not stated {lines} lines after {MAX_DAYS} days")

    async def _lines(self) -> int:
        files = await self._shop.twin.bank_files(self._number)
        return sum(int(file["entries"]) for file in files)

    async def _advance(self, step: timedelta) -> None:
        await self._shop.twin.advance(step.total_seconds())
        self._ahead += step

    def _declare(self, from_day: str) -> Path:
        """The operator's file of bank accounts."""
        path = self._engine.log_directory / "bank_accounts.toml"
        path.write_text(
            f"[accounts.{BANK_ACCOUNT}]\n"
            f'identification = "{self._number}"\n'
            f'currency = "{CURRENCY}"\n'
            f'corridor = "{CORRIDOR}"\n'
            'format = "camt"\n'
            f"from_day = {from_day}\n",
            encoding="utf-8",
        )
        return path

    @asynccontextmanager
    async def _reconciliation(self, declared: Path) -> AsyncIterator[grpc.aio.Channel]:
        await self._engine.replace_reconciliation(
            "sandbox.demo.ahead",
            str(self._ahead.total_seconds()),
            RECONCILIATION_BANK_ACCOUNTS_FILE=str(declared),
        )
        address = at(self._engine.ports.reconciliation)
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel

    async def _reconcile(
        self, channel: grpc.aio.Channel, contents: Sequence[bytes], last: str
    ) -> Reconciled:
        service: Any = ReconciliationServiceStub(channel)
        uploads: Any = StatementServiceStub(channel)
        for number, content in enumerate(contents):
            await uploads.UploadStatement(_pieces(f"demo-{number}", content), timeout=CALL_SECONDS)

        async def due() -> Sequence[messages.Break]:
            return await _breaks(service)

        # Stripe's own account of things comes by the feeds, and takes its time.
        (found,) = await poll(
            due,
            lambda breaks: [b.kind for b in breaks] == [messages.BREAK_KIND_BANK_AMOUNT],
        )
        expect("the payout that differs", last in {item.key for item in found.items}, True)
        expect("by how much", [a.minor_units for a in found.amounts], [TAKEN_OFF_MINOR])

        async def waiting() -> Sequence[messages.ItemKey]:
            expected = await _breaks(service, messages.BREAK_STATE_EXPECTED)
            items = [item for one in expected for item in one.items]
            return [item for item in items if item.source == messages.SOURCE_BANK]

        (correction,) = await poll(waiting, lambda items: len(items) == 1)
        resolved = await service.ResolveBreak(
            pb.ResolveBreakRequest(
                request_id="demo-resolve",
                break_id=found.break_id,
                items=[*found.items, correction],
                note=NOTE,
            ),
            timeout=CALL_SECONDS,
        )
        expect("matched by a person", resolved.match.rule, messages.MATCH_RULE_PERSON)
        for state in (messages.BREAK_STATE_UNSPECIFIED, messages.BREAK_STATE_EXPECTED):
            expect("nothing is open", list(await _breaks(service, state)), [])
        matched = {
            messages.Leg.Name(leg).removeprefix("LEG_"): await _matched(service, leg)
            for leg in LEGS
        }
        return Reconciled(len(contents), found.sentence, matched)


async def _pieces(
    request_id: str, content: bytes
) -> AsyncIterator[statements.UploadStatementRequest]:
    yield statements.UploadStatementRequest(request_id=request_id, bank_account=BANK_ACCOUNT)
    yield statements.UploadStatementRequest(content=content)


async def _breaks(
    service: Any, state: "messages.BreakState.ValueType" = messages.BREAK_STATE_UNSPECIFIED
) -> Sequence[messages.Break]:
    listed = await service.ListBreaks(
        pb.ListBreaksRequest(state=state, page_size=PAGE_SIZE), timeout=CALL_SECONDS
    )
    # Reconciliation's clock is days ahead of the gateway's, whose last sweep is long ago for it.
    return [one for one in listed.breaks if one.kind != messages.BREAK_KIND_FEED_STALE]


async def _matched(service: Any, leg: "messages.Leg.ValueType") -> int:
    """How many items are in matches of a leg that stand."""
    listed = await service.ListMatches(
        pb.ListMatchesRequest(leg=leg, page_size=PAGE_SIZE), timeout=CALL_SECONDS
    )
    expect("more matches than a page", listed.next_page_token, "")
    return sum(len(match.allocations) for match in listed.matches)
