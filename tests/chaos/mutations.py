"""Defects that are put into a gateway's process from outside, to show that the judge sees them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

MUTATION_VARIABLE = "CHAOS_MUTATION"


@dataclass(frozen=True)
class Mutation:
    """A defect by name."""

    name: str
    install: Callable[[], None]


MUTATIONS: Mapping[str, Mutation] = {}
