"""Snapshots of connected accounts: fetched, stored once for each content, listed, refreshed."""

from datetime import timedelta
from typing import Any

import grpc
import psycopg

from compliance.v1 import requirement_pb2, subject_service_pb2
from compliance.v1 import requirement_service_pb2 as pb
from compliance.v1.decision_service_pb2 import ReplayDecisionRequest
from compliance.wire_time import to_datetime
from gateway.v1 import merchant_pb2, merchant_tax_pb2
from gateway.v1.merchant_requirements_pb2 import (
    RequirementAlternative,
    RequirementError,
    Requirements,
)
from tests.compliance.conftest import START
from tests.compliance.guard import Guard, codes, failure, unique, verdict


async def refresh(guard: Guard, merchant: str) -> requirement_pb2.AccountSnapshot:
    answer = await guard.requirements.RefreshAccountSnapshot(
        pb.RefreshAccountSnapshotRequest(merchant_id=merchant)
    )
    snapshot: requirement_pb2.AccountSnapshot = answer.snapshot
    return snapshot


def due(days: int, *fields: str, **more: object) -> Requirements:
    requirements = Requirements(currently_due=fields, eventually_due=fields, **more)  # type: ignore[arg-type]
    requirements.current_deadline_time.FromDatetime(START + timedelta(days=days))
    return requirements


async def merchant_with(guard: Guard, **changes: object) -> str:
    account = unique("acct").replace("-", "_")
    guard.merchants.add(account, **changes)
    return await guard.merchant(account=account)


async def test_a_snapshot_is_fetched_and_kept(guard: Guard) -> None:
    requirements = due(
        3,
        "company.tax_id",
        "interv_abc.form",
        disabled_reason="requirements.past_due",
        errors=[RequirementError(code="invalid_tax_id", requirement="company.tax_id")],
        alternatives=[
            RequirementAlternative(
                original_fields_due=["company.tax_id"],
                alternative_fields_due=["company.verification.document"],
            )
        ],
    )
    merchant = await merchant_with(guard, requirements=requirements)
    error = await failure(
        guard.requirements.GetAccountSnapshot(pb.GetAccountSnapshotRequest(merchant_id=merchant))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "SNAPSHOT_NOT_FOUND")
    snapshot = await refresh(guard, merchant)
    stored = await guard.requirements.GetAccountSnapshot(
        pb.GetAccountSnapshotRequest(merchant_id=merchant)
    )
    assert stored.snapshot == snapshot
    assert (snapshot.merchant_id, snapshot.corridor) == (merchant, "main")
    assert snapshot.charges_enabled
    assert to_datetime(snapshot.fetch_time) == START
    assert to_datetime(snapshot.earliest_deadline_time) == START + timedelta(days=3)
    assert [item.name for item in snapshot.capabilities] == ["card_payments", "transfers"]
    assert snapshot.capabilities[0].stripe_state == "active"
    tax_id, form = snapshot.requirements
    assert tax_id.state == requirement_pb2.REQUIREMENT_STATE_CURRENTLY_DUE
    assert list(tax_id.error_codes) == ["invalid_tax_id"]
    assert list(tax_id.alternative_fields) == ["company.verification.document"]
    assert (tax_id.hosted_only, form.hosted_only) == (False, True)


async def test_equal_contents_are_stored_once(guard: Guard) -> None:
    merchant = await merchant_with(guard)
    first = await refresh(guard, merchant)
    guard.clock.advance(timedelta(minutes=1))
    second = await refresh(guard, merchant)
    assert first.content_hash == second.content_hash
    assert to_datetime(second.fetch_time) - to_datetime(first.fetch_time) == timedelta(minutes=1)
    (snapshot,) = guard.merchants.snapshots.values()
    snapshot.charges_enabled = False
    assert (await refresh(guard, merchant)).content_hash != first.content_hash
    with psycopg.connect(guard.database_url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM account_snapshot").fetchone() or ()
    assert count == 2


async def test_an_older_answer_does_not_replace_a_newer_one(guard: Guard) -> None:
    merchant = await merchant_with(guard)
    await refresh(guard, merchant)
    (snapshot,) = guard.merchants.snapshots.values()
    snapshot.charges_enabled = False
    snapshot.fetch_time.FromDatetime(START - timedelta(minutes=1))
    await refresh(guard, merchant)
    stored = await guard.requirements.GetAccountSnapshot(
        pb.GetAccountSnapshotRequest(merchant_id=merchant)
    )
    assert stored.snapshot.charges_enabled


async def test_a_disconnected_account_can_do_nothing(guard: Guard) -> None:
    merchant = await merchant_with(guard)
    (account,) = guard.merchants.snapshots
    guard.merchants.states[account] = merchant_pb2.MERCHANT_STATE_DISCONNECTED
    snapshot = await refresh(guard, merchant)
    assert (snapshot.charges_enabled, snapshot.payouts_enabled) == (False, False)
    assert codes(await guard.check(merchant)) == ["CHARGES_DISABLED"]


async def test_stripe_is_asked_again_once_a_deadline_has_passed(guard: Guard) -> None:
    merchant = await merchant_with(guard)
    (snapshot,) = guard.merchants.snapshots.values()
    snapshot.requirements.currently_due[:] = ["company.tax_id"]
    deadline = snapshot.requirements.current_deadline_time
    deadline.FromDatetime(guard.clock.now() + timedelta(minutes=5))
    await refresh(guard, merchant)
    asked = len(guard.merchants.syncs)
    # Before the deadline, what was fetched counts.
    guard.clock.advance(timedelta(minutes=4))
    assert codes(await guard.check(merchant)) == ["REQUIREMENT_DUE_SOON"]
    assert len(guard.merchants.syncs) == asked
    guard.clock.advance(timedelta(minutes=2))
    guard.merchants.is_down = True
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)[0]) == ("REVIEW", "SNAPSHOT_STALE")
    guard.merchants.is_down = False
    decision = await guard.check(merchant)
    assert (verdict(decision), codes(decision)) == ("ALLOW", ["REQUIREMENT_DUE_SOON"])
    # Nothing that the gateway saw before the deadline would do.
    assert guard.merchants.max_ages[-1] == timedelta(minutes=1)
    # Stripe says that it goes on, so that nobody asks for this deadline again.
    asked = len(guard.merchants.syncs)
    assert verdict(await guard.check(merchant)) == "ALLOW"
    assert len(guard.merchants.syncs) == asked


async def test_a_charge_needs_the_capability_of_its_payment_method(guard: Guard) -> None:
    merchant = await merchant_with(
        guard,
        capabilities=[
            merchant_pb2.Capability(name=name, state=state, requested=True)
            for name, state in (
                ("card_payments", merchant_pb2.CAPABILITY_STATE_INACTIVE),
                ("sepa_debit_payments", merchant_pb2.CAPABILITY_STATE_ACTIVE),
                ("transfers", merchant_pb2.CAPABILITY_STATE_PENDING),
            )
        ],
    )
    await refresh(guard, merchant)
    (account,) = guard.merchants.snapshots
    assert codes(await guard.check(merchant)) == ["CHARGES_DISABLED"]
    assert codes(await guard.check(merchant, payment_method_type="card")) == ["CHARGES_DISABLED"]
    debit: dict[str, Any] = {"payment_method_type": "sepa_debit"}
    assert codes(await guard.check(merchant, **debit)) == []
    destination = await guard.check(merchant, connected_account_id=account, **debit)
    assert codes(destination) == ["TRANSFERS_DISABLED"]
    replayed = await guard.decisions.ReplayDecision(
        ReplayDecisionRequest(decision_id=destination.id)
    )
    assert replayed.identical


async def test_requirements_are_listed_by_deadline_page_by_page(guard: Guard) -> None:
    late = await merchant_with(guard, requirements=due(9, "a.late"))
    soon = await merchant_with(guard, requirements=due(2, "b.soon", "a.soon"))
    undated = await merchant_with(guard, requirements=Requirements(eventually_due=["c.some_day"]))
    for merchant in (late, soon, undated):
        await refresh(guard, merchant)

    async def fields(**request: object) -> list[str]:
        found: list[str] = []
        token = ""
        for _ in range(5):
            page = await guard.requirements.ListRequirements(
                pb.ListRequirementsRequest(page_token=token, **request)  # type: ignore[arg-type]
            )
            found += [item.requirement.field for item in page.requirements]
            token = page.next_page_token
            if not token:
                return found
        raise AssertionError("the list has no end")

    assert await fields(page_size=1) == ["a.soon", "b.soon", "a.late", "c.some_day"]
    assert await fields(merchant_id=soon) == ["a.soon", "b.soon"]
    minimum = requirement_pb2.REQUIREMENT_STATE_CURRENTLY_DUE
    assert await fields(min_state=minimum) == ["a.soon", "b.soon", "a.late"]
    before = pb.ListRequirementsRequest()
    before.due_before_time.FromDatetime(START + timedelta(days=9))
    assert await fields(due_before_time=before.due_before_time) == ["a.soon", "b.soon"]
    (account,) = [
        key
        for key, value in guard.merchants.snapshots.items()
        if value.requirements == due(9, "a.late")
    ]
    guard.merchants.add(account)
    await refresh(guard, late)
    assert await fields(merchant_id=late) == []


async def test_tax_status(guard: Guard) -> None:
    merchant = await guard.merchant("Zentrave Handel GmbH")
    guard.merchants.tax_settings.CopyFrom(
        merchant_tax_pb2.TaxSettings(
            state=merchant_tax_pb2.TAX_SETTINGS_STATE_PENDING, missing_fields=["head_office"]
        )
    )
    guard.merchants.tax_ids = [
        merchant_tax_pb2.TaxId(
            kind="eu_vat",
            value="DE136695976",
            country_code="DE",
            verification_state=merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_VERIFIED,
            verified_name="ZENTRAVE HANDEL",
        ),
        merchant_tax_pb2.TaxId(
            kind="eu_vat",
            value="DE136695977",
            verification_state=merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_VERIFIED,
            verified_name="SOMEBODY ELSE",
        ),
        merchant_tax_pb2.TaxId(
            kind="eu_vat",
            value="DE136695977",
            verification_state=merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_PENDING,
        ),
        merchant_tax_pb2.TaxId(
            kind="ua_vat",
            value="123456789",
            verification_state=merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_UNVERIFIED,
        ),
        merchant_tax_pb2.TaxId(
            kind="zz_unknown",
            value="1",
            verification_state=merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_UNRECOGNIZED,
        ),
        merchant_tax_pb2.TaxId(
            kind="us_ein",
            value="12-3456789",
            verification_state=merchant_tax_pb2.TAX_ID_VERIFICATION_STATE_NOT_CHECKED,
        ),
    ]
    await refresh(guard, merchant)
    answer = await guard.requirements.GetTaxStatus(pb.GetTaxStatusRequest(merchant_id=merchant))
    status = answer.tax_status
    assert (status.ready, list(status.missing_fields)) == (False, ["head_office"])
    assert [
        (
            item.masked_value,
            requirement_pb2.TaxIdVerificationState.Name(item.verification_state).removeprefix(
                "TAX_ID_VERIFICATION_STATE_"
            ),
            requirement_pb2.TaxIdFormat.Name(item.format).removeprefix("TAX_ID_FORMAT_"),
            item.name_agrees,
        )
        for item in status.tax_ids
    ] == [
        ("*******5976", "VERIFIED", "VALID", True),
        # The registry knows what the checksum does not.
        ("*******5977", "VERIFIED", "UNSPECIFIED", False),
        ("*******5977", "PENDING", "INVALID", True),
        ("*****6789", "UNVERIFIED", "UNSPECIFIED", True),
        ("*", "UNAVAILABLE", "UNSPECIFIED", True),
        ("******6789", "UNSPECIFIED", "VALID", True),
    ]
    assert codes(await guard.check(merchant)) == [
        "TAX_NOT_READY",
        "TAX_NAME_DIFFERS",
        # One is pending, of one the registry is out of reach.
        "TAX_ID_UNCONFIRMED",
        "TAX_ID_UNCONFIRMED",
        "TAX_ID_INVALID",
    ]


async def test_tax_registrations_begin_and_end_by_their_dates(guard: Guard) -> None:
    day = timedelta(days=1)
    for country, start, end in (("FR", day, None), ("DE", -day, day), ("AT", -2 * day, -day)):
        said = merchant_tax_pb2.TaxRegistration(country_code=country, kind="standard")
        said.active_from_time.FromDatetime(START + start)
        if end is not None:
            said.expire_time.FromDatetime(START + end)
        # Stripe's word is of when it was asked.
        said.state = merchant_tax_pb2.TAX_REGISTRATION_STATE_SCHEDULED
        guard.merchants.tax_registrations.append(said)
    merchant = await merchant_with(guard)
    await refresh(guard, merchant)

    async def states() -> dict[str, str]:
        answer = await guard.requirements.GetTaxStatus(pb.GetTaxStatusRequest(merchant_id=merchant))
        return {
            item.country_code: requirement_pb2.TaxRegistrationState.Name(item.state).removeprefix(
                "TAX_REGISTRATION_STATE_"
            )
            for item in answer.tax_status.registrations
        }

    assert await states() == {"AT": "EXPIRED", "DE": "ACTIVE", "FR": "SCHEDULED"}
    guard.clock.advance(day)
    assert await states() == {"AT": "EXPIRED", "DE": "EXPIRED", "FR": "ACTIVE"}


async def test_who_has_no_account_has_no_snapshot(guard: Guard) -> None:
    merchant = await guard.merchant(account=None)
    for subject_id, reason in ((merchant, "ACCOUNT_NOT_LINKED"), ("nobody", "SUBJECT_NOT_FOUND")):
        for call in (
            guard.requirements.GetAccountSnapshot(
                pb.GetAccountSnapshotRequest(merchant_id=subject_id)
            ),
            guard.requirements.RefreshAccountSnapshot(
                pb.RefreshAccountSnapshotRequest(merchant_id=subject_id)
            ),
            guard.requirements.GetTaxStatus(pb.GetTaxStatusRequest(merchant_id=subject_id)),
        ):
            error = await failure(call)
            assert (error.reason, error.metadata["subject_id"]) == (reason, subject_id)


async def test_a_refresh_without_the_gateway_is_unavailable(guard: Guard) -> None:
    merchant = await guard.merchant()
    guard.merchants.is_down = True
    error = await failure(refresh(guard, merchant))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE")
    assert error.metadata == {"dependency": "gateway"}


async def test_an_unlinked_account_needs_no_snapshot_any_more(guard: Guard) -> None:
    merchant = await guard.merchant()
    subject = await guard.subjects.GetSubject(
        subject_service_pb2.GetSubjectRequest(subject_id=merchant)
    )
    await guard.subjects.UpdateSubject(
        subject_service_pb2.UpdateSubjectRequest(
            request_id=unique("unlink"), subject_id=merchant, profile=subject.subject.profile
        )
    )
    assert codes(await guard.check(merchant)) == []
    assert guard.merchants.syncs == []
