"""What is made of Stripe's objects, whatever is in them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.merchants.snapshot import content_of, hash_of, requirements_of, snapshot_of
from gateway.merchants.tax import tax_id_of, tax_registration_of, tax_settings_of
from gateway.v1 import merchant_pb2
from gateway.v1 import merchant_tax_pb2 as tax

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ACCOUNT: dict[str, Any] = {
    "id": "acct_1",
    "charges_enabled": True,
    "payouts_enabled": False,
    "country": "DE",
    "default_currency": "eur",
    "company": {"name": "Meier GmbH"},
    "business_profile": {"name": "Blumen Meier", "mcc": "5992"},
    "settings": {"payouts": {"schedule": {"interval": "weekly"}}},
    "requirements": {
        "currently_due": ["b", "a", "a"],
        "past_due": ["a"],
        "current_deadline": 1_800_000_000,
        "disabled_reason": "requirements.past_due",
        "alternatives": [{"original_fields_due": ["a"], "alternative_fields_due": ["c", "d"]}],
        "errors": [{"code": "invalid_tax_id", "reason": "x" * 5000, "requirement": "a"}],
    },
    "future_requirements": None,
}
BANK = {"id": "ba_1", "object": "bank_account", "currency": "eur", "last4": "3000"}


def snapshot(account: dict[str, Any] = ACCOUNT, **changes: Any) -> merchant_pb2.AccountSnapshot:
    values: dict[str, Any] = {
        "capabilities": [],
        "external_accounts": [],
        "persons": [],
        "live_mode": False,
        "complete": True,
    }
    values |= changes
    return snapshot_of(
        account,
        values.pop("capabilities"),
        values.pop("external_accounts"),
        values.pop("persons"),
        **values,
    )


def test_requirements_are_taken_over_sorted_and_bounded() -> None:
    found = snapshot()
    assert list(found.requirements.currently_due) == ["a", "b"]
    assert found.requirements.current_deadline_time.seconds == 1_800_000_000
    assert len(found.requirements.errors[0].reason) == 1024
    assert list(found.requirements.alternatives[0].alternative_fields_due) == ["c", "d"]
    assert not found.future_requirements.HasField("current_deadline_time")
    assert found.company_name == "Meier GmbH"
    assert found.merchant_category_code == "5992"
    assert found.default_currency_code == "EUR"
    assert found.payout_interval == "weekly"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("errored", merchant_pb2.EXTERNAL_ACCOUNT_STATE_ERRORED),
        ("new", merchant_pb2.EXTERNAL_ACCOUNT_STATE_NEW),
        (
            "tokenized_account_number_deactivated",
            merchant_pb2.EXTERNAL_ACCOUNT_STATE_DEACTIVATED,
        ),
        ("a word of next year", merchant_pb2.EXTERNAL_ACCOUNT_STATE_UNRECOGNIZED),
        (None, merchant_pb2.EXTERNAL_ACCOUNT_STATE_UNRECOGNIZED),
    ],
)
def test_bank_accounts_that_payouts_cannot_reach_are_seen(status: Any, state: Any) -> None:
    found = snapshot(external_accounts=[{**BANK, "status": status}])
    assert found.external_accounts[0].state == state


PERSON: dict[str, Any] = {
    "id": "person_1",
    "first_name": "Ada",
    "dob": {"day": 10, "month": 12, "year": 1815},
    "relationship": {"owner": True, "representative": True, "director": False, "title": "CEO"},
    "requirements": {"currently_due": ["verification.document"], "current_deadline": 9},
    "future_requirements": {"eventually_due": ["id_number"]},
    "verification": {
        "status": "unverified",
        "details": "Ada could not be verified",
        "details_code": "failed_keyed_identity",
        "document": {"details_code": "document_expired"},
        "additional_document": {"details_code": None},
    },
}


def test_persons_are_known_by_what_is_wanted_of_them_and_not_by_who_they_are() -> None:
    found = snapshot(persons=[PERSON])
    (person,) = found.persons
    assert (person.id, list(person.roles)) == ("person_1", ["owner", "representative"])
    assert person.verification_state == merchant_pb2.PERSON_VERIFICATION_STATE_UNVERIFIED
    assert list(person.verification_codes) == ["document_expired", "failed_keyed_identity"]
    assert list(person.requirements.currently_due) == ["verification.document"]
    assert list(person.future_requirements.eventually_due) == ["id_number"]
    assert not person.individual
    assert not found.persons_withheld
    assert "Ada" not in content_of(found)
    assert "1815" not in content_of(found)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("pending", merchant_pb2.PERSON_VERIFICATION_STATE_PENDING),
        ("verified", merchant_pb2.PERSON_VERIFICATION_STATE_VERIFIED),
        ("a word of next year", merchant_pb2.PERSON_VERIFICATION_STATE_UNRECOGNIZED),
        (None, merchant_pb2.PERSON_VERIFICATION_STATE_UNRECOGNIZED),
    ],
)
def test_only_stripes_word_makes_a_person_verified(status: Any, state: Any) -> None:
    found = snapshot(persons=[{**PERSON, "verification": {"status": status}}])
    assert found.persons[0].verification_state == state


@pytest.mark.parametrize(
    ("account", "persons", "individual"),
    [
        ({"business_type": "individual", "individual": {"id": "person_2"}}, 3, ["person_2"]),
        ({"business_type": "individual"}, 1, ["person_0"]),
        ({"business_type": "individual"}, 2, []),
        ({"business_type": "company", "individual": {"id": "person_0"}}, 1, []),
    ],
)
def test_whose_own_business_an_account_is(
    account: dict[str, Any], persons: int, individual: list[str]
) -> None:
    found = snapshot(account, persons=[{"id": f"person_{number}"} for number in range(persons)])
    assert [person.id for person in found.persons if person.individual] == individual


def test_persons_that_stripe_does_not_show_and_those_beyond_the_limit_are_admitted() -> None:
    withheld = snapshot(persons=None)
    assert withheld.persons_withheld
    assert not withheld.truncated
    many = [{"id": f"person_{number:03}"} for number in range(501)]
    assert not snapshot(persons=many[:500]).truncated
    crowded = snapshot(persons=many)
    assert crowded.truncated
    assert len(crowded.persons) == 500


def test_words_of_next_year_are_not_taken_for_usable() -> None:
    found = snapshot(capabilities=[{"id": "card_payments", "status": "restricted"}])
    assert found.capabilities[0].state == merchant_pb2.CAPABILITY_STATE_UNRECOGNIZED


def test_what_was_not_fetched_is_admitted() -> None:
    assert not snapshot().truncated
    assert snapshot(complete=False).truncated
    many = [{**BANK, "id": f"ba_{number}", "status": "new"} for number in range(101)]
    crowded = snapshot(external_accounts=many)
    assert crowded.truncated
    assert len(crowded.external_accounts) == 100


FIELDS = [f"field_{number:03}" for number in range(501)]


@pytest.mark.parametrize(
    ("most", "one_more"),
    [
        *(
            ({name: FIELDS[:500]}, {name: FIELDS})
            for name in ("currently_due", "past_due", "eventually_due", "pending_verification")
        ),
        ({"alternatives": [{}] * 200}, {"alternatives": [{}] * 201}),
        ({"errors": [{}] * 200}, {"errors": [{}] * 201}),
        (
            {"alternatives": [{"alternative_fields_due": FIELDS[:500]}]},
            {"alternatives": [{"alternative_fields_due": FIELDS}]},
        ),
        # The same field again is no more.
        ({"past_due": FIELDS[:500] * 2}, {"past_due": FIELDS * 2}),
    ],
)
def test_requirements_that_are_cut_say_so(most: dict[str, Any], one_more: dict[str, Any]) -> None:
    assert not requirements_of(most).truncated
    assert requirements_of(one_more).truncated
    found = snapshot({"future_requirements": one_more})
    assert (found.requirements.truncated, found.future_requirements.truncated) == (False, True)


def test_order_at_stripe_does_not_change_the_content() -> None:
    one, other = {"id": "a", "status": "active"}, {"id": "b", "status": "active"}
    assert content_of(snapshot(capabilities=[one, other])) == content_of(
        snapshot(capabilities=[other, one])
    )
    assert hash_of(content_of(snapshot())) != hash_of(
        content_of(snapshot({**ACCOUNT, "country": "FR"}))
    )


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(st.sampled_from([*ACCOUNT, "external_accounts"]), junk),
    st.lists(
        st.dictionaries(
            st.sampled_from(["id", "status", "requirements", "verification", "relationship"]), junk
        ),
        max_size=3,
    ),
)
def test_no_account_breaks_it(account: dict[str, Any], capabilities: list[dict[str, Any]]) -> None:
    said = dict.fromkeys(("capabilities", "external_accounts", "persons"), capabilities)
    assert content_of(snapshot(account, **said)) == content_of(snapshot(account, **said))


@given(st.dictionaries(st.sampled_from(["currently_due", "alternatives", "errors"]), junk))
def test_no_requirements_break_it(values: dict[str, Any]) -> None:
    found = requirements_of(values)
    assert list(found.currently_due) == sorted(set(found.currently_due))


@pytest.mark.parametrize(
    ("verification", "state"),
    [
        (None, tax.TAX_ID_VERIFICATION_STATE_NOT_CHECKED),
        ({"status": "pending"}, tax.TAX_ID_VERIFICATION_STATE_PENDING),
        ({"status": "verified"}, tax.TAX_ID_VERIFICATION_STATE_VERIFIED),
        ({"status": "unverified"}, tax.TAX_ID_VERIFICATION_STATE_UNVERIFIED),
        ({"status": "unavailable"}, tax.TAX_ID_VERIFICATION_STATE_UNAVAILABLE),
        ({"status": "soon"}, tax.TAX_ID_VERIFICATION_STATE_UNRECOGNIZED),
    ],
)
def test_verification_has_five_values_and_one_more(verification: Any, state: Any) -> None:
    assert tax_id_of({"verification": verification}, NOW).verification_state == state


def test_regions_are_found_where_each_country_keeps_them() -> None:
    us = {"country": "US", "country_options": {"us": {"state": "CA", "type": "state_sales_tax"}}}
    ca = {
        "country": "CA",
        "country_options": {
            "ca": {"province_standard": {"province": "QC"}, "type": "province_standard"}
        },
    }
    assert tax_registration_of(us, NOW).region == "CA"
    assert tax_registration_of(ca, NOW).region == "QC"
    assert tax_registration_of({}, NOW).state == tax.TAX_REGISTRATION_STATE_UNRECOGNIZED


def test_settings_without_anything_are_not_ready() -> None:
    assert tax_settings_of({}, NOW).state == tax.TAX_SETTINGS_STATE_UNRECOGNIZED
