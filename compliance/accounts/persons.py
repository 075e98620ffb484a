"""Persons of a connected account, joined to what the account wants of them.

A person's own lists name fields by themselves (`verification.document`), the account's after the
person's id, or after `individual.` where the account is the person's own business. Persons have no
deadline: it is the account's (stripe-python 16.1, `Person.Requirements.currently_due`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from compliance.accounts.requirements import Requirement, RequirementLists, is_of, of_owner

# The account's words for the person whose own business it is.
INDIVIDUAL = "individual"
PENDING = "PENDING"
# What Stripe is verifying of a person without saying what.
VERIFICATION = "verification"


@dataclass(frozen=True)
class Person:
    """A person by Stripe's id; words are Stripe's, `verification` in upper case.

    `is_individual` if the account is this person's own business.
    """

    person_id: str
    roles: tuple[str, ...]
    verification: str
    verification_codes: tuple[str, ...]
    is_individual: bool

    @property
    def prefix(self) -> str:
        """What the account's fields about this person begin with."""
        return INDIVIDUAL if self.is_individual else self.person_id


def lists_of_person(
    person: Person,
    now: RequirementLists,
    later: RequirementLists,
    account: Sequence[RequirementLists],
) -> Iterator[RequirementLists]:
    """A person's own lists in the account's words, with the account's deadlines.

    `account` is every list of the account and its capabilities. Who is being verified waits for it
    although no list says for what.
    """
    deadlines = {one.future: one.deadline_time for one in account if not one.capability}
    lists = [
        replace(of_owner(_without_id(one, person), person.prefix), deadline_time=deadline)
        for one, deadline in ((now, deadlines.get(False)), (later, deadlines.get(True)))
    ]
    yield from lists
    if person.verification == PENDING and not _is_pending(person, (*account, *lists)):
        yield _unsaid(person, deadlines.get(False))


def joined(
    requirements: Iterable[Requirement], persons: Iterable[Person]
) -> tuple[Requirement, ...]:
    """The requirements with whose they are."""
    ids = {person.prefix: person.person_id for person in persons}
    return tuple(
        replace(item, person_id=ids.get(item.field.partition(".")[0], "")) for item in requirements
    )


def _without_id(lists: RequirementLists, person: Person) -> RequirementLists:
    """An individual's own fields, should Stripe name them by the id, by themselves."""
    if not person.is_individual:
        return lists
    start = f"{person.person_id}."

    def bare(fields: Sequence[str]) -> tuple[str, ...]:
        return tuple(field.removeprefix(start) for field in fields)

    return replace(
        lists,
        currently_due=bare(lists.currently_due),
        past_due=bare(lists.past_due),
        eventually_due=bare(lists.eventually_due),
        pending_verification=bare(lists.pending_verification),
        alternatives=[(bare(one), bare(other)) for one, other in lists.alternatives],
        errors=[(field.removeprefix(start), code) for field, code in lists.errors],
    )


def _is_pending(person: Person, lists: Iterable[RequirementLists]) -> bool:
    return any(
        is_of(field, person.prefix)
        for one in lists
        if not one.future
        for field in one.pending_verification
    )


def _unsaid(person: Person, deadline_time: datetime | None) -> RequirementLists:
    return RequirementLists(
        capability="",
        future=False,
        currently_due=(),
        past_due=(),
        eventually_due=(),
        pending_verification=(f"{person.prefix}.{VERIFICATION}",),
        deadline_time=deadline_time,
        alternatives=(),
        errors=(),
    )
