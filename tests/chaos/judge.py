"""Whether what happened may happen: every promise of docs/gateway.md as a rule over evidence.

Knows no engine, only evidence; each rule says of whom and why. Those of routing and of foresight
are in modules of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos import foresight_rules, routing_rules
from tests.chaos.evidence import (
    FINAL_STATES,
    UNDECIDED_STATES,
    WAITING_STATES,
    Answer,
    Intent,
    OutcomeLookup,
    PaymentRecord,
)
from tests.chaos.verdict import Rule, Violation

# PaymentIntents in these hold or have taken money, or may yet.
LIVE_STATUSES = frozenset({"succeeded", "requires_capture", "requires_action", "processing"})
# What Stripe must say of a payment in each state.
TRUTH = {
    "SUCCEEDED": frozenset({"succeeded"}),
    "AUTHORIZED": frozenset({"requires_capture"}),
    "REQUIRES_ACTION": frozenset({"requires_action"}),
    "PROCESSING": frozenset({"processing"}),
}
REFUND_STATUSES = {
    "succeeded": "SUCCEEDED",
    "pending": "PENDING",
    "failed": "FAILED",
    "canceled": "CANCELED",
    "requires_action": "REQUIRES_ACTION",
}
# Ends without anything at Stripe that would tell of them.
UNTOLD_STATES = frozenset({"BLOCKED", "EXPIRED", "FAILED", "CANCELED"})
# An answer with one of these has decided the request for good; other errors ask to repeat it.
STICKY = frozenset(
    {
        *("INVALID_PAYMENT_STATE", "CURRENCY_MISMATCH", "CAPTURE_WINDOW_OVER"),
        *("AMOUNT_EXCEEDS_AUTHORIZED", "TOO_MANY_REFUNDS", "AMOUNT_EXCEEDS_REFUNDABLE"),
        "PAYMENT_DISPUTED",
    }
)


def judge(evidence: OutcomeLookup) -> list[Violation]:
    """Every violation, in the order of the rules; none for a history that may be."""
    return [violation for rule in RULES for violation in rule(evidence)]


def double_charge(evidence: OutcomeLookup) -> Iterator[Violation]:
    """For one payment at most one PaymentIntent has or may take money, over all accounts."""
    by_payment: dict[str, list[Intent]] = defaultdict(list)
    for intent in evidence.intents:
        if intent.status in LIVE_STATUSES:
            by_payment[intent.payment_id].append(intent)
    request_of = {payment.id: payment.request_id for payment in evidence.payments}
    for payment_id, intents in by_payment.items():
        if len(intents) > 1:
            listed = ", ".join(f"{i.id} {i.status} at {i.corridor}" for i in intents)
            subject = request_of.get(payment_id, payment_id)
            yield Violation("double charge", subject, listed)


def refused_charge(evidence: OutcomeLookup) -> Iterator[Violation]:
    """What people refuse, or would, takes no money."""
    for intent in evidence.intents:
        if intent.payment_id in evidence.refused and intent.status in LIVE_STATUSES:
            yield Violation("refused charge", intent.payment_id, f"{intent.id} {intent.status}")


def double_refund(evidence: OutcomeLookup) -> Iterator[Violation]:
    """For one refund of ours at most one at Stripe."""
    made = Counter(refund.refund_id for refund in evidence.stripe_refunds if refund.refund_id)
    for refund_id, count in made.items():
        if count > 1:
            yield Violation("double refund", refund_id, f"{count} at Stripe")


def saved_twice(evidence: OutcomeLookup) -> Iterator[Violation]:
    """For one customer, and for one card saved, of ours at most one at Stripe."""
    for asked, count in Counter(saved.asked for saved in evidence.saved_objects).items():
        if count > 1:
            yield Violation("saved twice", asked, f"{count} at Stripe")


def lost_payment(evidence: OutcomeLookup) -> Iterator[Violation]:
    """What was accepted, or is at Stripe, is known, under one id per request."""
    known = {payment.id: payment for payment in evidence.payments}
    of_request: dict[str, set[str]] = defaultdict(set)
    at_stripe = {intent.payment_id for intent in evidence.intents}
    for payment in evidence.payments:
        of_request[payment.request_id].add(payment.id)
    for answer in evidence.answers:
        if not answer.payment_id:
            continue
        if answer.payment_id not in known:
            if _forgotten(answer, evidence) and answer.payment_id not in at_stripe:
                continue
            why = f"{answer.method} answered {answer.payment_id}, which nobody knows"
            yield Violation("lost payment", answer.request_id, why)
        elif answer.method == "CreatePayment":
            of_request[answer.request_id].add(answer.payment_id)
    for request_id, ids in of_request.items():
        if len(ids) > 1:
            yield Violation("lost payment", request_id, f"has {len(ids)} payments: {sorted(ids)}")
    for intent in evidence.intents:
        if intent.payment_id not in known:
            yield Violation("lost payment", intent.id, f"at Stripe for {intent.payment_id!r} only")


def undecided(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Nothing that the engine itself has to decide is left undecided; past the horizon nothing."""
    open_states = UNDECIDED_STATES | (WAITING_STATES if evidence.past_horizon else frozenset())
    for payment in evidence.payments:
        if payment.state in open_states:
            yield Violation("undecided", payment.request_id, f"is {payment.state}")
        for operation in payment.open_operations:
            yield Violation("undecided", payment.request_id, f"operation {operation} is open")
    for what in evidence.restless:
        yield Violation("undecided", "engine", what)


def truth_at_stripe(evidence: OutcomeLookup) -> Iterator[Violation]:
    """The gateway says what Stripe says: state, amounts and ids."""
    by_id = {intent.id: intent for intent in evidence.intents}
    live: dict[str, list[Intent]] = defaultdict(list)
    for intent in evidence.intents:
        if intent.status in LIVE_STATUSES:
            live[intent.payment_id].append(intent)
    for payment in evidence.payments:
        for why in _untrue(payment, by_id.get(payment.payment_intent_id), live[payment.id]):
            yield Violation("untrue state", payment.request_id, why)


def _untrue(payment: PaymentRecord, intent: Intent | None, live: list[Intent]) -> Iterator[str]:
    wanted = TRUTH.get(payment.state)
    if wanted is None:
        for other in live:
            yield f"is {payment.state}, but {other.id} is {other.status}"
        if payment.captured_minor:
            yield f"is {payment.state} with {payment.captured_minor} captured"
        return
    if intent is None:
        yield f"is {payment.state} without a PaymentIntent at Stripe"
        return
    if intent.payment_id != payment.id:
        yield f"shows {intent.id}, which is of {intent.payment_id}"
    if intent.status not in wanted:
        yield f"is {payment.state}, but {intent.id} is {intent.status}"
    if intent.corridor != payment.corridor or intent.currency != payment.currency:
        yield f"{intent.id} is in {intent.currency} at {intent.corridor}"
    if payment.captured_minor != intent.received_minor:
        yield f"captured {payment.captured_minor}, but Stripe {intent.received_minor}"
    if payment.captured_minor and payment.charge_id != intent.charge_id:
        yield f"shows charge {payment.charge_id!r}, but Stripe {intent.charge_id!r}"


def truth_of_refunds(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Refunds are those at Stripe, in their states and to the cent."""
    by_intent: dict[str, dict[str, tuple[str, int]]] = defaultdict(dict)
    for theirs in evidence.stripe_refunds:
        state = REFUND_STATUSES[theirs.status]
        by_intent[theirs.intent_id][theirs.id] = (state, theirs.amount_minor)
    for payment in evidence.payments:
        at_stripe = by_intent[payment.payment_intent_id] if payment.payment_intent_id else {}
        shown = {
            refund.stripe_refund_id: (refund.state, refund.amount_minor)
            for refund in payment.refunds
            if refund.stripe_refund_id
        }
        for refund_id in sorted(shown.keys() | at_stripe.keys()):
            if shown.get(refund_id) != at_stripe.get(refund_id):
                why = (
                    f"{refund_id} is {shown.get(refund_id)} here"
                    f" and {at_stripe.get(refund_id)} at Stripe"
                )
                yield Violation("untrue refund", payment.request_id, why)
        for refund in payment.refunds:
            if refund.state == "PENDING" and not refund.stripe_refund_id:
                yield Violation("undecided", payment.request_id, f"refund {refund.id} is open")
        counted = sum(
            amount for state, amount in at_stripe.values() if state not in ("FAILED", "CANCELED")
        )
        if payment.refunded_minor != counted:
            why = f"refunded {payment.refunded_minor}, but Stripe {counted}"
            yield Violation("untrue refund", payment.request_id, why)


def final_answers(evidence: OutcomeLookup) -> Iterator[Violation]:
    """What a client was told as the last word is how it is; every request has one outcome."""
    known = {payment.id: payment for payment in evidence.payments}
    decided: dict[tuple[str, int], str] = {}
    at_stripe = {refund.refund_id for refund in evidence.stripe_refunds}
    for answer in evidence.answers:
        payment = known.get(answer.payment_id)
        if payment is not None and answer.state in FINAL_STATES and answer.state != payment.state:
            if _forgotten(answer, evidence) and answer.state in UNTOLD_STATES:
                continue
            why = f"{answer.method} answered {answer.state}, but it is {payment.state}"
            yield Violation("untrue answer", answer.request_id, why)
        elif payment is not None and answer.captured_minor not in (0, payment.captured_minor):
            why = f"answered {answer.captured_minor} captured, but {payment.captured_minor} are"
            yield Violation("untrue answer", answer.request_id, why)
        if answer.method == "GetPayment":
            continue
        outcome = answer.reason if answer.reason in STICKY else ""
        if outcome or answer.payment_id:
            # A refusal is nothing that Stripe could tell a restored gateway.
            first = decided.setdefault((answer.request_id, answer.restores), outcome)
            if first != outcome:
                why = f"was answered {first or 'yes'!r} and {outcome or 'yes'!r}"
                yield Violation("untrue answer", answer.request_id, why)
        if answer.refund_id and payment is not None:
            refunds = [refund.id for refund in payment.refunds]
            is_gone = _forgotten(answer, evidence) and answer.refund_id not in at_stripe
            if answer.refund_id not in refunds and not is_gone:
                why = f"refund {answer.refund_id} is not known"
                yield Violation("lost payment", answer.request_id, why)


def books(evidence: OutcomeLookup) -> Iterator[Violation]:
    """The ledger equals Stripe to the cent, holds included, and has every fact."""
    for difference in evidence.books_differences:
        yield Violation("books", "ledger", difference)
    if not evidence.ledger_intact:
        yield Violation("books", "ledger", "VerifyLedger found a difference")
    for payment in evidence.payments:
        if payment.booking not in ("", "BOOKED"):
            yield Violation("books", payment.request_id, f"booking is {payment.booking}")


def keys(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Every POST has a key, and no key was used for two requests, nor in two corridors."""
    used: dict[tuple[str, str], tuple[str, str]] = {}
    accounts: dict[str, str] = {}
    for post in evidence.posts:
        if not post.key:
            yield Violation("key", post.path, "POST without an idempotency key")
            continue
        request = (post.path, post.body_hash)
        first = used.setdefault((post.account, post.key), request)
        if first != request:
            yield Violation("key", post.key, f"used for two requests: {first[0]}, {post.path}")
        # One that came while nothing worked was not looked at: whose it is nobody knows.
        account = accounts.setdefault(post.key, post.account) if post.account else ""
        if account != post.account:
            why = f"used in two corridors: {account}, {post.account}"
            yield Violation("key in two corridors", post.key, why)


def webhooks(evidence: OutcomeLookup) -> Iterator[Violation]:
    """What was acknowledged is stored, what was forged was refused, nothing was given up."""
    for event_id in sorted(evidence.acknowledged_events - evidence.stored_events):
        yield Violation("webhook", event_id, "acknowledged, but not stored")
    for forgery in evidence.accepted_forgeries:
        yield Violation("webhook", forgery, "a forgery was accepted")
    for letter in evidence.dead_letters:
        yield Violation("webhook", letter, "given up")


def rights(evidence: OutcomeLookup) -> Iterator[Violation]:
    """Nobody without a role got anything done, nor even looked at."""
    for call in evidence.let_in:
        yield Violation("rights", call, "a call without rights was not refused")


def feed(evidence: OutcomeLookup) -> Iterator[Violation]:
    """The feed has no holes, and each payment's revisions one by one up to its last."""
    for place, change in enumerate(evidence.feed, start=1):
        if change.sequence != place:
            yield Violation("feed", str(change.sequence), f"is at place {place}")
            return
    last: dict[str, int] = defaultdict(int)
    states: dict[str, str] = {}
    for change in evidence.feed:
        if change.revision != last[change.payment_id] + 1:
            why = f"revision {change.revision} follows {last[change.payment_id]}"
            yield Violation("feed", change.payment_id, why)
        last[change.payment_id] = change.revision
        states[change.payment_id] = change.state
    for payment in evidence.payments:
        if (last[payment.id], states.get(payment.id)) != (payment.revision, payment.state):
            why = f"ends at revision {last[payment.id]}, {states.get(payment.id)}"
            yield Violation("feed", payment.request_id, why)


def told(evidence: OutcomeLookup) -> Iterator[Violation]:
    """A client's endpoint is told of every change, signed, of a payment's in their order."""
    if evidence.told is None:
        return
    changes = {(change.sequence, change.payment_id, change.revision) for change in evidence.feed}
    arrived = {(told.sequence, told.payment_id, told.revision) for told in evidence.told}
    for sequence, payment_id, revision in sorted(changes - arrived):
        yield Violation("told", payment_id, f"nobody was told of {sequence}, revision {revision}")
    for told in evidence.told:
        if not told.signed:
            yield Violation("told", told.payment_id, f"{told.sequence} is not signed")
    if evidence.restores:
        # What else was told is of what is lost.
        return
    for sequence, payment_id, revision in sorted(arrived - changes):
        yield Violation("told", payment_id, f"no change is {sequence}, revision {revision}")
    last: dict[str, int] = defaultdict(int)
    for told in evidence.told:
        # One that came before may come again.
        if told.revision > last[told.payment_id] + 1:
            why = f"revision {told.revision} came after {last[told.payment_id]}"
            yield Violation("told", told.payment_id, why)
        last[told.payment_id] = max(last[told.payment_id], told.revision)


def _forgotten(answer: Answer, evidence: OutcomeLookup) -> bool:
    """Whether a gateway that was put back since may know nothing of it, unless Stripe tells."""
    return answer.restores < evidence.restores


RULES: tuple[Rule, ...] = (
    *(
        double_charge,
        refused_charge,
        double_refund,
        saved_twice,
        lost_payment,
        undecided,
        truth_at_stripe,
    ),
    *(truth_of_refunds, final_answers, books, keys, webhooks, rights, feed, told),
    *routing_rules.RULES,
    *foresight_rules.RULES,
)
