"""Reads the facts of checks from the database: those of a batch with one statement.

For one check, the statement costs more than all that it finds.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
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
from compliance.checks.history import CountedPayment, HistoryFacts
from compliance.checks.policy import Policy
from compliance.checks.rates import RateFacts, rate_facts
from compliance.checks.rulings import RulingFacts
from runtime.arrays import texts
from runtime.connections import Connections
from runtime.sql_files import read_sql

# Enough for any company that names its beneficial owners; with more, checks are REVIEW.
MAX_OWNERS = 50
# Subjects and accounts that are remembered as they were last read: of merchants, mostly.
MAX_REMEMBERED = 1_024

# psycopg takes a statement apart for each call if it is longer than this
# (MAX_CACHED_STATEMENT_LENGTH of its `_queries.py`); this one would be by its indentation alone.
MAX_STATEMENT_LENGTH = 4_096
_LINES = (line.strip() for line in read_sql(__file__, "load_facts").splitlines())
LOAD_FACTS = (
    " ".join(line for line in _LINES if not line.startswith("--"))
    .replace("( ", "(")
    .replace(" )", ")")
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
    """What is stored about an input."""

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
        self,
        asked: CheckInput,
        account: AccountFacts | None,
        as_of: datetime,
        history: tuple[HistoryFacts, ...],
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
            history=history,
            card_fingerprint=asked.card_fingerprint,
            rates=self.rates,
        )

    def _in_role(self, role: Role) -> tuple[SubjectFacts, ...]:
        return tuple(subject for subject in self.subjects if subject.role is role)


# What `LOAD_FACTS` has found: part and key, and what there is in order.
Found = Mapping[tuple[str, str], Sequence[str]]


def lookups_of(batch: Sequence[CheckInput]) -> dict[str, Any]:
    """What to ask `LOAD_FACTS` for, each once; the connection knows `runtime.arrays`."""
    merchants = {asked.merchant_id for asked in batch}
    customers = {asked.customer_id for asked in batch if asked.customer_id}
    movements = {(asked.kind.value, asked.reference_id) for asked in batch}
    return {
        "subjects": texts([*(merchants | customers)]),
        "merchants": texts([*merchants]),
        "max_owners": MAX_OWNERS + 1,
        "accounts": texts([*({asked.connected_account_id for asked in batch} - {""})]),
        "kinds": texts([kind for kind, _ in movements]),
        "references": texts([reference_id for _, reference_id in movements]),
    }


def found_in(rows: Iterable[Sequence[Any]]) -> Found:
    """The answer of `LOAD_FACTS`."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for part, key, _ordinal, content in rows:
        found[part, key].append(content)
    return found


def loaded_of(asked: CheckInput, found: Found, list_names: Sequence[str]) -> LoadedFacts:
    """What of that is about one input; of lists those of the names."""

    def subjects(role: Role, part: str, key: str) -> list[SubjectFacts]:
        return [_subject(content, role) for content in found.get((part, key), ())]

    merchants = subjects(Role.MERCHANT, "SUBJECT", asked.merchant_id)
    own_account_id = merchants[0].connected_account_id if merchants else ""
    account = _only(found, "ACCOUNT", asked.connected_account_id or own_account_id)
    movement = f"{asked.kind.value}/{asked.reference_id}"
    ruling = _only(found, "RULING", movement)
    rates = _only(found, "RATES", asked.merchant_id)
    return LoadedFacts(
        subjects=(
            *merchants,
            *subjects(Role.OWNER, "OWNER", asked.merchant_id),
            *subjects(Role.CUSTOMER, "SUBJECT", asked.customer_id),
        ),
        account=None if account is None else _account(account),
        lists=tuple(_list(found, name) for name in sorted(list_names)),
        ruling=None if ruling is None else loads(ruling, RulingFacts),
        has_open_case=("OPEN_CASE", movement) in found,
        rates=None if rates is None else rate_facts(json.loads(rates), asked.currency_code),
    )


async def load_facts(
    connections: Connections, asked: CheckInput, list_names: Sequence[str]
) -> LoadedFacts:
    """What is stored about one input, as of one moment, for whoever only looks."""
    rows = await connections.fetch(LOAD_FACTS, lookups_of([asked]))
    return loaded_of(asked, found_in(rows), list_names)


def _only(found: Found, part: str, key: str) -> str | None:
    contents = found.get((part, key))
    return contents[0] if contents else None


def _list(found: Found, name: str) -> ListFacts:
    """A list that subjects have to be screened against; without a version if none was loaded.

    One that the operator took out of the settings is not looked at any more.
    """
    active = _only(found, "LIST", name)
    return ListFacts(name, 0, None) if active is None else _active_list(active)


# The same text is the same facts: most checks are of merchants that were just looked at, and all of
# the same lists.
@lru_cache(maxsize=MAX_REMEMBERED)
def _active_list(content: str) -> ListFacts:
    return loads(content, ListFacts)


@lru_cache(maxsize=MAX_REMEMBERED)
def _subject(content: str, role: Role) -> SubjectFacts:
    return build({**json.loads(content), "role": role}, SubjectFacts)


@lru_cache(maxsize=MAX_REMEMBERED)
def _account(content: str) -> AccountFacts:
    row = json.loads(content)
    return build(row, AccountSnapshot).to_facts(row["content_hash"])
