"""Persons of a connected account: what is wanted of them, in the account's words."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from compliance.accounts.persons import Person, joined, lists_of_person
from compliance.accounts.requirements import (
    CURRENTLY_DUE,
    EVENTUALLY_DUE,
    PENDING_VERIFICATION,
    Requirement,
    RequirementLists,
    merge,
)
from compliance.forecast.rules import DEFAULT_REVIEW_TIME, Ground, Kind, Standing
from compliance.v1 import requirement_pb2
from compliance.v1 import requirement_service_pb2 as pb
from gateway.v1 import merchant_pb2
from gateway.v1.merchant_requirements_pb2 import Requirements
from tests.compliance.conftest import START
from tests.compliance.guard import Guard, codes, unique
from tests.compliance.test_freeze_rules import told
from tests.compliance.test_requirement_merge import lists

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
DEADLINE, LATER = NOW + DAY, NOW + 30 * DAY


def person(**changes: Any) -> Person:
    values = {
        "person_id": "person_1",
        "roles": ("owner",),
        "verification": "UNVERIFIED",
        "verification_codes": (),
        "is_individual": False,
        **changes,
    }
    return Person(**values)


def wanted(
    who: Person,
    now: RequirementLists | None = None,
    later: RequirementLists | None = None,
    account: tuple[RequirementLists, ...] | None = None,
) -> dict[str, Requirement]:
    """All requirements of an account with this one person, by field."""
    said = account or (lists(deadline_time=DEADLINE), lists(future=True, deadline_time=LATER))
    of_person = lists_of_person(who, now or lists(), later or lists(future=True), said)
    return {item.field: item for item in joined(merge([*said, *of_person]), [who])}


def test_a_persons_lists_have_the_accounts_names_and_deadlines() -> None:
    found = wanted(
        person(),
        lists(currently_due=["dob.day"], eventually_due=["dob.day", "id_number"]),
        lists(future=True, currently_due=["verification.document"]),
    )
    due = found["person_1.dob.day"]
    assert (due.severity, due.deadline_time, due.person_id) == (CURRENTLY_DUE, DEADLINE, "person_1")
    assert found["person_1.id_number"].deadline_time is None
    future = found["person_1.verification.document"]
    assert (future.severity, future.future, future.deadline_time) == (EVENTUALLY_DUE, True, LATER)


def test_what_both_say_is_one_requirement_with_the_worst() -> None:
    account = (
        lists(currently_due=["person_1.dob.day"], deadline_time=DEADLINE),
        lists(capability="transfers", eventually_due=["person_1.dob.day"]),
    )
    found = wanted(person(), lists(pending_verification=["dob.day"]), account=account)
    assert list(found) == ["person_1.dob.day"]
    assert found["person_1.dob.day"].severity == CURRENTLY_DUE
    assert found["person_1.dob.day"].capabilities == ("transfers",)


def test_the_individual_has_the_accounts_words() -> None:
    who = person(is_individual=True)
    account = (lists(currently_due=["individual.email"], deadline_time=DEADLINE),)
    said = lists(currently_due=["email", "person_1.dob.day"], errors=[("person_1.dob.day", "bad")])
    found = wanted(who, said, account=account)
    assert sorted(found) == ["individual.dob.day", "individual.email"]
    assert {item.person_id for item in found.values()} == {"person_1"}
    assert found["individual.dob.day"].error_codes == ("bad",)


@pytest.mark.parametrize(
    ("changes", "said", "expected"),
    [
        ({"verification": "PENDING"}, {}, {"person_1.verification": PENDING_VERIFICATION}),
        (
            {"verification": "PENDING", "is_individual": True},
            {},
            {"individual.verification": PENDING_VERIFICATION},
        ),
        # Stripe says what for.
        (
            {"verification": "PENDING"},
            {"pending_verification": ["verification.document"]},
            {"person_1.verification.document": PENDING_VERIFICATION},
        ),
        ({"verification": "VERIFIED"}, {}, {}),
        # Not being verified is nothing that is wanted, by itself.
        ({"verification": "UNVERIFIED"}, {}, {}),
        ({"verification": "UNRECOGNIZED"}, {}, {}),
    ],
)
def test_who_is_being_verified_waits_for_it(
    changes: dict[str, Any], said: dict[str, Any], expected: dict[str, int]
) -> None:
    found = wanted(person(**changes), lists(**said))
    assert {field: item.severity for field, item in found.items()} == expected
    assert all(item.deadline_time == DEADLINE for item in found.values())


def test_a_verification_that_the_account_names_is_not_said_twice() -> None:
    account = (lists(pending_verification=["person_1.id_number"], deadline_time=DEADLINE),)
    assert list(wanted(person(verification="PENDING"), account=account)) == ["person_1.id_number"]
    # Another's is another's, and one of the future is none now.
    other = (
        lists(pending_verification=["person_12.id_number"]),
        lists(future=True, pending_verification=["person_1.id_number"], deadline_time=LATER),
    )
    assert "person_1.verification" in wanted(person(verification="PENDING"), account=other)


def test_a_forecast_waits_for_a_person_who_is_being_verified() -> None:
    (waits,) = wanted(person(verification="PENDING")).values()
    as_of = DEADLINE - DEFAULT_REVIEW_TIME / 2
    found = told(Standing(waits, since=as_of), as_of=as_of)
    assert {kind: item.is_alarm for kind, item in found.items()} == dict.fromkeys(Kind, True)
    for item in found.values():
        assert item.expected_time == DEADLINE
        assert [(cause.ground, cause.field) for cause in item.causes] == [
            (Ground.UNVERIFIED, "person_1.verification")
        ]
    assert wanted(person(verification="VERIFIED")) == {}


def test_what_is_about_nobody_known_has_no_person() -> None:
    account = (lists(currently_due=["company.tax_id", "owners.email", "person_2.email"]),)
    assert {item.person_id for item in wanted(person(), account=account).values()} == {""}


async def merchant_with_person(
    guard: Guard, said: merchant_pb2.AccountPerson, days: float, **more: Any
) -> str:
    account = unique("acct").replace("-", "_")
    requirements = Requirements()
    requirements.current_deadline_time.FromDatetime(START + timedelta(days=days))
    guard.merchants.add(account, requirements=requirements, persons=[said], **more)
    return await guard.merchant(account=account)


PENDING = merchant_pb2.AccountPerson(
    id="person_1",
    roles=["owner", "representative"],
    verification_state=merchant_pb2.PERSON_VERIFICATION_STATE_PENDING,
    verification_codes=["document_expired", "brand_new"],
)


async def test_a_person_being_verified_is_seen_in_snapshot_and_verdict(guard: Guard) -> None:
    merchant = await merchant_with_person(guard, PENDING, days=3)
    shown = (
        await guard.requirements.RefreshAccountSnapshot(
            pb.RefreshAccountSnapshotRequest(merchant_id=merchant)
        )
    ).snapshot
    (who,) = shown.persons
    assert (who.person_id, list(who.roles)) == ("person_1", ["owner", "representative"])
    assert who.verification_state == requirement_pb2.PERSON_VERIFICATION_STATE_PENDING
    assert [one.known for one in who.verification_guidance] == [True, False]
    (waits,) = shown.requirements
    assert (waits.field, waits.person_id) == ("person_1.verification", "person_1")
    assert waits.state == requirement_pb2.REQUIREMENT_STATE_PENDING_VERIFICATION
    assert waits.guidance.words == "Stripe is checking who the person is."
    assert codes(await guard.check(merchant)) == ["REQUIREMENT_DUE_SOON"]
    # Nothing is known of the person but the id: who it is is Stripe's to know.
    with psycopg.connect(guard.database_url) as connection:
        rows = connection.execute("SELECT content->'persons'->0 FROM account_snapshot").fetchall()
    assert [sorted(row[0]) for row in rows] == [
        ["is_individual", "person_id", "roles", "verification", "verification_codes"]
    ]


async def test_persons_that_stripe_withholds_are_told_so(guard: Guard) -> None:
    account = unique("acct").replace("-", "_")
    guard.merchants.add(account, persons_withheld=True)
    merchant = await guard.merchant(account=account)
    shown = await guard.requirements.RefreshAccountSnapshot(
        pb.RefreshAccountSnapshotRequest(merchant_id=merchant)
    )
    assert shown.snapshot.persons_withheld
    assert list(shown.snapshot.persons) == []
