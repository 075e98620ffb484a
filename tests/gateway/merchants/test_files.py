"""Documents of merchants, end to end: gRPC, PostgreSQL, the SDK, the Stripe twin."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
import pytest
import stripe

from gateway.merchants.files import (
    MAX_CONTENT_BYTES,
    Attachment,
    ContentsInHand,
    attachment,
    digest,
)
from gateway.operations.operation import KEY_HORIZON
from gateway.stripe_client.corridor_client import files_base
from gateway.v1 import merchant_service_pb2 as pb
from runtime.clock import ManualClock
from sandbox.stripe_twin.faults import Fault, FaultKind
from sandbox.stripe_twin.overrides import AccountState
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.conftest import new_merchant
from tests.gateway.running import RunningGateway, refusal_of, running_gateway
from tests.plugin import NewDatabase

PDF = b"%PDF-1.7 a made-up document %%EOF"
REGISTER = "documents.company_registration_verification.files"


def document(request_id: str = "file-1", **changes: Any) -> pb.CreateFileRequest:
    values: dict[str, Any] = {
        "request_id": request_id,
        "merchant_id": "shop-1",
        "purpose": pb.FILE_PURPOSE_ACCOUNT_REQUIREMENT,
        "type": pb.FILE_TYPE_PDF,
        "content": PDF,
    }
    return pb.CreateFileRequest(**(values | changes))


async def connected(gateway: RunningGateway) -> str:
    answer = await gateway.merchants.CreateMerchant(new_merchant())
    return str(answer.merchant.connected_account_id)


def files(twin: Twin, account: str) -> list[dict[str, Any]]:
    return list(twin.account().connected[account].objects("file"))


async def test_a_document_is_uploaded_once_and_nothing_of_it_is_kept(
    gateway: RunningGateway, twin: Twin, database_url: str
) -> None:
    account = await connected(gateway)
    made = await gateway.merchants.CreateFile(document())
    assert await gateway.merchants.CreateFile(document()) == made
    (file,) = files(twin, account)
    assert (file["id"], file["purpose"], file["size"]) == (
        made.file_id,
        "account_requirement",
        len(PDF),
    )
    # Nobody's name: the operation's id.
    assert file["filename"].startswith("op_")
    assert file["filename"].endswith(".pdf")
    with psycopg.connect(database_url) as connection:
        for table in ("merchant_request", "operation"):
            rows = connection.execute(f"SELECT row::text FROM {table} AS row").fetchall()
            assert rows
            assert not any(PDF.hex() in row[0] or "made-up" in row[0] for row in rows)
    other = await refusal_of(gateway.merchants.CreateFile(document(content=PDF + b" ")))
    assert (other.reason, other.metadata["differing_fields"]) == ("REQUEST_ID_REUSED", "content")


async def test_a_lost_answer_makes_no_second_file(gateway: RunningGateway, twin: Twin) -> None:
    account = await connected(gateway)
    twin.faults.add(
        Fault(kind=FaultKind.RESET, path="/v1/files", when="after", method="POST", count=4)
    )
    lost = await refusal_of(gateway.merchants.CreateFile(document()))
    assert (lost.code, lost.reason) == (grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN")
    made = await gateway.merchants.CreateFile(document())
    assert [file["id"] for file in files(twin, account)] == [made.file_id]


async def test_after_the_keys_life_it_is_found_by_its_name(
    service_database: NewDatabase, twin: Twin
) -> None:
    """Nobody asks again for a day, and then with the document: it is looked for, not sent."""
    clock = ManualClock(datetime.now(UTC))
    async with running_gateway(service_database("gateway"), twin, clock) as gateway:
        account = await connected(gateway)
        twin.faults.add(
            Fault(kind=FaultKind.RESET, path="/v1/files", when="after", method="POST", count=4)
        )
        await refusal_of(gateway.merchants.CreateFile(document()))
        clock.advance(KEY_HORIZON + timedelta(minutes=1))
        made = await gateway.merchants.CreateFile(document())
    assert [file["id"] for file in files(twin, account)] == [made.file_id]


async def test_what_stripe_refuses_is_said_with_its_word(
    gateway: RunningGateway, twin: Twin
) -> None:
    account = await connected(gateway)
    refused = await refusal_of(gateway.merchants.CreateFile(document(content=b"no document")))
    assert (refused.reason, refused.metadata["stripe_param"]) == ("STRIPE_REJECTED", "file")
    assert files(twin, account) == []
    nobody = await refusal_of(gateway.merchants.CreateFile(document("file-2", merchant_id="x")))
    assert nobody.reason == "MERCHANT_NOT_FOUND"
    for changes in ({"content": b""}, {"content": bytes(MAX_CONTENT_BYTES + 1)}):
        wrong = await refusal_of(gateway.merchants.CreateFile(document("file-3", **changes)))
        assert wrong.reason == "INVALID_REQUEST"
        assert [violation.field for violation in wrong.violations] == ["content"]


async def test_the_largest_document_goes_through(gateway: RunningGateway, twin: Twin) -> None:
    account = await connected(gateway)
    await gateway.merchants.CreateFile(document(content=PDF.ljust(MAX_CONTENT_BYTES, b"0")))
    assert [file["size"] for file in files(twin, account)] == [MAX_CONTENT_BYTES]


async def test_files_answer_what_is_required(gateway: RunningGateway, twin: Twin) -> None:
    account = await connected(gateway)
    wanted = [REGISTER, "company.verification.document"]
    twin.override_account(
        account,
        AccountState.model_validate(
            {"requirements": {"currently_due": wanted, "eventually_due": wanted}}
        ),
    )
    register = await gateway.merchants.CreateFile(document())
    front, back = [
        await gateway.merchants.CreateFile(
            document(name, purpose=pb.FILE_PURPOSE_ADDITIONAL_VERIFICATION)
        )
        for name in ("front", "back")
    ]
    asked = pb.AttachFilesRequest(
        request_id="attach-1", merchant_id="shop-1", field=REGISTER, file_id=register.file_id
    )
    for _ in range(2):
        await gateway.merchants.AttachFiles(asked)
    await gateway.merchants.AttachFiles(
        pb.AttachFilesRequest(
            request_id="attach-2",
            merchant_id="shop-1",
            field="company.verification.document",
            file_id=front.file_id,
            back_file_id=back.file_id,
        )
    )
    item = twin.account().objects("account").get(account)
    assert item["requirements"]["pending_verification"] == wanted
    assert item["company"]["verification"]["document"] == {
        "front": front.file_id,
        "back": back.file_id,
    }
    missing = await refusal_of(
        gateway.merchants.AttachFiles(
            pb.AttachFilesRequest(
                request_id="attach-3", merchant_id="shop-1", field=REGISTER, file_id="file_none"
            )
        )
    )
    assert (missing.reason, missing.metadata["stripe_code"]) == (
        "STRIPE_REJECTED",
        "resource_missing",
    )


@pytest.mark.parametrize(
    ("field", "person_id", "sides", "expected"),
    [
        (
            "individual.verification.document",
            "",
            ("file_1", ""),
            Attachment("", {"individual": {"verification": {"document": {"front": "file_1"}}}}),
        ),
        (
            "person_1.verification.additional_document",
            "",
            ("file_1", "file_2"),
            Attachment(
                "person_1",
                {"verification": {"additional_document": {"front": "file_1", "back": "file_2"}}},
            ),
        ),
        (
            "representative.verification.document",
            "person_2",
            ("", "file_2"),
            Attachment("person_2", {"verification": {"document": {"back": "file_2"}}}),
        ),
        (
            "person_1.documents.passport.files",
            "",
            ("file_1", ""),
            Attachment("person_1", {"documents": {"passport": {"files": ["file_1"]}}}),
        ),
        (REGISTER, "", ("file_1", "file_2"), None),
        (REGISTER, "", ("", ""), None),
        ("representative.verification.document", "", ("file_1", ""), None),
        ("company.verification.additional_document", "", ("file_1", ""), None),
        ("individual.documents.passport.files", "", ("file_1", ""), None),
        ("company.tax_id", "", ("file_1", ""), None),
        ("person_1.verification.document", "person_2", ("file_1", ""), None),
    ],
)
def test_where_files_go(
    field: str, person_id: str, sides: tuple[str, str], expected: Attachment | None
) -> None:
    asked = pb.AttachFilesRequest(
        field=field, person_id=person_id, file_id=sides[0], back_file_id=sides[1]
    )
    assert attachment(asked) == expected


def test_a_document_is_in_hand_for_as_long_as_somebody_holds_it() -> None:
    contents, other = ContentsInHand(), PDF + b" "
    with contents.holding("op_1", digest(PDF), PDF):
        with contents.holding("op_1", digest(PDF), PDF):
            assert contents.of("op_2", digest(PDF)) is None
        assert contents.of("op_1", digest(PDF)) == PDF
        # Whoever comes with another one for the same does not take its place.
        with contents.holding("op_1", digest(other), other):
            assert contents.of("op_1", digest(PDF)) == PDF
        assert contents.of("op_1", digest(PDF)) == PDF
        assert contents.of("op_1", digest(other)) is None
    assert contents.of("op_1", digest(PDF)) is None


async def test_a_request_with_another_document_is_not_uploaded_for_the_first(
    gateway: RunningGateway, twin: Twin
) -> None:
    """The first waits for Stripe meanwhile, and is sent again with its own document."""
    account = await connected(gateway)
    twin.faults.add(
        Fault(kind=FaultKind.RESET, path="/v1/files", when="before", method="POST", count=4)
    )
    await refusal_of(gateway.merchants.CreateFile(document()))
    other = gateway.merchants.CreateFile(document(content=PDF + b" other"))
    again = gateway.merchants.CreateFile(document())
    refused, made = await asyncio.gather(refusal_of(other), again)
    assert refused.reason == "REQUEST_ID_REUSED"
    (file,) = files(twin, account)
    assert (file["id"], file["size"]) == (made.file_id, len(PDF))


def test_stripe_takes_files_at_a_host_of_its_own() -> None:
    assert files_base(stripe.DEFAULT_API_BASE) == "https://files.stripe.com"
    assert files_base("http://127.0.0.1:12111") == "http://127.0.0.1:12111"
