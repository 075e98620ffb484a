"""Draws plans: how often what happens."""

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.chaos.plan import (
    CORRIDORS,
    CURRENCIES,
    GATEWAYS,
    PARTS,
    PATIENCE,
    TAKEN,
    Kill,
    Plan,
    PlannedPayment,
    Restore,
    Step,
    Trouble,
)

INTENTS = r"/v1/payment_intents.*"
MONEY_MOVES = r"/v1/(payment_intents|refunds).*"

# How often, of a hundred, a card is drawn.
CARDS = {
    "visa": 44,
    "mastercard": 6,
    "bypassPending": 4,
    "visa_chargeDeclinedInsufficientFunds": 7,
    "visa_chargeDeclinedLostCard": 3,
    "chargeDeclinedProcessingError": 3,
    "threeDSecure2Required": 14,
    "threeDSecureRequiredChargeDeclined": 4,
    "authenticationRequired": 6,
    "refundFail": 4,
    "pendingRefund": 5,
    "createDispute": 4,
    "createDisputeInquiry": 1,
}
NEEDS_CUSTOMER = ("threeDSecure2Required", "threeDSecureRequiredChargeDeclined")
# Declined without the customer, who may come back to authenticate.
WANTS_CUSTOMER = "authenticationRequired"
SAVED = ("visa", "mastercard", "threeDSecure2Required", "authenticationRequired", "refundFail")
DISPUTED = ("createDispute", "createDisputeInquiry")
# What is killed how often. "gateways" is both at once; "backend" is one of PostgreSQL's, which
# makes PostgreSQL end all the others and recover; "postgres" is the whole server, and a frozen one
# goes on after some seconds as if nothing had been.
VICTIMS = {
    "gateway-1": 26,
    "gateway-2": 26,
    "gateways": 6,
    "ledger": 12,
    "compliance": 12,
    "backend": 11,
    "postgres": 5,
    "frozen postgres": 5,
}
MAX_JUMP_MS = 45_000
MAX_STEPS = 400
MAX_DELAY_MS = 600
MAX_TROUBLE_MS = 4_000
# How many payments people decide: over what the policy lets guests pay in any of the currencies.
REVIEWED = 0.06
MORE_THAN_GUESTS_MAY = 200_000
# Of so many payments one is accompanied by another trouble of each kind.
PAYMENTS_PER_FAULT = 14
PAYMENTS_PER_WEBHOOK_FAULT = 30
PAYMENTS_PER_FORGERY = 25
PAYMENTS_PER_JUMP = 25
PAYMENTS_PER_CLOSURE = 150
PAYMENTS_PER_PAYOUT = 50
PAYMENTS_PER_HALF_OPEN = 100
PAYMENTS_PER_HOLDS = 250
PAYMENTS_PER_STRANGER = 100
PAYMENTS_PER_FREEZE = 80
PAYMENTS_PER_DEGRADATION = 90
# A corridor degrades for so many payments, and so many minutes: what is worst comes in the middle.
DEGRADED_PAYMENTS = 36
DEGRADED_MINUTES = 6
MAX_DEGRADED_MS = 24_000
# How it degrades, how often, and how much of its requests then fail, or how long they take.
DEGRADATIONS = {"errors": 35, "limits": 25, "slow": 25, "everything": 15}
# Large calls that a certificate without rights has under way at once.
MAX_STRANGERS = 32
# Fewer and more than the gateway takes from one address.
MAX_HALF_OPEN = 400
# Whose database is put back how often, and how.
RESTORED = {"gateway": 50, "ledger": 20, "compliance": 10, "all": 20}
RESTORES = {"restore": 50, "failover": 50}
# A backup is so many payments old at most, and a server that takes over has lagged behind so far.
MAX_BACKUP_AGE = 40
MAX_LAG_MS = 2_000


def draw_plan(seed: int, payments: int, kills: int, restores: int = 0) -> Plan:
    """The plan of a seed; the same for the same four numbers."""
    return Plan(
        seed=seed,
        payments=tuple(
            _payment(Random(f"{seed} payment {number}"), seed, number)
            for number in range(1, payments + 1)
        ),
        kills=_kills(Random(f"{seed} kills"), payments, kills),
        troubles=tuple(
            sorted(
                (
                    *_troubles(Random(f"{seed} troubles"), payments),
                    # Drawn by themselves, as reviews are.
                    *_degradations(Random(f"{seed} degradations"), payments),
                ),
                key=lambda trouble: trouble.at_payment,
            )
        ),
        restores=_restores(Random(f"{seed} restores"), payments, restores),
    )


def _payment(random: Random, seed: int, number: int) -> PlannedPayment:
    card = _weighted(random, CARDS)
    manual = random.random() < 0.4
    amount = random.randrange(100, 50_000)
    # Drawn by itself, so that all else of a seed is as it was before there were reviews.
    reviewed = Random(f"{seed} review {number}").random() < REVIEWED
    off_session = card not in NEEDS_CUSTOMER and random.random() < (
        0.7 if card == WANTS_CUSTOMER else 0.2
    )
    # A card is saved in one account.
    saves = card in SAVED and random.random() < 0.15
    reviewed = reviewed and not saves
    amount += MORE_THAN_GUESTS_MAY if reviewed else 0
    currency, corridor = random.choice(CURRENCIES), random.choice(CORRIDORS)
    if currency not in TAKEN[corridor]:
        corridor = CORRIDORS[0]
    return PlannedPayment(
        number=number,
        request_id=f"chaos-{seed}-{number}",
        amount_minor=amount,
        currency=currency,
        card=card,
        corridor=corridor,
        roams=random.random() < 0.6 and not saves,
        blocked=random.random() < 0.02,
        manual=manual,
        off_session=off_session,
        queue_seconds=random.choice((2, 30, 60, 120)) if random.random() < 0.5 else None,
        tries=random.choice((1, 2)) if random.random() < 0.08 else PATIENCE,
        steps=tuple(_steps(random, card, amount, manual=manual, off_session=off_session)),
        retries=off_session and random.random() < 0.5,
        saves=saves,
        reviewed=reviewed,
    )


def _steps(
    random: Random, card: str, amount: int, *, manual: bool, off_session: bool
) -> list[Step]:
    steps: list[Step] = []
    comes_back = card == WANTS_CUSTOMER and off_session
    if comes_back:
        steps.append(Step("come_back"))
    if (comes_back or card in NEEDS_CUSTOMER) and random.random() < 0.95:
        passes = random.random() < 0.8
        steps.append(Step("authenticate" if passes else "fail_authentication"))
        if random.random() < 0.6:
            steps.append(Step("confirm"))
    if random.random() < 0.04:
        steps.append(Step("cancel"))
    captured = amount
    if manual:
        match _weighted(random, {"all": 45, "part": 30, "cancel": 17, "leave": 8}):
            case "all":
                steps.append(Step("capture"))
            case "part":
                captured = random.randrange(1, amount + 1)
                steps.append(Step("capture", captured))
            case "cancel":
                return [*steps, Step("cancel")]
            case "leave":
                return steps
    if card in DISPUTED and random.random() < 0.7:
        return [*steps, Step(random.choice(("win_dispute", "lose_dispute")))]
    match _weighted(random, {"none": 50, "all": 14, "part": 14, "parts": 14, "much": 8}):
        case "all":
            steps.append(Step("refund"))
        case "part":
            steps.append(Step("refund", random.randrange(1, captured + 1)))
        case "parts":
            steps += [Step("refund", max(1, captured // 3)) for _ in range(random.choice((2, 3)))]
        case "much":
            steps += [Step("refund", captured), Step("refund", max(1, captured // 2))]
    return steps


def _kills(random: Random, payments: int, count: int) -> tuple[Kill, ...]:
    drawn = []
    for _ in range(count):
        victim = _weighted(random, VICTIMS)
        by_step = PARTS[victim] != "postgres" and random.random() < 0.6
        drawn.append(
            Kill(
                at_payment=random.randint(1, payments),
                victim=victim,
                delay_ms=random.randrange(MAX_DELAY_MS),
                steps=random.randint(1, MAX_STEPS) if by_step else None,
            )
        )
    return tuple(sorted(drawn, key=lambda kill: kill.at_payment))


def _restores(random: Random, payments: int, count: int) -> tuple[Restore, ...]:
    drawn = []
    for _ in range(count):
        how = _weighted(random, RESTORES)
        at = random.randint(1, payments)
        age = random.randint(1, MAX_BACKUP_AGE) if how == "restore" else 0
        drawn.append(
            Restore(
                kept_at_payment=max(1, at - age),
                at_payment=at,
                service=_weighted(random, RESTORED),
                how=how,
                lag_ms=random.randrange(MAX_LAG_MS) if how == "failover" else 0,
            )
        )
    return tuple(sorted(drawn, key=lambda restore: restore.kept_at_payment))


def _troubles(random: Random, payments: int) -> tuple[Trouble, ...]:
    drawn: list[Trouble] = []

    def add(per: int, longest: int, draw: Any) -> None:
        for _ in range(max(1, payments // per)):
            at = random.randint(1, payments)
            kind, detail = draw(random)
            until = min(payments, at + random.randint(1, longest))
            drawn.append(Trouble(at, until, random.randint(300, MAX_TROUBLE_MS), kind, detail))

    add(PAYMENTS_PER_FAULT, 12, _fault)
    add(PAYMENTS_PER_WEBHOOK_FAULT, 15, _webhook_fault)
    add(PAYMENTS_PER_FORGERY, 1, _forgery)
    add(PAYMENTS_PER_JUMP, 20, _jump)
    add(PAYMENTS_PER_CLOSURE, 8, _closure)
    add(PAYMENTS_PER_PAYOUT, 30, _payout)
    add(PAYMENTS_PER_HALF_OPEN, 20, _half_open)
    add(PAYMENTS_PER_HOLDS, 1, lambda _random: ("holds", {}))
    add(PAYMENTS_PER_STRANGER, 20, _stranger)
    # The last, so that all else of a seed is as it was before.
    add(PAYMENTS_PER_FREEZE, 1, lambda _random: ("freeze", {"service": "compliance"}))
    return tuple(sorted(drawn, key=lambda trouble: trouble.at_payment))


def _degradations(random: Random, payments: int) -> Iterator[Trouble]:
    for _ in range(max(1, payments // PAYMENTS_PER_DEGRADATION)):
        at = random.randint(1, max(1, payments - DEGRADED_PAYMENTS))
        detail = {
            "corridor": random.choice(CORRIDORS),
            "how": _weighted(random, DEGRADATIONS),
            "share": round(random.uniform(0.4, 0.8), 2),
            "minutes": DEGRADED_MINUTES,
            "seed": random.randrange(2**31),
        }
        until = min(payments, at + DEGRADED_PAYMENTS)
        yield Trouble(at, until, MAX_DEGRADED_MS, "degradation", detail)


def _fault(random: Random) -> tuple[str, dict[str, Any]]:
    kind = _weighted(
        random,
        {"error": 30, "reset": 25, "hang": 12, "latency": 13, "limit": 12, "outage": 8},
    )
    if kind == "outage":
        return "outage", {"mode": random.choice(("reset", "error"))}
    rule: dict[str, Any] = {
        "kind": kind,
        "when": random.choice(("before", "after")),
        "path": random.choice((INTENTS, MONEY_MOVES, ".*")),
        "probability": random.choice((0.2, 0.5, 1.0)),
    }
    if random.random() < 0.6:
        rule["method"] = "POST"
    match kind:
        case "error":
            rule |= {
                "status": random.choice((500, 502, 503)),
                "stored": random.random() < 0.3,
            }
        case "hang":
            rule["count"] = random.randint(1, 4)
        case "latency":
            rule |= {"seconds": random.choice((0.05, 0.3, 1.0)), "jitter_seconds": 0.3}
        case "limit":
            rule["kind"] = random.choice(("rate_limit", "lock_timeout"))
    return "fault", rule


def _webhook_fault(random: Random) -> tuple[str, dict[str, Any]]:
    kind = random.choice(("drop", "duplicate", "delay", "reorder"))
    rule: dict[str, Any] = {"kind": kind}
    if random.random() < 0.5:
        rule["event_type"] = random.choice(("payment_intent.*", "charge.*", "refund.*"))
    match kind:
        case "duplicate":
            rule["copies"] = random.randint(2, 4)
        case "delay":
            rule["seconds"] = random.choice((0.5, 3.0, 10.0))
        case "reorder":
            rule["window"] = random.randint(2, 12)
    return "webhook_fault", rule


def _forgery(random: Random) -> tuple[str, dict[str, Any]]:
    how = random.choice(("unsigned", "wrong_secret", "other_account", "empty_secret", "old"))
    return "forgery", {
        "how": how,
        "gateway": random.choice(GATEWAYS),
        "event_type": random.choice(
            ("payment_intent.succeeded", "payment_intent.canceled", "refund.failed")
        ),
    }


def _jump(random: Random) -> tuple[str, dict[str, Any]]:
    return "jump", {
        "victim": random.choice((*GATEWAYS, *GATEWAYS, "ledger", "compliance")),
        "offset_ms": random.randint(-MAX_JUMP_MS, MAX_JUMP_MS),
    }


def _closure(random: Random) -> tuple[str, dict[str, Any]]:
    return "closure", {
        "corridor": random.choice(CORRIDORS),
        "mode": random.choice(("DRAIN", "CLOSED")),
    }


def _payout(random: Random) -> tuple[str, dict[str, Any]]:
    return "payout", {
        "corridor": random.choice(CORRIDORS),
        "currency": random.choice(CURRENCIES),
        "fails": random.random() < 0.3,
    }


def _half_open(random: Random) -> tuple[str, dict[str, Any]]:
    return "half_open", {
        "gateway": random.choice(GATEWAYS),
        # Stripe's own address, or another.
        "address": random.choice(("127.0.0.1", "127.0.0.2")),
        "connections": random.randint(1, MAX_HALF_OPEN),
    }


def _stranger(random: Random) -> tuple[str, dict[str, Any]]:
    return "stranger", {
        "service": random.choice((*GATEWAYS, "ledger", "compliance")),
        "calls": random.randint(1, MAX_STRANGERS),
    }


def _weighted(random: Random, weights: dict[str, int]) -> str:
    return random.choices(list(weights), list(weights.values()))[0]
