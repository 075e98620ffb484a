"""Documents in a real service, with a clamd that answers as it is told: taken, looked at, handed on
once, judged, destroyed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from compliance.accounts.requirements import (
    CURRENTLY_DUE,
    PENDING_VERIFICATION,
)
from compliance.documents import store
from compliance.documents.clamd import Scanner, ScannerAwayError, ScannerError
from compliance.documents.document import LONGEST_KEPT, MAX_CONTENT_BYTES, SETTLING
from compliance.documents.gateway_files import GatewayFiles
from compliance.documents.handling import LEASE, DocumentHandling
from compliance.documents.taking import MOST_ON_THE_WAY
from compliance.v1 import document_pb2
from compliance.v1 import document_service_pb2 as pb
from gateway.errors import ERRORS
from gateway.v1 import merchant_service_pb2 as gateway_pb
from gateway.v1.error_reason_pb2 import ErrorReason
from runtime.notifier import Notifier
from runtime.sealing import Sealer, keys_of
from tests.compliance.clamd_server import ScriptedClamd
from tests.compliance.conftest import OpenGuard
from tests.compliance.documents.handing_in import (
    FIELD,
    PDF,
    REGISTER,
    RETENTION,
    destroyed,
    hand_in,
    known_merchant,
    look,
    opened_engine,
    reached,
    request,
    rows,
    say,
    wanted,
)
from tests.compliance.guard import Guard, failure
from tests.compliance.test_document_rules import KEY


async def test_a_document_is_taken_looked_at_and_handed_on_once(
    guard: Guard, clamd: ScriptedClamd, capsys: pytest.CaptureFixture[str]
) -> None:
    merchant = await known_merchant(guard)
    asked = request(merchant)
    taken = (await guard.documents.CreateDocument(asked)).document
    assert taken.state == document_pb2.DOCUMENT_STATE_RECEIVED
    assert (taken.purpose, taken.size_bytes) == ("identity_document", len(PDF))
    assert taken.side == document_pb2.DOCUMENT_SIDE_FRONT
    attached = await reached(guard, taken.document_id, "ATTACHED")
    # Sent again it is the same document, as it was taken, and another content is another request.
    assert (await guard.documents.CreateDocument(asked)).document == taken
    asked.content = PDF + b" "
    reused = await failure(guard.documents.CreateDocument(asked))
    assert (reused.reason, reused.metadata["differing_fields"]) == ("REQUEST_ID_REUSED", "content")

    assert clamd.contents == [PDF]
    (file,) = guard.merchants.files
    assert (file.content, file.merchant_id) == (PDF, "mrc_acct_one")
    assert file.purpose == gateway_pb.FILE_PURPOSE_IDENTITY_DOCUMENT
    assert file.type == gateway_pb.FILE_TYPE_PDF
    (answer,) = guard.merchants.attached
    assert (answer.field, answer.file_id, answer.back_file_id) == (FIELD, "file_1", "")
    assert not attached.destroyed
    assert "made-up" not in capsys.readouterr().out
    # At rest it is nowhere as it is.
    kept = rows(guard, "SELECT sealed FROM document")
    assert len(kept[0][0]) == 1 + 12 + len(PDF) + 16
    for table in ("document", "mutation", "operator_act"):
        for (row,) in rows(guard, f"SELECT one::text FROM {table} AS one"):
            assert PDF.hex() not in row
            assert "made-up" not in row
    opened = Sealer(keys_of(KEY)).open(taken.document_id, bytes(kept[0][0]))
    assert opened == PDF


async def test_stripes_verdict_is_seen_and_the_content_destroyed_in_time(guard: Guard) -> None:
    merchant = await known_merchant(guard)
    refused, accepted = [await hand_in(guard, merchant, field=field) for field in (FIELD, REGISTER)]
    for document_id in (refused, accepted):
        await reached(guard, document_id, "ATTACHED")
    guard.clock.advance(SETTLING)
    await say(guard, "acct_one", wanted(PENDING_VERIFICATION))
    guard.clock.advance(timedelta(minutes=1))
    # What Stripe wants no more is accepted; what it is looking at is not decided.
    done = await reached(guard, accepted, "ACCEPTED")
    assert (await look(guard, refused)).state == document_pb2.DOCUMENT_STATE_ATTACHED

    await say(guard, "acct_one", wanted(CURRENTLY_DUE, "verification_document_expired"))
    guard.clock.advance(timedelta(minutes=1))
    said = await reached(guard, refused, "REFUSED")
    assert said.refusal == document_pb2.DOCUMENT_REFUSAL_NOT_VERIFIED
    assert list(said.error_codes) == ["verification_document_expired"]
    assert said.error_guidance[0].words == "The document has expired."
    assert said.error_guidance[0].known

    kept_for = done.destroy_time.ToDatetime() - done.state_time.ToDatetime()
    assert kept_for == RETENTION
    guard.clock.advance(RETENTION)
    for document_id in (accepted, refused):
        await destroyed(guard, document_id)
    assert rows(guard, "SELECT count(*) FROM document WHERE sealed IS NOT NULL") == [(0,)]
    # What was said of it stays.
    assert (await look(guard, refused)).refusal == document_pb2.DOCUMENT_REFUSAL_NOT_VERIFIED


async def test_what_the_scanner_finds_is_destroyed_at_once(
    guard: Guard, clamd: ScriptedClamd, capsys: pytest.CaptureFixture[str]
) -> None:
    before = REGISTRY.get_sample_value("compliance_documents_infected_total") or 0.0
    clamd.answer = "stream: Made.Up-Name (of nothing) FOUND"
    merchant = await known_merchant(guard)
    found = await reached(guard, await hand_in(guard, merchant), "REFUSED")
    assert found.refusal == document_pb2.DOCUMENT_REFUSAL_INFECTED
    assert found.destroyed
    assert guard.merchants.files == []
    assert REGISTRY.get_sample_value("compliance_documents_infected_total") == before + 1
    told = capsys.readouterr().out
    assert "document_infected" in told
    assert "Made.Up-Name--of-nothing-" in told
    assert "made-up" not in told


async def test_what_is_away_is_waited_for(guard: Guard, clamd: ScriptedClamd) -> None:
    merchant = await known_merchant(guard)
    clamd.answer = None
    document_id = await hand_in(guard, merchant)
    await reached(guard, document_id, "RECEIVED", why="SCANNER_AWAY")
    clamd.answer = "INSTREAM size limit exceeded. ERROR"
    guard.clock.advance(timedelta(minutes=5))
    await reached(guard, document_id, "RECEIVED", why="SCANNER_REFUSED")
    clamd.answer = "stream: OK"
    guard.merchants.is_down = True
    guard.clock.advance(timedelta(minutes=5))
    await reached(guard, document_id, "CHECKED", why="GATEWAY_UNAVAILABLE")
    guard.merchants.is_down = False
    guard.clock.advance(timedelta(minutes=5))
    await reached(guard, document_id, "ATTACHED")
    assert len(guard.merchants.files) == 1


def rejected(code: str) -> Any:
    return ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STRIPE_REJECTED,
        "no",
        metadata={"stripe_code": code, "stripe_type": "invalid_request_error"},
    )


async def test_what_never_happened_is_asked_anew_and_what_is_refused_is_not(guard: Guard) -> None:
    merchant = await known_merchant(guard)
    lost = ERRORS.error(
        grpc.StatusCode.UNAVAILABLE, ErrorReason.ERROR_REASON_OUTCOME_UNKNOWN, "lost"
    )
    guard.merchants.file_errors = [lost, rejected("deadline"), rejected("file_too_large")]
    document_id = await hand_in(guard, merchant)
    # The channel asks again by itself where the gateway says that it may.
    await reached(guard, document_id, "CHECKED", why="NEVER_HAPPENED")
    guard.clock.advance(timedelta(minutes=5))
    refused = await reached(guard, document_id, "REFUSED")
    assert refused.refusal == document_pb2.DOCUMENT_REFUSAL_NOT_TAKEN
    assert list(refused.error_codes) == ["file_too_large"]
    ids = [file.request_id.removeprefix(document_id) for file in guard.merchants.files]
    assert ids == [".forward.0", ".forward.0", ".forward.1"]


async def test_two_sides_are_attached_together(guard: Guard) -> None:
    merchant = await known_merchant(guard)
    sides = {"with_other_side": True}
    front = await hand_in(guard, merchant, **sides)
    await reached(guard, front, "FORWARDED", why="OTHER_SIDE_MISSING")
    assert guard.merchants.attached == []
    back = await hand_in(guard, merchant, side=document_pb2.DOCUMENT_SIDE_BACK, **sides)
    await reached(guard, back, "FORWARDED", why="OTHER_SIDE_MISSING")
    guard.clock.advance(timedelta(seconds=1))
    for document_id in (front, back):
        await reached(guard, document_id, "ATTACHED")
    (answer,) = guard.merchants.attached
    assert (answer.file_id, answer.back_file_id) == ("file_1", "file_2")
    # A newer one takes the place of the older, whose verdict would not be its own.
    newer = await hand_in(guard, merchant)
    await reached(guard, newer, "ATTACHED")
    await reached(guard, front, "REPLACED")
    assert (await look(guard, back)).state == document_pb2.DOCUMENT_STATE_ATTACHED


async def test_one_that_was_held_up_does_not_take_the_place_of_a_newer_one(
    guard: Guard, clamd: ScriptedClamd
) -> None:
    merchant = await known_merchant(guard)
    clamd.answer = None
    older = await hand_in(guard, merchant)
    await reached(guard, older, "RECEIVED", why="SCANNER_AWAY")
    clamd.answer = "stream: OK"
    newer = await hand_in(guard, merchant)
    await reached(guard, newer, "ATTACHED")
    guard.clock.advance(timedelta(minutes=5))
    await reached(guard, older, "REPLACED")
    assert (await look(guard, newer)).state == document_pb2.DOCUMENT_STATE_ATTACHED
    (answer,) = guard.merchants.attached
    assert answer.request_id.startswith(newer)


async def test_what_is_not_taken(guard: Guard) -> None:
    merchant = await known_merchant(guard)
    create = guard.documents.CreateDocument
    changes: dict[str, Any]
    for changes, reason in (
        ({"field": "company.tax_id"}, "DOCUMENT_FIELD_UNSUITABLE"),
        ({"field": "individual.documents.passport.files"}, "DOCUMENT_FIELD_UNSUITABLE"),
        ({"content_type": "image/gif", "content": b"GIF89a"}, "DOCUMENT_TYPE_NOT_TAKEN"),
        ({"content_type": "image/png"}, "DOCUMENT_CONTENT_DIFFERS"),
        ({"merchant_id": "nobody"}, "SUBJECT_NOT_FOUND"),
        ({"merchant_id": await guard.merchant(account=None)}, "ACCOUNT_NOT_LINKED"),
    ):
        refused = await failure(create(request(merchant, **changes)))
        assert refused.reason == reason
    for changes, field in (
        ({"content": b""}, "content"),
        ({"content": bytes(MAX_CONTENT_BYTES + 1)}, "content"),
        ({"field": "representative.verification.document"}, "person_id"),
        ({"person_id": "person_2"}, "person_id"),
        ({"field": REGISTER, "side": document_pb2.DOCUMENT_SIDE_BACK}, "side"),
        ({"field": REGISTER, "with_other_side": True}, "with_other_side"),
    ):
        wrong = await failure(create(request(merchant, **changes)))
        assert (wrong.reason, [one.field for one in wrong.violations]) == (
            "INVALID_REQUEST",
            [field],
        )
    missing = await failure(guard.documents.GetDocument(pb.GetDocumentRequest(document_id="x")))
    assert missing.reason == "DOCUMENT_NOT_FOUND"
    assert rows(guard, "SELECT count(*) FROM document") == [(0,)]
    largest = await hand_in(guard, merchant, content=PDF.ljust(MAX_CONTENT_BYTES, b"0"))
    await reached(guard, largest, "ATTACHED")


async def test_a_merchant_has_only_so_many_on_the_way(guard: Guard, clamd: ScriptedClamd) -> None:
    clamd.answer = None
    merchant = await known_merchant(guard)
    made = [await hand_in(guard, merchant) for _ in range(MOST_ON_THE_WAY - 1)]
    # Of two at a moment one is the last.
    asked = [guard.documents.CreateDocument(request(merchant)) for _ in range(2)]
    last = await asyncio.gather(*asked, return_exceptions=True)
    made += [one.document.document_id for one in last if not isinstance(one, BaseException)]
    assert len(made) == MOST_ON_THE_WAY
    full = await failure(guard.documents.CreateDocument(request(merchant)))
    assert (full.code, full.reason) == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "DOCUMENTS_TOO_MANY",
    )
    listed: list[str] = []
    token = ""
    while True:
        page = await guard.documents.ListDocuments(
            pb.ListDocumentsRequest(
                merchant_id=merchant,
                state=document_pb2.DOCUMENT_STATE_RECEIVED,
                page_size=20,
                page_token=token,
            )
        )
        listed += [document.document_id for document in page.documents]
        token = page.next_page_token
        if not token:
            break
    assert listed == made[::-1]


async def test_without_its_settings_no_document_is_taken(open_guard: OpenGuard) -> None:
    async with open_guard() as guard:
        merchant = await guard.merchant()
        off = await failure(guard.documents.CreateDocument(request(merchant)))
    assert (off.reason, off.metadata["setting"]) == ("DOCUMENTS_OFF", "COMPLIANCE_DOCUMENT_KEYS")


@asynccontextmanager
async def handled_by_hand(guard: Guard, **changes: Any) -> AsyncIterator[DocumentHandling]:
    """The loop's work without the loop, against the same database and gateway."""
    engine = opened_engine(guard)
    async with grpc.aio.insecure_channel(guard.merchants.address) as channel:
        yield DocumentHandling(
            **{
                "engine": engine,
                "sealer": Sealer(keys_of(KEY)),
                "scanner": None,
                "gateway": GatewayFiles(channel),
                "clock": guard.clock,
                "came": Notifier(),
                "unscanned": True,
                "retention": RETENTION,
                "interval": timedelta(seconds=1),
                **changes,
            }
        )
    await engine.dispose()


class Died(BaseException):
    """The process is gone."""


@asynccontextmanager
async def one_received(open_guard: OpenGuard) -> AsyncIterator[tuple[Guard, str]]:
    """A document that a service has taken and does not handle: its gateway's loop is not there."""
    async with open_guard(document_keys=KEY) as guard:
        document_id = await hand_in(guard, await known_merchant(guard))
        yield guard, document_id


async def test_a_process_that_dies_at_any_step_hands_it_on_once(
    open_guard: OpenGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies after each call to the outside and before what came of it is written."""
    monkeypatch.setattr(DocumentHandling, "round", _rests)
    async with one_received(open_guard) as (guard, document_id):
        monkeypatch.undo()
        finish = store.finish

        async def dies(*_arguments: Any, **_values: Any) -> bool:
            raise Died

        async with handled_by_hand(guard) as handled:
            for _ in range(3):
                monkeypatch.setattr(store, "finish", dies)
                with pytest.raises(Died):
                    await handled.round()
                monkeypatch.setattr(store, "finish", finish)
                # Nobody else takes it before the lease is over.
                assert not await handled.round()
                guard.clock.advance(LEASE)
                assert await handled.round()
        assert (await look(guard, document_id)).state == document_pb2.DOCUMENT_STATE_ATTACHED
        # Asked twice in the same words, which is once for the gateway.
        assert len(guard.merchants.files) == len(guard.merchants.attached) == 2
        assert guard.merchants.files[0] == guard.merchants.files[1]
        assert guard.merchants.attached[0] == guard.merchants.attached[1]


async def test_what_cannot_be_handed_on_is_destroyed_at_last(
    open_guard: OpenGuard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DocumentHandling, "round", _rests)
    async with one_received(open_guard) as (guard, document_id):
        monkeypatch.undo()
        # Not without a scanner where none may be missing; not with another key.
        async with handled_by_hand(guard, unscanned=False) as handled:
            await handled.round()
        assert (await look(guard, document_id)).failure == "SCANNER_AWAY"
        guard.clock.advance(timedelta(minutes=5))
        other = Sealer([bytes(range(32))])
        async with handled_by_hand(guard, sealer=other) as handled:
            await handled.round()
            await handled.round()
        assert (await look(guard, document_id)).failure == "KEY_MISSING"
        guard.clock.advance(LONGEST_KEPT)
        async with handled_by_hand(guard) as handled:
            await handled.round()
        ended = await look(guard, document_id)
    assert ended.state == document_pb2.DOCUMENT_STATE_REFUSED
    assert ended.refusal == document_pb2.DOCUMENT_REFUSAL_EXPIRED
    assert ended.destroyed


async def _rests(_handling: DocumentHandling) -> bool:
    return False


async def test_a_content_reaches_the_scanner_whole_and_in_pieces(clamd: ScriptedClamd) -> None:
    scanner = Scanner("127.0.0.1", clamd.port)
    content = bytes(range(256)) * 1_000
    assert await scanner.scan(content) == ""
    assert clamd.contents == [content]
    clamd.answer = "stream: A.B-1 FOUND"
    assert await scanner.scan(content) == "A.B-1"


@pytest.mark.parametrize("answer", ["INSTREAM size limit exceeded. ERROR", "UNKNOWN COMMAND", "x"])
async def test_another_answer_is_no_clean_one(clamd: ScriptedClamd, answer: str) -> None:
    clamd.answer = answer
    with pytest.raises(ScannerError):
        await Scanner("127.0.0.1", clamd.port).scan(PDF)


async def test_a_scanner_that_says_nothing_is_away(clamd: ScriptedClamd) -> None:
    for answer in (None, ""):
        clamd.answer = answer
        with pytest.raises(ScannerAwayError):
            await Scanner("127.0.0.1", clamd.port, seconds=0.2).scan(PDF)
    with pytest.raises(ScannerAwayError):
        await Scanner("127.0.0.1", 1).scan(PDF)
    # Nor one that takes nothing of a content that is larger than what is on the way.
    clamd.reading.clear()
    with pytest.raises(ScannerAwayError):
        await Scanner("127.0.0.1", clamd.port, seconds=0.2).scan(bytes(4 * MAX_CONTENT_BYTES))
