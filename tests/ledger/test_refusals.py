"""What the rules refuse, each with its exact reason and facts: kept for good, and nothing moved."""

from datetime import timedelta

import pytest

from docs.reasons import failures_of, metadata_keys
from ledger.v1.error_reason_pb2 import ErrorReason
from ledger.v1.transaction_mutations_pb2 import PostTransactionRequest
from ledger.v1.transaction_pb2 import REMAINDER_KEEP
from runtime.clock import ManualClock
from tests.ledger.client import CREDIT_NORMAL, LedgerClient, failure_of, transfer
from tests.ledger.refused import EXPIRY, REFUSED
from tests.ledger.requests import Item, item, send, stamp
from tests.ledger.written import written

DOCUMENTED = {failure.reason: failure for failure in failures_of("ledger")[1]}


@pytest.fixture
async def books(bank: LedgerClient, clock: ManualClock) -> LedgerClient:
    """Transactions in every state, by the request_id that made them; payable has 100."""
    await bank.account("closed")
    await bank.close("closed")
    await bank.account("capped", CREDIT_NORMAL, max_posted_minor=10)
    for currency, name in (("JPY", "yen"), ("KWD", "dinar")):
        await bank.account(name, currency=currency)
        await bank.account(f"{name}-owed", CREDIT_NORMAL, currency=currency)
    await bank.create(transfer("payable", "cash", 100), "direct")
    await bank.hold("receivable", "cash", 10, "open")
    await bank.hold("receivable", "cash", 10, "posted")
    await bank.post("posted", request_id="the-post")
    await bank.hold("receivable", "cash", 10, "captured")
    await bank.post("captured", {0: 6, 1: 6}, remainder=REMAINDER_KEEP)
    await bank.hold("receivable", "cash", 10, "voided")
    await bank.void("voided", "the-void")
    await bank.hold("receivable", "cash", 10, "expired", expire_time=stamp(EXPIRY))
    clock.advance(timedelta(seconds=2))
    await bank.create(transfer("receivable", "cash", 10), "reversed")
    await bank.reverse("reversed", {0: 4, 1: 4}, "the-reversal")
    other = LedgerClient(bank.channel, "other")
    await other.create_ledger()
    await other.account("a")
    await other.account("b")
    await other.hold("a", "b", 10, "foreign")
    return bank


async def test_each_is_refused_kept_and_moves_nothing(books: LedgerClient, url: str) -> None:
    before = written(url)
    answered = {}
    for name, (request, _, _) in REFUSED.items():
        error = await failure_of(send(books, request))
        answered[name] = (error.reason, dict(error.metadata))
        documented = DOCUMENTED[error.reason]
        assert error.code.name in documented.codes
        assert documented.kept
        assert set(error.metadata) - {"item_index"} == set(metadata_keys(documented)), name
        assert await failure_of(send(books, request)) == error, name
    assert answered == {name: (reason, facts) for name, (_, reason, facts) in REFUSED.items()}
    assert written(url) == before.with_decisions(len(REFUSED))
    assert (await books.verify()).intact


async def test_an_item_refused_leaves_its_neighbours(books: LedgerClient, url: str) -> None:
    before = written(url)
    wanted = [(r.request, r.reason) for r in REFUSED.values()]
    posts = [(r.post, reason) for r, reason in wanted if isinstance(r, PostTransactionRequest)]
    results = await books.batch(item(), *[Item(post=p) for p, _ in posts], item())
    assert [result.WhichOneof("result") for result in results] == [
        "transaction",
        *["failure"] * len(posts),
        "transaction",
    ]
    reasons = [ErrorReason.Name(result.failure.reason) for result in results[1:-1]]
    assert reasons == [f"ERROR_REASON_{reason}" for _, reason in posts]
    after = written(url)
    assert after.rows["transactions"] == before.rows["transactions"] + 2
    assert after.rows["decisions"] == before.rows["decisions"] + 1
