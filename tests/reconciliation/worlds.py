"""Small worlds of items in which much collides: few amounts, few references, few days."""

import hashlib
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from reconciliation.matching.calendars import read_calendars
from reconciliation.matching.item import Content, Item, ItemKey, Source, State
from reconciliation.matching.policy import Policy, read_policy

START = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
TOKENS = ("t1", "t2", "t3", "t4")
AMOUNTS = (-100, 0, 40, 60, 100, 100, 200)
GROUPS = ("po_1", "po_2")


def policy() -> Policy:
    return read_policy(read_calendars())


def item(
    source: Source | str, key: str, amount: int, *tokens: str, day: int = 0, **more: Any
) -> Item:
    """An item of 30 November 2026 plus some days, which is a Monday."""
    instant = START + timedelta(days=day)
    return Item(
        **{
            "source": Source(source),
            "corridor": "main",
            "key": key,
            "currency": "EUR",
            "amount_minor": amount,
            "instant": instant,
            "book_date": instant.date(),
            "sha256": hashlib.sha256(key.encode()).digest(),
            "tokens": frozenset(tokens),
            **more,
        }
    )


def key(source: str, name: str) -> ItemKey:
    return ItemKey(Source(source), "main", name)


def world(random: Random, size: int = 12) -> list[Item]:
    """Up to `size` items of all sources."""
    return [drawn(random, number) for number in range(random.randint(0, size))]


def drawn(random: Random, number: int) -> Item:
    """One item, its key by its number."""
    source = random.choice(list(Source))
    tokens = random.sample(TOKENS, random.choice((0, 1, 1, 2)))
    more: dict[str, Any] = {}
    states = [State.BOOKED] * 6 + [State.PENDING]
    name = f"{source.value.lower()}_{number}"
    if source is Source.PAYOUT:
        name = random.choice((f"po_{number}", f"po_{number % 3}x{number}"))
        states.append(State.RETURNED)
        more["content"] = random.choice([*Content, Content.COMPLETE])
        more["group"] = random.choice(("", *GROUPS))
    elif source is Source.STRIPE:
        more["group"] = random.choice(("", *GROUPS))
    return item(
        source,
        name,
        random.choice(AMOUNTS),
        *tokens,
        day=random.randint(0, 9),
        state=random.choice(states),
        currency=random.choice(("EUR", "EUR", "EUR", "JPY")),
        corridor=random.choice(("main", "main", "main", "other")),
        **more,
    )
