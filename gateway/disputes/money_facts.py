"""What a dispute means for the books: withdrawn, reinstated, lost. Pure.

A dispute has no balance transaction while it is an inquiry, one when the money was taken, and a
second when it came back: https://docs.stripe.com/disputes/how-disputes-work
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.balance.movement import Movement, read_movement
from gateway.bookkeeping.balance_facts import (
    AccountFeeCharged,
    DisputeLost,
    DisputeOpened,
    DisputeWon,
)
from gateway.bookkeeping.facts import Fact
from gateway.disputes.dispute import Dispute


def told_by(corridor: str, stripe_dispute: Mapping[str, Any]) -> list[Movement]:
    """The movements that the facts of a dispute tell: the first each way. Others are strange."""
    listed = sorted(
        (read_movement(corridor, item) for item in stripe_dispute["balance_transactions"]),
        key=lambda movement: (movement.create_time, movement.amount_minor),
    )
    withdrawn = [movement for movement in listed if movement.amount_minor < 0][:1]
    reinstated = [movement for movement in listed if movement.amount_minor > 0][:1]
    return withdrawn + (reinstated if withdrawn else [])


def dispute_facts(dispute: Dispute, movements: Sequence[Movement]) -> list[Fact]:
    """The facts of a dispute, in order; reporting them again is safe."""
    facts: list[Fact] = []
    for movement in movements:
        about: dict[str, Any] = {
            "corridor": dispute.corridor,
            "currency": movement.currency,
            "effective_time": movement.create_time,
        }
        opened = movement.amount_minor < 0
        fee_minor = movement.fee_minor if opened else -movement.fee_minor
        told: dict[str, Any] = {
            **about,
            "payment_id": dispute.payment_id,
            "merchant_id": dispute.merchant_id,
            "dispute_id": dispute.stripe_dispute_id,
            "amount_minor": abs(movement.amount_minor),
            "fee_minor": max(fee_minor, 0),
            "balance": movement.begins_in,
        }
        facts.append(
            DisputeOpened(**told) if opened else DisputeWon(**told, was_lost=dispute.was_lost)
        )
        if fee_minor < 0:
            # A fee the other way than a dispute's goes is booked by itself.
            facts.append(
                AccountFeeCharged(
                    **about,
                    balance_transaction_id=movement.id,
                    type=movement.type,
                    amount_minor=movement.fee_minor,
                    balance=movement.begins_in,
                )
            )
    if dispute.was_lost and movements:
        facts.insert(
            1,
            DisputeLost(
                corridor=dispute.corridor,
                currency=movements[0].currency,
                effective_time=dispute.update_time,
                payment_id=dispute.payment_id,
                merchant_id=dispute.merchant_id,
                dispute_id=dispute.stripe_dispute_id,
                amount_minor=abs(movements[0].amount_minor),
            ),
        )
    return facts
