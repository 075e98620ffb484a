"""Verifications asked for through the gateway: the link a secret, the feed followed, evidence."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import grpc
import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration

from compliance.v1 import decision_pb2, policy_pb2, policy_service_pb2, subject_pb2
from compliance.v1 import verification_pb2 as v
from compliance.v1 import verification_service_pb2 as pb
from compliance.validation import VALIDATOR
from gateway.errors import ERRORS
from gateway.v1 import verification_pb2 as gateway_pb
from gateway.v1.error_reason_pb2 import ErrorReason
from sandbox.polling import poll
from tests.compliance.conftest import START, OpenGuard
from tests.compliance.guard import Guard, codes, failure, unique, verdict
from tests.compliance.test_policy_versions import activate, document

YEAR = timedelta(days=365)
DOCUMENT = v.VERIFICATION_TYPE_DOCUMENT
VERIFIED = gateway_pb.VERIFICATION_STATE_VERIFIED
CUSTOMER = subject_pb2.SUBJECT_KIND_CUSTOMER


def request(subject_id: str, request_id: str = "v-1", **changes: Any) -> Any:
    values: dict[str, Any] = {
        "request_id": request_id, "subject_id": subject_id, "type": DOCUMENT,
    }  # fmt: skip
    return pb.CreateVerificationRequest(**(values | changes))


async def wants_verified(
    guard: Guard, kind: subject_pb2.SubjectKind.ValueType = CUSTOMER, max_age: timedelta = YEAR
) -> None:
    """From now on REVIEW waits for who is not verified."""
    wanted = await document(guard)
    wanted.verification_requirements.append(
        policy_pb2.VerificationRequirement(
            subject_kind=kind,
            max_age=Duration(seconds=int(max_age.total_seconds())),
            outcome=decision_pb2.VERDICT_REVIEW,
        )
    )
    version = unique("policy")
    await guard.policies.CreatePolicyVersion(
        policy_service_pb2.CreatePolicyVersionRequest(
            request_id=unique("draft"), policy_version=version, document=wanted
        )
    )
    await activate(guard, version)


async def stands(guard: Guard, verification_id: str) -> v.Verification:
    asked = pb.GetVerificationRequest(verification_id=verification_id)
    found: v.Verification = (await guard.verifications.GetVerification(asked)).verification
    return found


async def becomes(guard: Guard, verification_id: str, condition: Callable[[Any], bool]) -> Any:
    return await poll(lambda: stands(guard, verification_id), condition)


async def kept_anywhere(guard: Guard) -> str:
    """All rows of all tables, as text."""
    async with await psycopg.AsyncConnection.connect(guard.database_url) as connection:
        tables = await connection.execute(
            "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
        )
        rows = []
        for (table,) in await tables.fetchall():
            found = await connection.execute(f"SELECT t::text FROM {table} AS t")
            rows += [str(row) for row in await found.fetchall()]
    return json.dumps(rows)


async def test_asked_for_once_with_a_link_that_is_kept_nowhere(guard: Guard) -> None:
    customer = await guard.customer()
    options = v.VerificationOptions(
        require_matching_selfie=True,
        allowed_types=[v.VERIFICATION_DOCUMENT_TYPE_PASSPORT],
    )
    asked = request(customer, options=options, return_url="https://shop.example/back")
    made = await guard.verifications.CreateVerification(asked)
    assert made.verification.state == v.VERIFICATION_STATE_REQUIRES_INPUT
    assert (made.verification.with_selfie, made.link.client_secret) == (True, "s3cret_1")
    again = await guard.verifications.CreateVerification(asked)
    assert again.verification == made.verification
    assert again.link.url == "https://verify.example/2"
    [passed_on] = guard.merchants.verifications.asked.values()
    assert passed_on.return_url == asked.return_url
    assert passed_on.options.require_matching_selfie
    assert list(passed_on.options.allowed_types) == [gateway_pb.VERIFICATION_DOCUMENT_TYPE_PASSPORT]
    another = await guard.verifications.CreateVerificationLink(
        pb.CreateVerificationLinkRequest(verification_id=made.verification.verification_id)
    )
    assert another.link.client_secret == "s3cret_3"
    reused = await failure(guard.verifications.CreateVerification(request(customer)))
    assert reused.reason == "REQUEST_ID_REUSED"
    kept = await kept_anywhere(guard)
    assert made.verification.verification_id in kept
    assert "s3cret" not in kept
    assert "verify.example" not in kept


async def test_what_stripe_verified_is_evidence_until_it_is_too_old(guard: Guard) -> None:
    merchant, customer = await guard.merchant(account=None), await guard.customer()
    await wants_verified(guard)

    async def checked() -> decision_pb2.Decision:
        return await guard.check(merchant, customer_id=customer)

    waits = await checked()
    assert (verdict(waits), codes(waits)) == ("REVIEW", ["IDENTITY_UNVERIFIED"])
    assert identity_evidence(waits) == [("MISSING", "")]
    made = await guard.verifications.CreateVerification(request(customer))
    verification_id = made.verification.verification_id
    guard.merchants.verifications.tell(verification_id, error_code="document_expired")
    failed = await becomes(guard, verification_id, lambda seen: bool(seen.error_code))
    assert failed.error_code == "document_expired"
    assert codes(await checked()) == ["IDENTITY_UNVERIFIED"]
    guard.merchants.verifications.tell(
        verification_id, error_code="", state=VERIFIED, verify_time=START
    )
    await becomes(guard, verification_id, lambda seen: seen.state == v.VERIFICATION_STATE_VERIFIED)
    passes = await checked()
    assert (verdict(passes), identity_evidence(passes)) == ("ALLOW", [("FRESH", "vs_1")])
    guard.clock.advance(YEAR)
    await guard.load_list()
    assert "IDENTITY_STALE" not in codes(await checked())
    guard.clock.advance(timedelta(seconds=1))
    assert "IDENTITY_STALE" in codes(await checked())
    # Verified again, by another session.
    again = await guard.verifications.CreateVerification(request(customer, "v-2"))
    guard.merchants.verifications.tell(
        again.verification.verification_id, state=VERIFIED, verify_time=guard.clock.now()
    )
    await becomes(
        guard,
        again.verification.verification_id,
        lambda seen: seen.state == v.VERIFICATION_STATE_VERIFIED,
    )
    renewed = await checked()
    assert not {"IDENTITY_STALE", "IDENTITY_UNVERIFIED"} & set(codes(renewed))
    assert ("FRESH", "vs_2") in identity_evidence(renewed)


def identity_evidence(decision: decision_pb2.Decision) -> list[tuple[str, str]]:
    return [
        (
            decision_pb2.EvidenceState.Name(item.state).removeprefix("EVIDENCE_STATE_"),
            item.version,
        )
        for item in decision.evidence
        if item.kind == decision_pb2.EVIDENCE_KIND_IDENTITY
    ]


@pytest.mark.parametrize("in_dashboard", [False, True])
async def test_what_is_redacted_stops_counting(guard: Guard, in_dashboard: bool) -> None:
    merchant, customer = await guard.merchant(account=None), await guard.customer()
    await wants_verified(guard)
    made = await guard.verifications.CreateVerification(request(customer))
    verification_id = made.verification.verification_id
    guard.merchants.verifications.tell(verification_id, state=VERIFIED, verify_time=START)
    await becomes(guard, verification_id, lambda seen: seen.state == v.VERIFICATION_STATE_VERIFIED)
    assert verdict(await guard.check(merchant, customer_id=customer)) == "ALLOW"
    if in_dashboard:
        guard.merchants.verifications.tell(
            verification_id, redaction=gateway_pb.VERIFICATION_REDACTION_REDACTED
        )
        await becomes(guard, verification_id, lambda seen: bool(seen.redaction))
    else:
        redact = pb.RedactVerificationRequest(request_id="d-1", verification_id=verification_id)
        for _ in range(2):
            redacted = (await guard.verifications.RedactVerification(redact)).verification
            assert redacted.redaction == v.VERIFICATION_REDACTION_PROCESSING
    # At once: the answer is taken in, not only the feed's word.
    waits = await guard.check(merchant, customer_id=customer)
    assert codes(waits) == ["IDENTITY_UNVERIFIED"]


async def test_one_that_waits_is_canceled(guard: Guard) -> None:
    customer = await guard.customer()
    made = (await guard.verifications.CreateVerification(request(customer))).verification
    cancel = pb.CancelVerificationRequest(request_id="c-1", verification_id=made.verification_id)
    canceled = (await guard.verifications.CancelVerification(cancel)).verification
    assert canceled.state == v.VERIFICATION_STATE_CANCELED
    # Nobody is sent anywhere any more.
    again = await guard.verifications.CreateVerification(request(customer))
    assert (again.verification.state, again.HasField("link")) == (
        v.VERIFICATION_STATE_CANCELED,
        False,
    )
    # The same id for another method is another request.
    redact = pb.RedactVerificationRequest(request_id="c-1", verification_id=made.verification_id)
    reused = await failure(guard.verifications.RedactVerification(redact))
    assert reused.reason == "REQUEST_ID_REUSED"
    assert guard.merchants.verifications.ended == [("c-1", made.verification_id)]


async def test_persons_of_merchants_and_of_nobody_else(guard: Guard) -> None:
    merchant = await guard.merchant(account="acct_one")
    guard.merchants.add("acct_one")
    owner = await guard.subject(subject_pb2.SUBJECT_KIND_OWNER, "Ada Eigner", parent=merchant)
    for number, who in enumerate((merchant, owner)):
        asked = request(who, f"v-{number}", person_id="person_1")
        await guard.verifications.CreateVerification(asked)
        passed_on = guard.merchants.verifications.asked[f"v-{number}"]
        assert (passed_on.merchant_id, passed_on.person_id) == ("mrc_acct_one", "person_1")
    bare = await guard.merchant(account=None)
    refused = await failure(
        guard.verifications.CreateVerification(request(bare, "v-3", person_id="person_1"))
    )
    assert (refused.reason, refused.metadata) == ("ACCOUNT_NOT_LINKED", {"subject_id": bare})
    customer = await guard.customer()
    refused = await failure(
        guard.verifications.CreateVerification(request(customer, "v-4", person_id="person_1"))
    )
    assert [found.field for found in refused.violations] == ["person_id"]
    closed = await guard.customer()
    await guard.set_state(closed, subject_pb2.SUBJECT_STATE_CLOSED)
    for who, reason in ((closed, "SUBJECT_CLOSED"), ("nobody", "SUBJECT_NOT_FOUND")):
        refused = await failure(guard.verifications.CreateVerification(request(who, f"v-{who}")))
        assert refused.reason == reason
    assert sorted(guard.merchants.verifications.asked) == ["v-0", "v-1"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject_id": "a b"}, "subject_id"),
        ({"type": 0}, "type"),
        ({"type": v.VERIFICATION_TYPE_ID_NUMBER, "options": v.VerificationOptions()}, "options"),
        ({"options": v.VerificationOptions(allowed_types=[3, 3])}, "options.allowed_types"),  # type: ignore[list-item]
        ({"return_url": "ftp://shop.example"}, "return_url"),
        ({"person_id": "ada"}, "person_id"),
        ({"person_id": "person_1", "corridor": "default"}, "corridor"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], field: str) -> None:
    asked = request(**{"subject_id": "ada", **changes})
    assert [found.field for found in VALIDATOR.violations(asked)] == [field]


async def not_there(guard: Guard) -> None:
    """What is said of a verification that there is not."""
    calls: list[Awaitable[Any]] = [
        stands(guard, "vfn_9"),
        guard.verifications.CreateVerificationLink(
            pb.CreateVerificationLinkRequest(verification_id="vfn_9")
        ),
        guard.verifications.CancelVerification(
            pb.CancelVerificationRequest(request_id="c-1", verification_id="vfn_9")
        ),
        guard.verifications.RedactVerification(
            pb.RedactVerificationRequest(request_id="d-1", verification_id="vfn_9")
        ),
    ]
    for call in calls:
        refused = await failure(call)
        assert (refused.reason, refused.metadata) == (
            "VERIFICATION_NOT_FOUND",
            {"verification_id": "vfn_9"},
        )


async def away_or_no(guard: Guard) -> None:
    """What is said when the gateway is away, and when it says no."""
    customer = await guard.customer()
    fake = guard.merchants.verifications
    fake.is_down = True
    away = await failure(guard.verifications.CreateVerification(request(customer)))
    assert (away.code, away.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    fake.is_down = False
    fake.error = ERRORS.error(
        grpc.StatusCode.FAILED_PRECONDITION,
        ErrorReason.ERROR_REASON_STRIPE_REJECTED,
        "no",
        metadata={
            "stripe_code": "account_invalid", "stripe_type": "", "stripe_param": "",
            "stripe_request_id": "",
        },
    )  # fmt: skip
    refused = await failure(guard.verifications.CreateVerification(request(customer)))
    assert (refused.reason, refused.metadata) == (
        "VERIFICATION_REFUSED",
        {
            "subject_id": customer,
            "gateway_reason": "STRIPE_REJECTED",
            "stripe_code": "account_invalid",
        },
    )
    fake.error = None
    made = await guard.verifications.CreateVerification(request(customer))
    assert made.HasField("link")


async def test_what_cannot_be_asked_for(guard: Guard) -> None:
    await not_there(guard)
    await away_or_no(guard)


async def test_without_a_gateway_nothing_is_asked_for(open_guard: OpenGuard) -> None:
    async with open_guard(gateway_address="") as guard:
        refused = await failure(guard.verifications.CreateVerification(request("ada")))
        assert refused.metadata == {"dependency": "gateway"}


async def test_lists_newest_first_by_subject_and_state(guard: Guard) -> None:
    first, second = await guard.customer(), await guard.customer()
    for number, who in enumerate((first, first, second)):
        await guard.verifications.CreateVerification(request(who, f"v-{number}"))
    asked = pb.ListVerificationsRequest(page_size=2)
    pages = []
    while True:
        answer = await guard.verifications.ListVerifications(asked)
        pages.append([one.verification_id for one in answer.verifications])
        if not answer.next_page_token:
            break
        asked.page_token = answer.next_page_token
    assert pages == [["vfn_3", "vfn_2"], ["vfn_1"]]
    of_first = pb.ListVerificationsRequest(subject_id=first)
    answer = await guard.verifications.ListVerifications(of_first)
    assert [one.verification_id for one in answer.verifications] == ["vfn_2", "vfn_1"]
    verified = pb.ListVerificationsRequest(state=v.VERIFICATION_STATE_VERIFIED)
    assert not (await guard.verifications.ListVerifications(verified)).verifications


async def test_a_restored_gateway_is_followed_from_where_it_says(open_guard: OpenGuard) -> None:
    async with open_guard() as guard:
        customer = await guard.customer()
        made = (await guard.verifications.CreateVerification(request(customer))).verification
        guard.merchants.verifications.tell(made.verification_id, state=VERIFIED, verify_time=START)
        await becomes(
            guard, made.verification_id, lambda seen: seen.state == v.VERIFICATION_STATE_VERIFIED
        )
        before = guard.merchants.verifications.made

        async def followed() -> Any:
            async with await psycopg.AsyncConnection.connect(guard.database_url) as connection:
                rows = await connection.execute("SELECT epoch, sequence FROM verification_watch")
                return await rows.fetchone()

        await poll(followed, lambda place: place == (0, 2))
    async with open_guard() as guard:
        # This one has lost both changes; what it tells of a later epoch counts all the same.
        fake = guard.merchants.verifications
        fake.made = before

        async def asked_anew() -> Any:
            return fake.watches[:2]

        await poll(asked_anew, lambda places: places == [(0, 2), (0, 0)])
        fake.tell(
            made.verification_id,
            epoch=1,
            redaction=gateway_pb.VERIFICATION_REDACTION_PROCESSING,
        )
        await becomes(guard, made.verification_id, lambda seen: bool(seen.redaction))
