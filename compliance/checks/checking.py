"""One check from request to logged decision, with a new look at the account if need be."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import Message
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncEngine

from compliance.accounts.gateway_source import AccountUnavailableError
from compliance.accounts.refreshing import ACCEPTED_AGE, SnapshotRefresher
from compliance.accounts.store import linked_account
from compliance.cases.case import Checked, scope_of
from compliance.checks.connected_account import missed_deadline
from compliance.checks.decision import DecisionRecord, decide
from compliance.checks.decision_log import Decided, DecisionLog, Postponed, Undecided
from compliance.checks.decision_store import decision_of_request
from compliance.checks.facts import AccountFacts, CheckKind
from compliance.checks.facts_store import CheckInput, Found, LoadedFacts, loaded_of
from compliance.checks.findings import Code, Verdict
from compliance.checks.history import HistoryFacts
from compliance.checks.messages import LoggedDecision, decision_message
from compliance.checks.policy import Policy
from compliance.checks.rules import must_be_asked_again
from compliance.mutations import REQUEST_IDS
from compliance.policies.in_force import PolicyInForce
from compliance.v1 import decision_pb2 as pb
from compliance.v1.compliance_service_pb2 import CheckPaymentRequest
from runtime import deadline
from runtime.clock import Clock
from runtime.idempotency import encoded
from runtime.logs import get_logger

# What is left of a call's deadline for writing the decision and answering.
RESERVED_SECONDS = 0.25

DECISIONS = Counter(
    "compliance_decisions_total", "Decisions by what was checked and verdict.", ["kind", "verdict"]
)
RULE_ERRORS = Counter(
    "compliance_policy_rule_errors_total",
    "Decisions in which a rule of the policy ended with an error.",
)

log = get_logger(__name__)


class Checking:
    """Decides inputs under the policy in force when each was begun."""

    def __init__(
        self,
        engine: AsyncEngine,
        decision_log: DecisionLog,
        refresher: SnapshotRefresher,
        in_force: PolicyInForce,
        clock: Clock,
        snapshot_timeout_seconds: float,
        list_names: Sequence[str],
    ) -> None:
        """`list_names` are the sanctions lists that every subject has to be screened against."""
        self._list_names = list_names
        self._engine = engine
        self._log = decision_log
        self._refresher = refresher
        self._in_force = in_force
        self._clock = clock
        self._snapshot_timeout_seconds = snapshot_timeout_seconds

    async def check(self, asked: CheckInput, request: Message) -> pb.Decision:
        """The decision of this input, or the one made for the same request before.

        Raises `REQUEST_ID_REUSED` if the request differs from the first one with its id.
        """
        appended = await self._log.append(self._undecided(asked, request, may_postpone=True))
        if isinstance(appended, Postponed):
            fetched = await self._fetched_account(asked, appended.loaded)
            undecided = self._undecided(asked, request, fetched, may_postpone=False)
            appended = await self._log.append(undecided)
            assert not isinstance(appended, Postponed), "once is all it may"
        if appended is None:
            async with self._engine.connect() as connection:
                earlier = await decision_of_request(connection, asked.request_id)
            return _repeat(earlier, request)
        record = appended.record
        DECISIONS.labels(record.kind, record.verdict).inc()
        if any(finding.code is Code.POLICY_RULE_BROKEN for finding in record.findings):
            RULE_ERRORS.inc()
        return decision_message(record, appended.place)

    def _undecided(
        self,
        asked: CheckInput,
        request: Message,
        fetched: AccountFacts | None = None,
        *,
        may_postpone: bool,
    ) -> Undecided:
        """`fetched` is the account as it is now, where it was asked for; a check of one that has to
        be asked for is postponed, if it may be. The rules judge what is there in the end."""
        policy, now = self._in_force.policy, self._clock.now()
        decision_id = f"dec_{uuid.uuid4().hex}"

        def decided(found: Found, history: tuple[HistoryFacts, ...]) -> Decided | Postponed:
            loaded = loaded_of(asked, found, self._list_names)
            if may_postpone and _has_to_ask(asked, loaded, now, policy):
                return Postponed(loaded)
            record = decide(
                loaded.to_facts(asked, fetched or loaded.account, now, history),
                policy,
                decision_id=decision_id,
                request_id=asked.request_id,
                reference_id=asked.reference_id,
                record_time=now,
            )
            return Decided(record, checked_of(record, loaded, asked))

        payment = asked.to_counted(now, policy)
        return Undecided(decision_id, asked, encoded(request), payment, decided)

    async def _fetched_account(self, asked: CheckInput, loaded: LoadedFacts) -> AccountFacts | None:
        """The account as the gateway sees it now; None if it does not say."""
        left = deadline.remaining()
        timeout = self._snapshot_timeout_seconds
        if left is not None:
            timeout = min(timeout, left - RESERVED_SECONDS)
        if timeout <= 0:
            return None
        async with self._engine.connect() as connection:
            linked = await linked_account(connection, asked.merchant_id)
        if linked is None:
            return None
        now = self._clock.now()
        try:
            missed = None if loaded.account is None else missed_deadline(loaded.account, now)
            max_age = ACCEPTED_AGE if missed is None else min(ACCEPTED_AGE, now - missed)
            snapshot = await self._refresher.fetch(linked, timeout=timeout, max_age=max_age)
        except AccountUnavailableError as error:
            # The rules see the old snapshot, or none, and say REVIEW.
            log.warning("check_without_fresh_account", reason=str(error))
            return None
        return snapshot.to_facts(snapshot.content.content_hash)


def _has_to_ask(asked: CheckInput, loaded: LoadedFacts, as_of: datetime, policy: Policy) -> bool:
    """Whether the gateway has to be asked for the account: it is the merchant's, and what is known
    of it is nothing, or too old."""
    account, merchant = loaded.account, loaded.merchant
    if account is not None and not must_be_asked_again(account, as_of, policy):
        return False
    return (
        merchant is not None
        and bool(merchant.connected_account_id)
        and asked.connected_account_id in ("", merchant.connected_account_id)
    )


def checked_of(record: DecisionRecord, loaded: LoadedFacts, asked: CheckInput) -> Checked | None:
    """What the decision means for cases; None if it neither opens nor ends one."""
    verdict = Verdict[record.verdict]
    opens_case = verdict is Verdict.REVIEW and not asked.does_not_wait
    if not opens_case and not loaded.has_open_case:
        return None
    ruling = record.facts.ruling
    return Checked(
        verdict=verdict,
        scope=scope_of(record.facts, record.findings, record.policy_version),
        as_of=record.facts.as_of,
        corridor=record.facts.corridor,
        decision_id=record.decision_id,
        ruling_case_id="" if ruling is None else ruling.case_id,
    )


def _repeat(decided: LoggedDecision, request: Message) -> pb.Decision:
    """The decision made for the same request before. One without a card's fingerprint may have been
    sent by a release of the caller's that knew none."""
    if (
        isinstance(request, CheckPaymentRequest)
        and decided.kind == CheckKind.PAYMENT
        and not CheckPaymentRequest.FromString(decided.body).card_fingerprint
    ):
        asked = CheckPaymentRequest()
        asked.CopyFrom(request)
        asked.ClearField("card_fingerprint")
        request = asked
    REQUEST_IDS.check(request, decided)
    return decided.to_message()
