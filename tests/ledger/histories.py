"""Random histories of a ledger, as plain data that the rules, the service and the model take."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from tests.ledger.model import Model, ModelAccount, ModelLeg

ACCOUNTS = {
    "asset": ModelAccount(debit_normal=True),
    "capped": ModelAccount(debit_normal=True, ceiling=60),
    "debt": ModelAccount(debit_normal=False),
    "purse": ModelAccount(debit_normal=False, floor=0),
}
MAX_STEPS = 30


@dataclass(frozen=True)
class Step:
    """One operation. `target` picks an earlier transaction, `amounts` parts of its entries."""

    name: str
    legs: tuple[ModelLeg, ...] = ()
    pending: bool = False
    expires_in: int | None = None
    target: int = 0
    amounts: dict[int, int] = field(default_factory=dict)
    keep: bool = False
    seconds: int = 0


@st.composite
def _creates(draw: Any) -> Step:
    sides = draw(st.lists(st.sampled_from(sorted(ACCOUNTS)), min_size=2, max_size=4, unique=True))
    amounts = draw(st.lists(st.integers(1, 50), min_size=len(sides) - 1, max_size=len(sides) - 1))
    one, many = draw(st.sampled_from([("debit", "credit"), ("credit", "debit")]))
    legs = [(sides[0], one, sum(amounts))]
    legs += [(name, many, amount) for name, amount in zip(sides[1:], amounts, strict=True)]
    pending = draw(st.booleans())
    expires_in = draw(st.none() | st.integers(0, 5)) if pending else None
    return Step("create", legs=tuple(legs), pending=pending, expires_in=expires_in)


_NO_PARTS: dict[int, int] = {}
_AMOUNTS = st.one_of(
    st.just(_NO_PARTS),
    st.integers(1, 20).map(lambda amount: {0: amount, 1: amount}),
    st.integers(1, 20).map(lambda amount: {1: amount, 3: amount}),
    st.dictionaries(st.integers(0, 3), st.integers(1, 30), max_size=2),
)
_TARGETS = st.integers(0, 100)
STEPS = st.one_of(
    _creates(),
    st.builds(Step, st.just("post"), target=_TARGETS, amounts=_AMOUNTS, keep=st.booleans()),
    st.builds(Step, st.just("void"), target=_TARGETS),
    st.builds(Step, st.just("reverse"), target=_TARGETS, amounts=_AMOUNTS),
    st.builds(Step, st.just("wait"), seconds=st.integers(1, 4)),
)
FUNDING = Step("create", legs=(("asset", "debit", 200), ("purse", "credit", 200)))
HISTORIES = st.lists(STEPS, min_size=5, max_size=MAX_STEPS).map(lambda steps: [FUNDING, *steps])


KINDS = {"post": ("pending",), "void": ("pending",), "reverse": ("direct", "post")}


def target_of(step: Step, model: Model) -> int:
    """The number of the transaction a step is about, mostly of a kind that it makes sense for."""
    model.expire_due()
    numbers = list(range(1, len(model.facts) + 1))
    fitting = [n for n in numbers if model.facts[n - 1].kind in KINDS[step.name]]
    chosen = fitting if fitting and step.target % 5 else numbers
    return chosen[step.target // 5 % len(chosen)]


def amounts_of(step: Step, model: Model, target: int) -> dict[int, int]:
    """The parts of a step that its target has; a post keeps a rest only of parts."""
    fact = model.facts[target - 1]
    count = len(fact.held) if step.name == "post" else 100
    return {index: amount for index, amount in step.amounts.items() if index < count}


def applied(step: Step, model: Model) -> str | None:
    """What the model says to a step that has a target, if it needs one."""
    if step.name == "wait":
        model.now += step.seconds
        return None
    if step.name == "create":
        expires = None if step.expires_in is None else model.now + step.expires_in
        return model.create(step.legs, pending=step.pending, expires=expires)
    target = target_of(step, model)
    amounts = amounts_of(step, model, target)
    if step.name == "post":
        return model.post(target, amounts, keep=step.keep and bool(amounts))
    if step.name == "void":
        return model.void(target)
    return model.reverse(target, amounts)
