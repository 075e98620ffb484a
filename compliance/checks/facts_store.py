"""Reads the facts of a check from the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from compliance.accounts.snapshot import AccountSnapshot
from compliance.checks.canonical import build, loads
from compliance.checks.facts import (
    AccountFacts,
    CheckFacts,
    CheckKind,
    ListFacts,
    Role,
    SubjectFacts,
)
from compliance.checks.history import CountedPayment
from compliance.checks.policy import Policy
from compliance.checks.rates import RateFacts, rate_facts
from compliance.checks.rulings import RulingFacts
from runtime.connections import Connections
from runtime.sql_files import read_sql

# Enough for any company that names its beneficial owners; with more, checks are REVIEW.
MAX_OWNERS = 50

# psycopg takes a statement apart for each call if it is longer than MAX_CACHED_STATEMENT_LENGTH of
# its `_queries.py`, 4,096; this one would be by its indentation alone.
_LOAD_FACTS = " ".join(
    line.strip()
    for line in read_sql(__file__, "load_facts").splitlines()
    if not line.lstrip().startswith("--")
)


@dataclass(frozen=True)
class CheckInput:
    """What was asked, whichever RPC asked it. The amount is in minor units."""

    kind: CheckKind
    request_id: str
    reference_id: str
    merchant_id: str
    customer_id: str
    currency_code: str
    amount_minor: int
    corridor: str
    connected_account_id: str
    country_codes: tuple[str, ...]
    payment_method_type: str = ""
    # Nobody waits for people: REVIEW opens no case.
    does_not_wait: bool = False
    # Stripe's fingerprint of the card; empty where it is not known.
    card_fingerprint: str = ""

    def to_counted(self, as_of: datetime, policy: Policy) -> CountedPayment | None:
        """How it counts if it is let through; None for what is no payment."""
        if self.kind is not CheckKind.PAYMENT:
            return None
        # A fingerprint says something within one account at Stripe only.
        card = f"{self.corridor}/{self.card_fingerprint}" if self.card_fingerprint else ""
        return CountedPayment(
            reference_id=self.reference_id,
            merchant_id=self.merchant_id,
            customer_id=self.customer_id,
            card=card,
            currency_code=self.currency_code,
            amount_minor=self.amount_minor,
            count_time=as_of,
            is_near=policy.is_near_limit(self.currency_code, self.amount_minor),
        )


@dataclass(frozen=True)
class LoadedFacts:
    """What is stored about an input; `decided_sequence` if its request_id was used before."""

    decided_sequence: int | None
    subjects: tuple[SubjectFacts, ...]
    account: AccountFacts | None
    lists: tuple[ListFacts, ...]
    ruling: RulingFacts | None
    has_open_case: bool
    rates: RateFacts | None = None

    @property
    def merchant(self) -> SubjectFacts | None:
        return next(iter(self._in_role(Role.MERCHANT)), None)

    def to_facts(
        self, asked: CheckInput, account: AccountFacts | None, as_of: datetime
    ) -> CheckFacts:
        """The facts at one time; `account` may be younger than what was loaded."""
        owners = self._in_role(Role.OWNER)
        return CheckFacts(
            kind=asked.kind,
            merchant_id=asked.merchant_id,
            customer_id=asked.customer_id,
            currency_code=asked.currency_code,
            amount_minor=asked.amount_minor,
            corridor=asked.corridor,
            connected_account_id=asked.connected_account_id,
            country_codes=asked.country_codes,
            merchant=self.merchant,
            owners=owners[:MAX_OWNERS],
            owners_truncated=len(owners) > MAX_OWNERS,
            customer=next(iter(self._in_role(Role.CUSTOMER)), None),
            account=account,
            lists=self.lists,
            as_of=as_of,
            payment_method_type=asked.payment_method_type,
            reference_id=asked.reference_id,
            ruling=self.ruling,
            card_fingerprint=asked.card_fingerprint,
            rates=self.rates,
        )

    def _in_role(self, role: Role) -> tuple[SubjectFacts, ...]:
        return tuple(subject for subject in self.subjects if subject.role is role)


async def load_facts(
    connections: Connections, asked: CheckInput, list_names: Sequence[str]
) -> LoadedFacts:
    """What is stored about the input, as of one moment; of lists those of the names."""
    (row,) = await connections.fetch(
        _LOAD_FACTS,
        {
            "request_id": asked.request_id,
            "merchant_id": asked.merchant_id,
            "customer_id": asked.customer_id,
            "connected_account_id": asked.connected_account_id,
            "max_owners": MAX_OWNERS + 1,
            "kind": asked.kind.value,
            "reference_id": asked.reference_id,
        },
    )
    return LoadedFacts(
        decided_sequence=row.decided_sequence,
        subjects=tuple(build(subject, SubjectFacts) for subject in row.subjects),
        account=None if row.account is None else _account(row.account),
        lists=_lists(row.lists, list_names),
        ruling=None if row.ruling is None else loads(row.ruling, RulingFacts),
        has_open_case=row.has_open_case,
        rates=None if row.rates is None else rate_facts(row.rates, asked.currency_code),
    )


def _account(row: dict[str, Any]) -> AccountFacts:
    return build(row, AccountSnapshot).to_facts(row["content_hash"])


def _lists(rows: list[dict[str, Any]], names: Sequence[str]) -> tuple[ListFacts, ...]:
    """Each list that subjects have to be screened against; without a version if none was loaded.

    One that the operator took out of the settings is not looked at any more.
    """
    active = {row["list"]: build(row, ListFacts) for row in rows}
    return tuple(active.get(name, ListFacts(name, 0, None)) for name in sorted(names))
