"""What ends a document besides Stripe's verdict, and what does not."""

from datetime import timedelta

from compliance.accounts.requirements import (
    CURRENTLY_DUE,
)
from compliance.v1 import document_pb2
from compliance.v1 import document_service_pb2 as pb
from tests.compliance.clamd_server import ScriptedClamd
from tests.compliance.documents.handing_in import (
    hand_in,
    known_merchant,
    look,
    looked_at,
    reached,
    rows,
    say,
    wanted,
)
from tests.compliance.guard import Guard, failure, unique


async def test_what_stripe_said_of_the_one_before_refuses_none_by_a_wrong_clock(
    guard: Guard,
) -> None:
    """The gateway's clock is ahead: what it fetched before the document seems to be newer."""
    ahead = guard.merchants.clock_ahead = timedelta(minutes=3)
    merchant = await known_merchant(guard)
    expired = wanted(CURRENTLY_DUE, "verification_document_expired")
    await say(guard, "acct_one", expired, ahead=ahead)
    document_id = await hand_in(guard, merchant)
    await reached(guard, document_id, "ATTACHED")
    for _ in range(2):
        guard.clock.advance(timedelta(minutes=1))
        await looked_at(guard)
        assert (await look(guard, document_id)).state == document_pb2.DOCUMENT_STATE_ATTACHED
    # What it fetches afterwards is about this one.
    await say(guard, "acct_one", expired, ahead=ahead)
    guard.clock.advance(timedelta(minutes=1))
    await reached(guard, document_id, "REFUSED")


async def test_one_that_is_not_attached_yet_can_be_withdrawn(
    guard: Guard, clamd: ScriptedClamd
) -> None:
    clamd.answer = "INSTREAM size limit exceeded. ERROR"
    merchant = await known_merchant(guard)
    document_id = await hand_in(guard, merchant)
    await reached(guard, document_id, "RECEIVED", why="SCANNER_REFUSED")
    asked = pb.WithdrawDocumentRequest(request_id=unique("withdraw"), document_id=document_id)
    for _ in range(2):
        ended = (await guard.documents.WithdrawDocument(asked)).document
        assert ended.state == document_pb2.DOCUMENT_STATE_REFUSED
        assert ended.refusal == document_pb2.DOCUMENT_REFUSAL_WITHDRAWN
        assert (ended.destroyed, ended.failure) == (True, "")
    assert rows(guard, "SELECT count(*) FROM document WHERE sealed IS NOT NULL") == [(0,)]
    guard.clock.advance(timedelta(minutes=10))
    await looked_at(guard)
    assert guard.merchants.files == []
    # Not twice, not what Stripe has as the answer, not what there is not.
    clamd.answer = "stream: OK"
    attached = await hand_in(guard, merchant)
    await reached(guard, attached, "ATTACHED")
    for other, reason in (
        (document_id, "DOCUMENT_NOT_ON_THE_WAY"),
        (attached, "DOCUMENT_NOT_ON_THE_WAY"),
        ("doc_none", "DOCUMENT_NOT_FOUND"),
    ):
        refused = await failure(
            guard.documents.WithdrawDocument(
                pb.WithdrawDocumentRequest(request_id=unique("withdraw"), document_id=other)
            )
        )
        assert refused.reason == reason
