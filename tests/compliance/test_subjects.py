"""Subjects: created, changed, listed; requests repeated; what each change leaves behind."""

import asyncio

import grpc
import psycopg

from compliance.v1 import subject_pb2
from compliance.v1 import subject_service_pb2 as pb
from compliance.v1.screening_service_pb2 import ClearMatchRequest
from compliance.wire_time import to_datetime
from tests.compliance.conftest import START
from tests.compliance.guard import Guard, failure, unique

MERCHANT = subject_pb2.SUBJECT_KIND_MERCHANT
OWNER = subject_pb2.SUBJECT_KIND_OWNER
CUSTOMER = subject_pb2.SUBJECT_KIND_CUSTOMER
VERIFIED = subject_pb2.KYC_STATE_VERIFIED
BLOCKED = subject_pb2.SUBJECT_STATE_BLOCKED


def creation(**changes: object) -> pb.CreateSubjectRequest:
    request = pb.CreateSubjectRequest(
        request_id=unique("create"),
        kind=MERCHANT,
        profile=subject_pb2.SubjectProfile(
            legal_name="Zentrave Handel GmbH",
            aliases=["Zentrave", "Центрейв"],
            entity_kind=subject_pb2.ENTITY_KIND_ORGANIZATION,
            country_code="DE",
        ),
        account=subject_pb2.AccountLink(corridor="main", connected_account_id="acct_1"),
    )
    request.MergeFrom(pb.CreateSubjectRequest(**changes))  # type: ignore[arg-type]
    return request


async def create(guard: Guard, request: pb.CreateSubjectRequest) -> subject_pb2.Subject:
    answer = await guard.subjects.CreateSubject(request)
    subject: subject_pb2.Subject = answer.subject
    return subject


async def get(guard: Guard, subject_id: str) -> subject_pb2.Subject:
    answer = await guard.subjects.GetSubject(pb.GetSubjectRequest(subject_id=subject_id))
    subject: subject_pb2.Subject = answer.subject
    return subject


async def test_a_subject_is_kept_as_given(guard: Guard) -> None:
    request = creation()
    subject = await create(guard, request)
    assert subject.subject_id.startswith("sub_")
    assert (subject.profile, subject.account) == (request.profile, request.account)
    assert (subject.state, subject.kyc_state, subject.revision) == (
        subject_pb2.SUBJECT_STATE_ACTIVE,
        subject_pb2.KYC_STATE_NOT_STARTED,
        1,
    )
    assert to_datetime(subject.create_time) == to_datetime(subject.update_time) == START
    assert not subject.HasField("kyc_verify_time")
    assert await get(guard, subject.subject_id) == subject


async def test_the_same_request_creates_once(guard: Guard) -> None:
    request = creation()
    subjects = await asyncio.gather(*(create(guard, request) for _ in range(8)))
    assert len({subject.subject_id for subject in subjects}) == 1
    request.profile.legal_name = "Somebody Else"
    request.profile.aliases.append("More")
    error = await failure(create(guard, request))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert error.metadata["differing_fields"] == "profile.legal_name,profile.aliases"


async def test_ids_are_unique_in_their_service(guard: Guard) -> None:
    request = creation()
    subject = await create(guard, request)
    update = pb.UpdateSubjectRequest(
        request_id=request.request_id, subject_id=subject.subject_id, profile=request.profile
    )
    error = await failure(guard.subjects.UpdateSubject(update))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")
    assert error.metadata["differing_fields"] == "method"
    # In another service the id is free.
    clear = ClearMatchRequest(request_id=request.request_id, match_id="none", note="nobody")
    assert (await failure(guard.screening.ClearMatch(clear))).reason == "MATCH_NOT_FOUND"
    assert (await failure(guard.screening.ClearMatch(clear))).reason == "MATCH_NOT_FOUND"
    assert await create(guard, request) == subject


async def test_times_that_are_kept_alike_are_the_same_request(guard: Guard) -> None:
    subject = await create(guard, creation())
    request = pb.SetKycStateRequest(
        request_id=unique("kyc"),
        subject_id=subject.subject_id,
        kyc_state=subject_pb2.KYC_STATE_VERIFIED,
        note="seen",
    )
    request.expire_time.FromNanoseconds(2_000_000_000_000_001_999)
    first = await guard.subjects.SetKycState(request)
    request.expire_time.FromNanoseconds(2_000_000_000_000_001_000)
    assert await guard.subjects.SetKycState(request) == first
    request.expire_time.FromNanoseconds(2_000_000_000_000_002_000)
    error = await failure(guard.subjects.SetKycState(request))
    assert error.metadata["differing_fields"] == "expire_time.nanos"


async def test_a_failure_that_was_decided_is_as_sticky_as_a_success(guard: Guard) -> None:
    owner = creation(kind=OWNER, parent_subject_id="later")
    owner.ClearField("account")
    first = await failure(create(guard, owner))
    assert (first.code, first.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "INVALID_PARENT")
    await create(guard, creation(subject_id="later"))
    again = await failure(create(guard, owner))
    assert (again.reason, again.metadata) == (first.reason, {"parent_subject_id": "later"})
    owner.request_id = unique("create")
    assert (await create(guard, owner)).parent_subject_id == "later"


async def test_ids_and_accounts_are_taken_once(guard: Guard) -> None:
    await create(guard, creation(subject_id="mine"))
    error = await failure(create(guard, creation(subject_id="mine")))
    assert (error.reason, error.metadata) == ("SUBJECT_ALREADY_EXISTS", {"subject_id": "mine"})
    error = await failure(create(guard, creation(subject_id="other")))
    assert error.reason == "ACCOUNT_ALREADY_LINKED"
    assert error.metadata == {"connected_account_id": "acct_1"}


async def test_parents_are_merchants_that_are_open(guard: Guard) -> None:
    merchant = await guard.merchant()
    customer = await guard.customer(parent=merchant)
    for parent in (customer, "nobody"):
        error = await failure(guard.subject(OWNER, "Owner", parent=parent))
        assert (error.reason, error.metadata) == (
            "INVALID_PARENT",
            {"parent_subject_id": parent},
        )
    await guard.set_state(merchant, subject_pb2.SUBJECT_STATE_CLOSED)
    assert (await failure(guard.customer(parent=merchant))).reason == "INVALID_PARENT"


async def test_updates_stand_on_a_revision(guard: Guard) -> None:
    subject = await create(guard, creation())
    profile = subject_pb2.SubjectProfile(legal_name="Zentrave AG")
    request = pb.UpdateSubjectRequest(
        request_id=unique("update"),
        subject_id=subject.subject_id,
        expected_revision=1,
        profile=profile,
        account=subject.account,
    )
    changed = (await guard.subjects.UpdateSubject(request)).subject
    assert (changed.revision, changed.profile) == (2, profile)
    assert (await guard.subjects.UpdateSubject(request)).subject == changed
    request.request_id = unique("update")
    error = await failure(guard.subjects.UpdateSubject(request))
    assert (error.code, error.reason) == (grpc.StatusCode.ABORTED, "SUBJECT_REVISION_MISMATCH")
    assert (error.metadata["expected_revision"], error.metadata["revision"]) == ("1", "2")


async def test_what_is_closed_stays_as_it_is(guard: Guard) -> None:
    subject_id = await guard.merchant()
    await guard.set_state(subject_id, subject_pb2.SUBJECT_STATE_CLOSED)
    error = await failure(guard.set_kyc(subject_id, VERIFIED))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SUBJECT_CLOSED")
    assert (await failure(guard.set_state(subject_id, BLOCKED))).reason == "SUBJECT_CLOSED"


async def test_unknown_subjects(guard: Guard) -> None:
    for call in (
        get(guard, "nobody"),
        guard.set_kyc("nobody", VERIFIED),
        guard.set_state("nobody", BLOCKED),
    ):
        error = await failure(call)
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "SUBJECT_NOT_FOUND")
        assert error.metadata == {"subject_id": "nobody"}


async def test_kyc_times(guard: Guard) -> None:
    subject_id = await guard.merchant()
    subject = await get(guard, subject_id)
    assert (subject.kyc_state, subject.revision) == (VERIFIED, 2)
    assert to_datetime(subject.kyc_verify_time) == START
    await guard.set_kyc(subject_id, subject_pb2.KYC_STATE_PENDING)
    assert not (await get(guard, subject_id)).HasField("kyc_verify_time")


async def test_every_change_is_kept_with_its_grounds(guard: Guard) -> None:
    subject_id = await guard.merchant()
    await guard.set_state(subject_id, BLOCKED)
    with psycopg.connect(guard.database_url) as connection:
        rows = connection.execute(
            "SELECT revision, change, note, client, content ->> 'state' "
            "FROM subject_change ORDER BY revision"
        ).fetchall()
    assert rows == [
        (1, "CREATE", "", "sandbox", "ACTIVE"),
        (2, "KYC", "test", "sandbox", "ACTIVE"),
        (3, "STATE", "test", "sandbox", "BLOCKED"),
    ]


async def test_subjects_are_listed_by_filters_page_by_page(guard: Guard) -> None:
    merchant = await guard.merchant()
    customers = [await guard.customer(parent=merchant) for _ in range(3)]
    await guard.set_state(customers[1], BLOCKED)

    async def ids(**filters: object) -> tuple[list[str], str]:
        page = await guard.subjects.ListSubjects(pb.ListSubjectsRequest(**filters))  # type: ignore[arg-type]
        return [subject.subject_id for subject in page.subjects], page.next_page_token

    assert await ids(kind=MERCHANT) == ([merchant], "")
    assert await ids(state=BLOCKED) == ([customers[1]], "")
    assert await ids(kyc_state=VERIFIED) == ([merchant], "")
    first, token = await ids(parent_subject_id=merchant, page_size=2)
    assert first == customers[:0:-1]
    await guard.customer(parent=merchant)
    assert await ids(parent_subject_id=merchant, page_size=2, page_token=token) == (
        [customers[0]],
        "",
    )
    error = await failure(guard.subjects.ListSubjects(pb.ListSubjectsRequest(page_token=token)))
    assert error.reason == "INVALID_PAGE_TOKEN"
