"""The bank that the twin's payouts arrive at, over HTTP and by the twin's clock."""

import io
from datetime import UTC, datetime, timedelta

import pytest

from reconciliation.statements.model import Expected, ExpectedAccount, Format
from reconciliation.statements.reading import Declared, read_statements
from runtime.clock import Clock
from sandbox.stripe_twin import DEFAULT_ACCOUNT, Twin, running_twin
from sandbox.twin_admin import TwinAdmin, TwinAdminError
from tests.sandbox.stripe_twin.conftest import open_shop
from tests.sandbox.stripe_twin.shop import Shop, fresh_key

DAY = 24 * 3_600.0
# A Monday.
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class FixedClock(Clock):
    def now(self) -> datetime:
        return NOON


async def amounts(admin: TwinAdmin, bank_account: str, file_format: str, name: str) -> list[int]:
    """What the engine reads in a file of the bank's."""
    content = await admin.bank_file(bank_account, name, file_format)
    declared = Format.CAMT if file_format.startswith("camt") else Format(file_format)
    expected = Expected((ExpectedAccount(bank_account, "USD"),), (NOON + timedelta(days=30)).date())
    (statement,) = read_statements(io.BytesIO(content), Declared(declared), expected)
    return [entry.amount_minor for entry in statement.entries]


async def test_payouts_arrive_are_debited_and_go_back() -> None:
    async with (
        running_twin(seed=1, clock=FixedClock()) as twin,
        TwinAdmin.open(twin.url) as admin,
        open_shop(twin, DEFAULT_ACCOUNT.secret_key) as shop,
    ):
        twin.settings.trace_seconds = 9 * DAY
        bank_account = await admin.open_bank_account(
            opening=1_000, practice={"calendar": "FEDERAL_RESERVE", "descriptor_chars": 10}
        )
        await shop.pay(10_000, card="pm_card_bypassPending")
        payout = await admin.pay_out()
        await admin.book_at_bank(bank_account, -700, counterparty="LANDLORD", remittance="rent")
        assert await amounts(admin, bank_account, "camt.052", "today") == [-700]
        await admin.advance(2 * DAY)
        paid = await shop.api.payouts.retrieve_async(payout["id"])
        assert (paid.status, paid.trace_id.status if paid.trace_id else "") == ("paid", "pending")
        assert await amounts(admin, bank_account, "camt.052", "today") == [9_680]
        await admin.advance(DAY)
        files = await admin.bank_files(bank_account)
        assert [(item["day"], item["opening"], item["closing"]) for item in files] == [
            ("2026-11-30", 1_000, 300),
            ("2026-12-01", 300, 300),
            ("2026-12-02", 300, 9_980),
        ]
        for file_format in ("camt.053", "MT940", "BAI2"):
            assert await amounts(admin, bank_account, file_format, "2026-12-02") == [9_680]
        await admin.fail_payout(payout["id"])
        await admin.advance(DAY)
        assert await amounts(admin, bank_account, "MT940", "file-00004") == [-9_680]
        truth = await admin.bank_truth(bank_account)
        assert (truth["balance"], truth["injected"]) == (300, [])
        credit = truth["entries"][1]
        assert credit["shares"][0]["transfer_id"] == payout["id"]
        assert credit["remittance"] == "STRIPE PAY"
        await admin.advance(9 * DAY)
        told = (await shop.api.payouts.retrieve_async(payout["id"])).trace_id
        assert told is not None
        assert told.value == credit["end_to_end_id"]


async def test_faults_are_set_and_told_over_http(shop: Shop, twin: Twin) -> None:
    async with TwinAdmin.open(twin.url) as admin:
        bank_account = await admin.open_bank_account()
        fault_id = await admin.add_bank_fault(bank_account, kind="row_missing", entries=["payout"])
        await shop.pay(10_000, card="pm_card_bypassPending")
        await shop.api.payouts.create_async({"amount": 500, "currency": "usd"}, fresh_key())
        await admin.advance(7 * DAY)
        (injected,) = (await admin.bank_truth(bank_account))["injected"]
        assert (injected["fault_id"], injected["amount"]) == (fault_id, -500)
        assert all(item["entries"] == 0 for item in await admin.bank_files(bank_account))
        assert twin.bank.faults(bank_account)[0].hits == 1
        await admin.clear_bank_faults(bank_account)
        assert twin.bank.faults(bank_account) == []
        for path, found in (
            ("2020-01-01/MT940", "no statement"),
            ("file-00001/PDF", "PDF"),
            ("file-00001/camt.052", "is offered as"),
            ("today/MT940", "is offered as"),
        ):
            name, file_format = path.split("/")
            with pytest.raises(TwinAdminError, match=found):
                await admin.bank_file(bank_account, name, file_format)
        with pytest.raises(TwinAdminError, match="has an account in USD"):
            await admin.open_bank_account()
        with pytest.raises(TwinAdminError, match="kind"):
            await admin.add_bank_fault(bank_account, kind="unknown")
        with pytest.raises(TwinAdminError, match="not found"):
            await admin.bank_truth("unknown")


async def test_payouts_of_an_account_without_one_at_the_bank_are_let_pass(
    shop: Shop, twin: Twin
) -> None:
    twin.bank.open("default", "eur")
    await shop.pay(10_000, card="pm_card_bypassPending")
    payout = twin.pay_out()
    twin.advance(seconds=3 * DAY)
    twin.fail_payout(payout["id"])
    (account,) = twin.bank.bank.described()
    assert account["owner"] == DEFAULT_ACCOUNT.account_id
    assert twin.bank.truth(account["identification"])["entries"] == []
