"""Of several reasons that apply the first in the order of docs/ledger.md is answered."""

from ledger.v1 import balance_pb2 as balances
from tests.ledger.client import CREDIT_NORMAL, LedgerClient, credit, debit, draft, failure_of

LARGEST = 10**18


async def test_a_floor_comes_before_a_ceiling_of_an_earlier_leg(client: LedgerClient) -> None:
    await client.account("capped", max_posted_minor=20)
    await client.account("deposit", CREDIT_NORMAL, min_posted_minor=0)
    await client.account("cash")
    request = draft(debit("capped", 100), debit("deposit", 10), credit("cash", 110))
    error = await failure_of(client.create(request))
    assert (error.reason, error.metadata["account"]) == ("FLOOR_BREACHED", "deposit")


async def test_a_closed_account_comes_before_unbalanced_parts(client: LedgerClient) -> None:
    for name in ("cash", "gone"):
        await client.account(name)
    made = await client.create(draft(debit("cash", 10), credit("gone", 10)))
    await client.create(draft(debit("gone", 10), credit("cash", 10)))
    await client.close("gone")
    error = await failure_of(client.reverse(made.sequence, {0: 3, 1: 4}))
    assert (error.reason, error.metadata["account"]) == ("ACCOUNT_CLOSED", "gone")


async def test_of_unbalanced_parts_the_first_currency_in_the_request_is_named(
    client: LedgerClient,
) -> None:
    for code in ("EUR", "USD"):
        for name in ("left", "right"):
            await client.account(f"{code}/{name}", currency=code)
    legs = [
        side(f"{code}/{name}", 10, code)
        for code in ("EUR", "USD")
        for side, name in ((debit, "left"), (credit, "right"))
    ]
    made = await client.create(draft(*legs))
    error = await failure_of(client.reverse(made.sequence, {2: 3, 0: 4}))
    assert (error.reason, error.metadata["currency_code"]) == ("UNBALANCED", "USD")


async def test_totals_of_several_accounts_beyond_64_bits_are_no_defect(
    client: LedgerClient,
) -> None:
    """What an account may have at most, two accounts together may pass."""
    for name in ("pair/a", "pair/b", "cash"):
        await client.account(name)
    for name in ("pair/a", "pair/b"):
        for _ in range(5):
            await client.create(draft(debit(name, LARGEST), credit(name, LARGEST)))
    trial = failure_of(client.trial())
    assert (await trial).reason == "BALANCE_OVERFLOW"
    request = balances.GetBalanceRequest(ledger=client.ledger, prefix="pair")
    assert (await failure_of(client.stub.GetBalance(request))).reason == "BALANCE_OVERFLOW"


async def test_a_balance_and_what_is_held_against_it_fit_64_bits_together(
    client: LedgerClient,
) -> None:
    """The available balance is answered in 64 bits like the totals it is made of."""
    for name in ("low", "cash"):
        await client.account(name)
    for _ in range(9):
        await client.create(draft(credit("low", LARGEST), debit("cash", LARGEST)))
    held = draft(credit("low", LARGEST), debit("cash", LARGEST), pending=True)
    error = await failure_of(client.create(held))
    assert (error.reason, error.metadata["account"]) == ("BALANCE_OVERFLOW", "low")
    assert await client.available("low") == -9 * LARGEST
