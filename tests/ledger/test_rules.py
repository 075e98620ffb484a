"""The rules against the model, over random histories; no database, no socket."""

from hypothesis import given, settings

from ledger.accounts import NO_LIMITS, Account, Limits, Side, spans
from ledger.book import Book
from ledger.commands import Action, Command, Decided, Item, Operation, Record
from ledger.deciding import Deciding
from ledger.plan import Head
from ledger.posting import Draft
from ledger.refusal import Refusal
from ledger.settlement import Post, Reverse, Void
from ledger.sources import source_of
from ledger.times import MICROS_PER_SECOND, text_of
from tests.ledger.histories import ACCOUNTS, HISTORIES, Step, amounts_of, applied, target_of
from tests.ledger.model import Model

SIDES = {"debit": Side.DEBIT, "credit": Side.CREDIT}
OPERATIONS = {
    Draft: Operation.CREATE,
    Post: Operation.POST,
    Void: Operation.VOID,
    Reverse: Operation.REVERSE,
}


class Rules:
    """The rules as the committer uses them, one command per commit, with nothing stored."""

    def __init__(self) -> None:
        self.accounts = {
            name: Account(
                number=number,
                name=name,
                currency="EUR",
                normal=Side.DEBIT if account.debit_normal else Side.CREDIT,
                limits=(
                    Limits(min_available=account.floor, max_available=account.ceiling)
                    if account.floor is not None or account.ceiling is not None
                    else NO_LIMITS
                ),
                create_us=0,
            )
            for number, (name, account) in enumerate(ACCOUNTS.items(), start=1)
        }
        self.book = Book(self.accounts, text_of)
        self.head = Head(0, None, 0, 0, len(self.accounts), None)
        self.records: list[Record] = []

    def expire_due(self, now_us: int) -> None:
        due = [
            (source.expire_us, sequence)
            for sequence, source in self.book.sources.items()
            if source.expire_us is not None
            and source.expire_us <= now_us
            and any(entry.remaining for entry in source.entries)
        ]
        deciding = Deciding("model", self.head, self.book, {}, now_us)
        deciding.expire([sequence for _, sequence in sorted(due)])
        self._keep(deciding)

    def decide(self, action: Action, number: int, now_us: int) -> str | None:
        self.expire_due(now_us)
        operation = OPERATIONS[type(action)]
        item = Item(operation, f"r{number}", b"", action, None, "")
        command = Command(operation, item.request_id, b"", items=[item])
        deciding = Deciding("model", self.head, self.book, {}, now_us)
        (outcome,) = deciding.decide([command]).outcomes
        self._keep(deciding)
        if isinstance(outcome, Refusal):
            return outcome.reason.value
        assert isinstance(outcome, Decided)
        return None

    def _keep(self, deciding: Deciding) -> None:
        self.records += deciding.plan.records
        self.head = deciding.plan.head_after()
        for record in deciding.plan.records:
            self.book.sources.setdefault(record.sequence, source_of(record))


def action_of(step: Step, model: Model) -> Action:
    if step.name == "create":
        expires = None if step.expires_in is None else model.now + step.expires_in
        return Draft(
            [(name, SIDES[side], amount, "EUR", None) for name, side, amount in step.legs],
            step.pending,
            None if expires is None else expires * MICROS_PER_SECOND,
        )
    target = target_of(step, model)
    amounts = amounts_of(step, model, target)
    if step.name == "post":
        return Post(target, list(amounts.items()), step.keep and bool(amounts))
    if step.name == "void":
        return Void(target)
    return Reverse(target, list(amounts.items()))


@settings(max_examples=300, deadline=None)
@given(HISTORIES)
def test_the_rules_decide_as_the_model_does(history: list[Step]) -> None:
    rules, model = Rules(), Model(ACCOUNTS)
    for number, step in enumerate(history):
        if step.name == "wait":
            applied(step, model)
            continue
        action = action_of(step, model)
        now_us = model.now * MICROS_PER_SECOND
        assert rules.decide(action, number, now_us) == applied(step, model), step
        assert_equal_balances(rules, model)
    assert_sound(rules, model)


def assert_equal_balances(rules: Rules, model: Model) -> None:
    for name, account in rules.accounts.items():
        posted, lowest, highest = spans(account.totals, account.normal)
        assert posted == model.posted(name)
        assert (lowest, highest) == (model.available(name), model.highest(name))


def assert_sound(rules: Rules, model: Model) -> None:
    """What must be true of any ledger, whatever happened."""
    assert len(rules.records) == len(model.facts)
    assert [record.sequence for record in rules.records] == list(range(1, len(model.facts) + 1))
    versions = dict.fromkeys(rules.accounts, 0)
    for record in rules.records:
        by_effect: dict[int, int] = {}
        for account, side, effect, amount, _, *totals in record.entries:
            assert amount > 0
            signed = amount if side is Side.DEBIT else -amount
            by_effect[effect] = by_effect.get(effect, 0) + signed
            versions[account.name] += 1
            assert totals[4] == versions[account.name]
            assert min(totals) >= 0
        assert set(by_effect.values()) == {0}
    assert model.available("purse") >= 0
    assert model.highest("capped") <= 60
