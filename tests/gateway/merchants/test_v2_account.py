"""Accounts of the v2 API: their requirements in the snapshot's one form, and how they get there."""

import asyncio
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.merchants.snapshot import snapshot_of
from gateway.merchants.v2_account import requirements_of_v2, with_v2
from gateway.v1 import merchant_pb2
from gateway.v1 import merchant_service_pb2 as pb
from sandbox.stripe_twin.overrides import AccountState, PersonState
from sandbox.stripe_twin.twin import Twin
from tests.gateway.merchants.test_persons import add_person
from tests.gateway.merchants.test_snapshot import junk
from tests.gateway.running import running_gateway

CARDS = ("merchant", "card_payments")
TRANSFERS = ("recipient", "stripe_balance.stripe_transfers")


def entry(
    field: str,
    status: str = "currently_due",
    *restricts: tuple[tuple[str, str], str],
    awaits: str = "user",
    person: str = "",
    errors: tuple[str, ...] = (),
) -> dict[str, Any]:
    return {
        "awaiting_action_from": awaits,
        "description": field,
        "errors": [{"code": code, "description": "why " * 500} for code in errors],
        "impact": {
            "restricts_capabilities": [
                {"configuration": one, "capability": name, "deadline": {"status": by}}
                for (one, name), by in restricts
            ]
        },
        "minimum_deadline": {"status": status},
        "reference": {"inquiry": None, "resource": person, "type": "person"} if person else None,
        "requested_reasons": [{"code": "routine_onboarding"}],
    }


def hash_of(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"entries": list(entries), "alternatives": [], "summary": None, **more}


def account(**values: Any) -> merchant_pb2.AccountSnapshot:
    """What v1 says of an account, with what v2 says of it."""
    v1 = {
        "charges_enabled": True,
        "payouts_enabled": True,
        "requirements": {"disabled_reason": "requirements.past_due", "currently_due": ["v1.name"]},
    }
    capabilities = [
        {"id": "card_payments", "status": "active", "requested": True},
        {"id": "transfers", "status": "inactive", "requested": True}
        | {"requirements": {"disabled_reason": "pending.review", "past_due": ["v1.name"]}},
    ]
    persons = [{"id": "person_1", "requirements": {"currently_due": ["v1.name"]}}]
    known = snapshot_of(v1, capabilities, [], persons, live_mode=False, complete=True)
    return with_v2(known, values)


@pytest.mark.parametrize(
    ("status", "lists"),
    [
        ("past_due", {"past_due", "currently_due", "eventually_due"}),
        ("currently_due", {"currently_due", "eventually_due"}),
        ("eventually_due", {"eventually_due"}),
        ("a word of next year", {"currently_due", "eventually_due"}),
    ],
)
def test_each_status_is_in_v1s_lists(status: str, lists: set[str]) -> None:
    def where(values: dict[str, Any]) -> set[str]:
        found = requirements_of_v2(values)
        names = ("past_due", "currently_due", "eventually_due", "pending_verification")
        return {name for name in names if list(getattr(found, name)) == ["a"]}

    assert where(hash_of(entry("a", status))) == lists
    # Whose turn it is counts, whatever the deadline.
    assert where(hash_of(entry("a", status, awaits="stripe"))) == {"pending_verification"}


def test_an_entry_is_named_after_its_person() -> None:
    found = requirements_of_v2(
        hash_of(
            entry("dob.day", person="person_1", errors=("invalid_dob",)),
            entry("person_2.email", person="person_2"),
            entry("phone", person="pm_1"),
            entry(""),
        )
    )
    assert list(found.currently_due) == ["person_1.dob.day", "person_2.email", "phone"]
    (error,) = found.errors
    assert (error.code, error.requirement) == ("invalid_dob", "person_1.dob.day")
    assert len(error.reason) == 1024


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2027-01-15T08:00:00.000Z", 1_800_000_000),
        ("2027-01-15T09:00:00+01:00", 1_800_000_000),
        ("soon", None),
        (None, None),
        (7, None),
    ],
)
def test_the_deadline_is_the_summarys(time: Any, seconds: int | None) -> None:
    said = hash_of(summary={"minimum_deadline": {"status": "currently_due", "time": time}})
    found = requirements_of_v2(said)
    assert found.HasField("current_deadline_time") == (seconds is not None)
    assert found.current_deadline_time.seconds == (seconds or 0)


def test_alternatives_are_options_and_what_is_handed_in_for_one_is_being_verified() -> None:
    said = hash_of(
        entry("a", "currently_due", (CARDS, "currently_due")),
        entry("b", "currently_due", (TRANSFERS, "past_due")),
        alternatives=[
            {
                "original_entries": [{"description": "a"}],
                "options": [
                    {"entries": [entry("x"), entry("y", awaits="stripe")]},
                    {"entries": [entry("z", person="person_1")]},
                    {"entries": []},
                ],
            }
        ],
    )
    found = requirements_of_v2(said)
    assert [list(one.alternative_fields_due) for one in found.alternatives] == [
        ["person_1.z"],
        ["x", "y"],
    ]
    assert {tuple(one.original_fields_due) for one in found.alternatives} == {("a",)}
    assert list(found.pending_verification) == ["y"]
    # Of a capability that does not wait for the original, they are none.
    transfers = requirements_of_v2(said, "transfers")
    assert (list(transfers.past_due), list(transfers.alternatives)) == (["b"], [])
    assert list(transfers.pending_verification) == []


def test_capabilities_have_v1s_names_and_what_restricts_them() -> None:
    found = account(
        requirements=hash_of(
            entry("a", "past_due", (CARDS, "currently_due"), (TRANSFERS, "past_due")),
            entry("dob.day", "eventually_due", person="person_1"),
        ),
        future_requirements=hash_of(entry("b", "currently_due", (CARDS, "currently_due"))),
        configuration={
            "customer": None,
            "merchant": {
                "capabilities": {
                    "card_payments": {"status": "restricted", "status_details": []},
                    "ach_debit_payments": {"status": "pending"},
                    "stripe_balance": {"payouts": {"status": "restricted"}},
                }
            },
            "recipient": {
                "capabilities": {
                    "stripe_balance": {
                        "stripe_transfers": {"status": "rejected"},
                        "payouts": {"status": "active"},
                    }
                }
            },
        },
    )
    assert found.from_v2
    assert {
        item.name: merchant_pb2.CapabilityState.Name(item.state).rsplit("_", 1)[1]
        for item in found.capabilities
    } == {
        "card_payments": "INACTIVE",
        "stripe_balance.payouts": "ACTIVE",
        "transfers": "DISABLED",
        "us_bank_account_ach_payments": "PENDING",
    }
    assert all(item.requested for item in found.capabilities)
    cards, _, transfers, _ = found.capabilities
    assert (list(cards.requirements.currently_due), list(cards.requirements.past_due)) == (
        ["a"],
        [],
    )
    assert list(cards.future_requirements.currently_due) == ["b"]
    assert list(transfers.requirements.past_due) == ["a"]
    # Why Stripe has stopped something is v1's word; what is wanted is v2's alone.
    assert transfers.requirements.disabled_reason == "pending.review"
    assert found.requirements.disabled_reason == "requirements.past_due"
    assert list(found.requirements.eventually_due) == ["a", "person_1.dob.day"]
    assert list(found.persons[0].requirements.currently_due) == []
    assert (found.charges_enabled, found.payouts_enabled) == (True, True)


def test_a_closed_account_does_nothing() -> None:
    found = account(closed=True)
    assert (found.charges_enabled, found.payouts_enabled) == (False, False)


@pytest.mark.parametrize("part", ["requirements", "future_requirements"])
@pytest.mark.parametrize("withheld", [{}, {"requirements": None, "future_requirements": None}])
def test_what_is_not_shown_of_a_v2_account_is_as_v1_has_it(
    withheld: dict[str, None], part: str
) -> None:
    """Else an account of which much is past due looked like one that nothing is wanted of."""
    known = {"disabled_reason": "requirements.past_due", "past_due": ["v1.name"]}
    v1 = snapshot_of(
        {part: known},
        [{"id": "transfers", "status": "inactive", "requested": True, part: known}],
        [],
        [{"id": "person_1", part: {"past_due": ["v1.name"]}}],
        live_mode=False,
        complete=True,
    )
    found = with_v2(v1, withheld)
    assert found.from_v2
    found.from_v2 = False
    assert found == v1


def test_another_order_is_no_change() -> None:
    entries = [entry(name, errors=(name, "other")) for name in ("a", "b", "c")]
    alternatives = [
        {
            "original_entries": [{"description": name}],
            "options": [{"entries": [entry(f"{name}{option}")]} for option in (2, 1)],
        }
        for name in ("a", "b")
    ]
    one = requirements_of_v2(hash_of(*entries, alternatives=alternatives))
    other = requirements_of_v2(hash_of(*entries[::-1], alternatives=alternatives[::-1]))
    assert one == other
    assert (len(one.errors), len(one.alternatives)) == (6, 4)


@given(
    st.dictionaries(
        st.sampled_from(["requirements", "future_requirements", "configuration", "closed"]),
        junk
        | st.fixed_dictionaries({"entries": junk, "alternatives": junk, "summary": junk})
        | st.fixed_dictionaries({"merchant": st.fixed_dictionaries({"capabilities": junk})}),
    )
)
def test_no_v2_account_breaks_it(values: dict[str, Any]) -> None:
    assert account(**values) == account(**values)


V2_MERCHANT = {
    "contact_email": "ada@shop.test",
    "identity": {"country": "de", "entity_type": "company"},
    "configuration": {"merchant": {"capabilities": {"card_payments": {"requested": True}}}},
}


async def test_an_account_is_fetched_as_v2_from_its_first_v2_event_on(
    database_url: str, twin: Twin
) -> None:
    # Nothing but thin events tells of what happens.
    async with running_gateway(database_url, twin, webhooks=False) as gateway:
        url = f"http://127.0.0.1:{gateway.http_port}/webhooks/stripe/default"
        account_id = await v2_account(twin)
        attach = pb.CreateMerchantRequest(
            request_id="attach-1", merchant_id="shop-1", connected_account_id=account_id
        )
        merchant = (await gateway.merchants.CreateMerchant(attach)).merchant
        assert not merchant.snapshot.from_v2
        person_id = await add_person(twin, account_id)
        twin.register_webhook(
            url, thin=True, enabled_events=["v2.core.account[requirements].updated"]
        )
        feed = gateway.merchants.WatchMerchants(
            pb.WatchMerchantsRequest(after_sequence=merchant.snapshot.sequence)
        )

        async def seen() -> merchant_pb2.AccountSnapshot:
            async with asyncio.timeout(20):
                snapshot: merchant_pb2.AccountSnapshot = (await feed.read()).merchant.snapshot
            return snapshot

        fields = ["company.tax_id", f"{person_id}.dob.day"]
        due = {
            "currently_due": fields,
            "eventually_due": fields,
            "current_deadline": 1_900_000_000,
            "pending_verification": ["company.name"],
        }
        state = AccountState.model_validate({"charges_enabled": True, "requirements": due})
        twin.override_account(account_id, state)
        snapshot = await seen()
        assert snapshot.from_v2
        assert list(snapshot.requirements.currently_due) == fields
        assert list(snapshot.requirements.pending_verification) == ["company.name"]
        assert snapshot.requirements.current_deadline_time.seconds == 1_900_000_000
        assert snapshot.charges_enabled
        (cards,) = snapshot.capabilities
        assert list(cards.requirements.currently_due) == fields
        # One about a person points at the person, and is about the account all the same.
        twin.register_webhook(url, thin=True, enabled_events=["v2.core.account_person.updated"])
        twin.override_person(person_id, PersonState(status="pending"))
        (person,) = (await seen()).persons
        assert person.verification_state == merchant_pb2.PERSON_VERIFICATION_STATE_PENDING
        feed.cancel()
        # It stays a v2 account, whoever asks.
        path = f"/v2/core/accounts/{account_id}"
        before = len(twin.requests.matching(method="GET", path=path))
        await gateway.merchants.SyncMerchant(pb.SyncMerchantRequest(merchant_id="shop-1"))
        assert len(twin.requests.matching(method="GET", path=path)) == before + 1


@pytest.mark.parametrize("awaits", ["user", "stripe"])
def test_v2_requirements_that_are_cut_say_so(awaits: str) -> None:
    entries = [entry(f"field_{number:03}", awaits=awaits) for number in range(501)]
    assert not requirements_of_v2(hash_of(*entries[:500])).truncated
    cut = requirements_of_v2(hash_of(*entries))
    assert cut.truncated
    assert len(cut.pending_verification if awaits == "stripe" else cut.currently_due) == 500
    wide = {"original_entries": entries[:1], "options": [{"entries": entries}]}
    assert requirements_of_v2(hash_of(entries[0], alternatives=[wide])).truncated
    many = {"original_entries": entries[:1], "options": [{"entries": entries[1:2]}] * 201}
    assert requirements_of_v2(hash_of(entries[0], alternatives=[many])).truncated
    errors = entry("tax_id", errors=("wrong",) * 201)
    assert requirements_of_v2(hash_of(errors)).truncated


async def v2_account(twin: Twin) -> str:
    headers = {"Authorization": f"Bearer {twin.account().secret_key}", "Idempotency-Key": "v2"}
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{twin.url}/v2/core/accounts", json=V2_MERCHANT, headers=headers) as response,
    ):
        return str((await response.json())["id"])
