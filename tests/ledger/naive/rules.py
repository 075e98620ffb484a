"""What a new fact must satisfy, reason by reason in the order of docs/ledger.md."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.v1.direction_pb2 import DIRECTION_DEBIT
from ledger.v1.transaction_pb2 import REMAINDER_KEEP
from tests.ledger.naive import exchange
from tests.ledger.naive.log import EVERYTHING, OPPOSITE, Fact, Leg, Log, Side, Totals
from tests.ledger.naive.moments import micros, rfc3339
from tests.ledger.naive.refused import RefusedError

LARGEST_TOTAL = 2**63 - 1
BOUNDS = ("min_posted_minor", "max_posted_minor", "min_available_minor", "max_available_minor")


def create(log: Log, draft: Any, now_us: int) -> list[Leg]:
    """The legs of a new transaction, or `RefusedError`."""
    legs = [
        Leg(
            entry.account,
            "debit" if entry.direction == DIRECTION_DEBIT else "credit",
            "hold" if draft.pending else "post",
            entry.amount.minor_units,
            description=entry.description,
        )
        for entry in draft.entries
    ]
    check_accounts(log, [leg.account for leg in legs])
    for entry in draft.entries:
        currency = log.accounts[entry.account].currency
        if entry.amount.currency_code != currency:
            raise RefusedError(
                "CURRENCY_MISMATCH",
                account=entry.account,
                currency_code=entry.amount.currency_code,
                account_currency_code=currency,
            )
    check_balanced(log, [(leg.account, leg.side, leg.amount) for leg in legs])
    exchange.check(draft.exchanges, legs, {n: a.currency for n, a in log.accounts.items()})
    if draft.HasField("expire_time") and micros(draft.expire_time) <= now_us:
        raise RefusedError(
            "EXPIRE_TIME_PASSED",
            expire_time=rfc3339(micros(draft.expire_time)),
            record_time=rfc3339(now_us),
        )
    check_preconditions(log, draft, legs)
    check_limits(log, legs)
    return legs


def post(log: Log, request: Any) -> tuple[Fact, list[Leg]]:
    """What a post releases and posts."""
    hold = held_by(log, request.pending)
    left = log.held(hold)
    taken = parts_of(log, hold, left, request.parts, "AMOUNT_EXCEEDS_HOLD")
    legs: list[Leg] = []
    for index, leg in enumerate(hold.legs):
        amount = taken.get(index, 0)
        released = amount if request.remainder == REMAINDER_KEEP else left[index]
        if released:
            legs.append(Leg(leg.account, leg.side, "release", released, index))
        if amount:
            legs.append(Leg(leg.account, leg.side, "post", amount, index))
    check_limits(log, legs)
    return hold, legs


def void(log: Log, request: Any) -> tuple[Fact, list[Leg]]:
    """What a void releases."""
    hold = held_by(log, request.pending)
    return hold, rest_of(log, hold)


def rest_of(log: Log, hold: Fact) -> list[Leg]:
    """The release of all that is left of a hold."""
    return [
        Leg(hold.legs[index].account, hold.legs[index].side, "release", amount, index)
        for index, amount in log.held(hold).items()
        if amount
    ]


def reverse(log: Log, request: Any) -> tuple[Fact, list[Leg]]:
    """The opposite of a transaction, or of a part of it."""
    original = found(log, request.original)
    if original.kind not in ("direct", "post"):
        raise RefusedError("TRANSACTION_NOT_REVERSIBLE", sequence=original.sequence)
    left = log.reversible(original)
    taken = parts_of(log, original, left, request.parts, "AMOUNT_EXCEEDS_ORIGINAL")
    legs = [
        Leg(leg.account, OPPOSITE[leg.side], "post", taken[index], index)
        for index, leg in enumerate(original.legs)
        if index in taken
    ]
    check_limits(log, legs)
    return original, legs


def found(log: Log, key: Any) -> Fact:
    fact = log.fact(key.sequence) if key.HasField("sequence") else log.named(key.request_id)
    if fact is None:
        name = key.sequence if key.HasField("sequence") else key.request_id
        raise RefusedError("TRANSACTION_NOT_FOUND", transaction=name)
    return fact


def held_by(log: Log, key: Any) -> Fact:
    """The pending transaction of a key, of which something has to be left."""
    hold = found(log, key)
    if hold.kind != "pending":
        raise RefusedError("TRANSACTION_NOT_PENDING", sequence=hold.sequence)
    is_due = hold.expire_us is not None and hold.expire_us <= log.now_us
    if any(log.held(hold).values()) and not is_due:
        return hold
    last = log.settlements(hold)[-1] if not any(log.held(hold).values()) else None
    if last is None or last.kind == "expiry":
        assert hold.expire_us is not None, "only a hold with an expiry expires"
        expire_time = rfc3339(hold.expire_us)
        raise RefusedError("HOLD_EXPIRED", sequence=hold.sequence, expire_time=expire_time)
    reason = "HOLD_ALREADY_POSTED" if last.kind == "post" else "HOLD_ALREADY_VOIDED"
    raise RefusedError(reason, sequence=hold.sequence, closed_by_sequence=last.sequence)


def parts_of(
    log: Log, source: Fact, left: dict[int, int], parts: Sequence[Any], too_much: str
) -> dict[int, int]:
    """How much is taken of which entry: all that is left when no parts are named."""
    if not parts:
        rest = {index: amount for index, amount in left.items() if amount}
        if not rest:
            first = min(left)
            refuse_excess(source, first, source.legs[first].amount, 0, too_much)
        check_accounts(log, [source.legs[index].account for index in rest])
        return rest
    taken: dict[int, int] = {}
    for part in parts:
        if part.entry_index not in left or part.entry_index in taken:
            raise RefusedError(
                "ENTRY_NOT_FOUND", sequence=source.sequence, entry_index=part.entry_index
            )
        taken[part.entry_index] = part.amount_minor
    for index, amount in taken.items():
        if amount > left[index]:
            refuse_excess(source, index, amount, left[index], too_much)
    check_accounts(log, [source.legs[index].account for index in taken])
    check_balanced(log, [(source.legs[i].account, source.legs[i].side, taken[i]) for i in taken])
    return taken


def refuse_excess(source: Fact, index: int, requested: int, left: int, reason: str) -> None:
    raise RefusedError(
        reason,
        sequence=source.sequence,
        entry_index=index,
        requested_minor=requested,
        remaining_minor=left,
    )


def check_accounts(log: Log, names: Sequence[str]) -> None:
    """All are there, and then all are open."""
    for name in names:
        if name not in log.accounts:
            raise RefusedError("ACCOUNT_NOT_FOUND", account=name)
    for name in names:
        if name in log.closed_us:
            raise RefusedError("ACCOUNT_CLOSED", account=name)


def check_balanced(log: Log, moves: Iterable[tuple[str, Side, int]]) -> None:
    sums: dict[str, dict[Side, int]] = {}
    for account, side, amount in moves:
        currency = log.accounts[account].currency
        sums.setdefault(currency, {"debit": 0, "credit": 0})[side] += amount
    for currency, both in sums.items():
        if both["debit"] != both["credit"]:
            raise RefusedError(
                "UNBALANCED",
                currency_code=currency,
                debits_minor=both["debit"],
                credits_minor=both["credit"],
            )


def check_preconditions(log: Log, draft: Any, legs: Sequence[Leg]) -> None:
    conditions = [(e.account, e.precondition) for e in draft.entries if e.HasField("precondition")]
    for name, condition in conditions:
        version = log.totals(name).version
        if condition.HasField("expected_version") and condition.expected_version != version:
            raise RefusedError(
                "VERSION_MISMATCH",
                account=name,
                expected_version=condition.expected_version,
                version=version,
            )
    for name, condition in conditions:
        after, normal = with_legs(log.totals_now(name), name, legs), log.accounts[name].normal
        for bound in BOUNDS:
            if not condition.HasField(bound):
                continue
            wanted = getattr(condition, bound)
            balance = after.balance(normal) if "posted" in bound else after.lowest(normal)
            if balance < wanted if bound.startswith("min") else balance > wanted:
                raise RefusedError(
                    "BALANCE_OUT_OF_BOUNDS",
                    account=name,
                    bound=bound,
                    bound_minor=wanted,
                    balance_minor=balance,
                )


def check_limits(log: Log, legs: Sequence[Leg]) -> None:
    """All floors, then all ceilings, then what fits 64 bits; each account once, in order."""
    names = list(dict.fromkeys(leg.account for leg in legs))
    changes = {
        name: (log.totals_now(name), with_legs(log.totals_now(name), name, legs)) for name in names
    }
    for reason, limits in (("FLOOR_BREACHED", BOUNDS[0::2]), ("CEILING_BREACHED", BOUNDS[1::2])):
        sign = 1 if reason == "FLOOR_BREACHED" else -1
        for name in names:
            account = log.accounts[name]
            for limit in limits:
                was, becomes = (bounded(t, account.normal, limit) for t in changes[name])
                bound = account.limits.get(limit)
                if bound is not None and becomes * sign < min(bound * sign, was * sign):
                    raise RefusedError(
                        reason,
                        account=name,
                        limit=limit,
                        limit_minor=bound,
                        balance_minor=becomes,
                    )
    for name in names:
        if max(changes[name][1]) > LARGEST_TOTAL:
            raise RefusedError("BALANCE_OVERFLOW", account=name)


def bounded(totals: Totals, normal: Side, limit: str) -> int:
    """The balance that a limit is about."""
    if "posted" in limit:
        return totals.balance(normal)
    return totals.lowest(normal) if limit.startswith("min") else totals.highest(normal)


def with_legs(totals: Totals, account: str, legs: Iterable[Leg]) -> Totals:
    """An account's totals after some more legs, of which only its own count."""
    posted_debits, posted_credits, pending_debits, pending_credits, version = totals
    for leg in legs:
        if leg.account != account:
            continue
        version += 1
        change = -leg.amount if leg.effect == "release" else leg.amount
        if leg.effect == "post" and leg.side == "debit":
            posted_debits += change
        elif leg.effect == "post":
            posted_credits += change
        elif leg.side == "debit":
            pending_debits += change
        else:
            pending_credits += change
    return Totals(posted_debits, posted_credits, pending_debits, pending_credits, version)


def close(log: Log, name: str) -> None:
    """Refuses unless the account is open, at zero and without holds."""
    check_accounts(log, [name])
    totals = log.totals(name, EVERYTHING)
    posted = totals.balance(log.accounts[name].normal)
    if posted or totals.pending_debits or totals.pending_credits:
        raise RefusedError(
            "ACCOUNT_NOT_EMPTY",
            account=name,
            posted_minor=posted,
            pending_debits_minor=totals.pending_debits,
            pending_credits_minor=totals.pending_credits,
        )
