"""What calls and look-ups say of an operation that needs to be told nothing else. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypedDict

from gateway.operations.operation import GivenUp, Operation, after_outcome, silence
from gateway.stripe_client.outcome import Outcome, OutcomeClass, is_missing, refused_for_good

# Clocks differ, and Stripe may have acted a while after we wrote the operation down.
SEARCH_MARGIN = timedelta(hours=1)


class Span(TypedDict):
    """When an object may have been made."""

    created_from: datetime
    created_to: datetime


def search_span(operation: Operation) -> Span:
    """Where to look for what an operation made."""
    assert operation.first_send_time is not None, "only what was sent is looked for"
    assert operation.last_send_time is not None, "only what was sent is looked for"
    return {
        "created_from": operation.first_send_time - SEARCH_MARGIN,
        "created_to": operation.last_send_time + SEARCH_MARGIN,
    }


def after_call(
    operation: Operation, reply: Outcome | GivenUp, now: datetime, jitter: float
) -> Operation:
    """The operation after what came back, where a refusal that is about our key or our rights does
    not end it: nothing happened, and operators mend it."""
    refused = isinstance(reply, Outcome) and reply.decided and not reply.succeeded
    if isinstance(reply, Outcome) and refused and not refused_for_good(reply):
        reply = replace(reply, outcome_class=OutcomeClass.NOT_SENT)
    return after_outcome(operation, reply, now, jitter)


def what_was_found(operation: Operation, found: Outcome, now: datetime) -> Outcome:
    """What a search for the object that an operation made says of it."""
    if found.object is None:
        return Outcome(OutcomeClass.UNKNOWN, failure=found.failure)
    if found.object["data"]:
        return Outcome(OutcomeClass.SUCCEEDED, object=found.object["data"][0])
    return silence(operation, now) if found.object["complete"] else Outcome(OutcomeClass.UNKNOWN)


def gone_is_done(outcome: Outcome) -> Outcome:
    """The outcome of a deletion: what is gone already is deleted."""
    return Outcome(OutcomeClass.SUCCEEDED, object={}) if is_missing(outcome) else outcome


def gone_or_silence(operation: Operation, seen: Outcome, now: datetime) -> Outcome:
    """What a look at the object that was to be deleted says of the deletion."""
    if is_missing(seen):
        return Outcome(OutcomeClass.SUCCEEDED, object={})
    if not seen.succeeded:
        return Outcome(OutcomeClass.UNKNOWN, failure=seen.failure)
    return silence(operation, now)
