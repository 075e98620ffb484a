"""Facts of checks are read together, and each check gets what it would get alone."""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg._queries import MAX_CACHED_STATEMENT_LENGTH

from compliance.checks.facts import CheckKind, Role
from compliance.checks.facts_store import (
    LOAD_FACTS,
    MAX_OWNERS,
    MAX_STATEMENT_LENGTH,
    CheckInput,
    LoadedFacts,
    found_in,
    load_facts,
    loaded_of,
    lookups_of,
)
from compliance.v1 import subject_pb2
from runtime import arrays
from runtime.connections import Connections
from tests.compliance.guard import Guard, unique

LISTS = ("OFAC_SDN", "UN_CONSOLIDATED")


def test_the_statement_is_not_taken_apart_for_each_call() -> None:
    assert MAX_STATEMENT_LENGTH == MAX_CACHED_STATEMENT_LENGTH
    assert len(LOAD_FACTS) <= MAX_STATEMENT_LENGTH


def connections_to(url: str) -> Connections:
    return Connections(
        url,
        role="compliance_service",
        size=1,
        application_name="test",
        prepare=arrays.register,
    )


async def together(url: str, batch: Sequence[CheckInput]) -> list[LoadedFacts]:
    """The facts of a batch, read as the decision log reads them."""
    connections = connections_to(url)
    found = found_in(await connections.fetch(LOAD_FACTS, lookups_of(batch)))
    await connections.close()
    return [loaded_of(one, found, LISTS) for one in batch]


def asked(merchant: str, customer: str = "", **changes: Any) -> CheckInput:
    fields = {
        "kind": CheckKind.PAYMENT,
        "request_id": unique("req"),
        "reference_id": unique("pay"),
        "merchant_id": merchant,
        "customer_id": customer,
        "currency_code": "EUR",
        "amount_minor": 1_000,
        "corridor": "main",
        "connected_account_id": "",
        "country_codes": (),
    }
    return CheckInput(**{**fields, **changes})


async def owner(guard: Guard, merchant: str, name: str = "Erika Wohlbekannt") -> str:
    return await guard.subject(
        subject_pb2.SUBJECT_KIND_OWNER,
        name,
        parent=merchant,
        entity_kind=subject_pb2.ENTITY_KIND_INDIVIDUAL,
    )


async def inputs(guard: Guard) -> list[CheckInput]:
    """Checks of all kinds: of known and unknown subjects, owners, accounts, cases."""
    plain, owned = await guard.merchant(account=None), await guard.merchant()
    matched = await guard.merchant("Synthetic Blocked Trading Company")
    customers = [await guard.customer() for _ in range(2)]
    for _ in range(3):
        await owner(guard, owned)
    waits = await guard.check(matched, customer_id=customers[0])
    # Asks for the account.
    await guard.check(owned)
    with psycopg.connect(guard.database_url) as connection:
        row = connection.execute(
            "SELECT connected_account_id FROM subject WHERE subject_id = %s", [owned]
        ).fetchone()
    assert row is not None
    return [
        asked(plain, customers[0]),
        asked(owned, customers[1]),
        asked(plain, connected_account_id=row[0]),
        asked(plain, connected_account_id="acct_nowhere"),
        asked(matched, customers[0], reference_id=waits.reference_id),
        asked(matched, kind=CheckKind.PAYOUT, reference_id=waits.reference_id),
        # What is a customer is asked for as a merchant as well, and the other way round.
        asked(customers[0], owned),
        asked("sub-nobody", "sub-nobody"),
        asked(owned, "sub-nobody", kind=CheckKind.TRANSFER),
    ]


async def test_each_check_gets_what_it_would_get_alone(guard: Guard) -> None:
    batch = await inputs(guard)
    connections = connections_to(guard.database_url)
    alone = [await load_facts(connections, one, LISTS) for one in batch]
    await connections.close()
    assert await together(guard.database_url, batch) == alone

    plain, owned, named, nowhere, waits, payout, turned, nobody, _ = alone
    assert [subject.role for subject in plain.subjects] == [Role.MERCHANT, Role.CUSTOMER]
    assert [subject.role for subject in owned.subjects] == [
        *(Role.MERCHANT, Role.OWNER, Role.OWNER, Role.OWNER, Role.CUSTOMER)
    ]
    owners = [one.subject_id for one in owned.subjects if one.role is Role.OWNER]
    assert owners == sorted(owners, key=lambda name: int(name.removeprefix("sub-")))
    assert owned.account is not None
    assert (plain.account, named.account, nowhere.account) == (None, owned.account, None)
    assert (waits.has_open_case, payout.has_open_case) == (True, False)
    assert [subject.role for subject in turned.subjects] == [Role.MERCHANT, Role.CUSTOMER]
    assert (nobody.subjects, nobody.account) == ((), None)
    assert [(item.list, item.version) for item in nobody.lists] == [
        ("OFAC_SDN", 1),
        ("UN_CONSOLIDATED", 0),
    ]


async def test_owners_are_cut_off_one_after_the_most(guard: Guard) -> None:
    merchant, other = [await guard.merchant(account=None) for _ in range(2)]
    first = await owner(guard, merchant)
    copies = """
        INSERT INTO subject (
            subject_id, kind, legal_name, aliases, entity_kind, birth_date, country_code,
            parent_subject_id, state, kyc_state, revision, profile_revision, create_time,
            update_time
        )
        SELECT subject_id || '-' || n, kind, legal_name, aliases, entity_kind, birth_date,
            country_code, parent_subject_id, state, kyc_state, revision, profile_revision,
            create_time, update_time
        FROM subject CROSS JOIN generate_series(1, %s) AS n
        WHERE subject_id = %s
    """
    with psycopg.connect(guard.database_url) as connection:
        connection.execute(copies, [MAX_OWNERS + 9, first])
    found, none = await together(guard.database_url, [asked(merchant), asked(other)])
    assert len(found.subjects) == 1 + MAX_OWNERS + 1
    assert len(none.subjects) == 1
