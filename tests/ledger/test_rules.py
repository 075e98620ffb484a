"""The rules against the model, over random histories; no database, no socket."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.accounts import NO_LAPSED, NO_LIMITS, Account, Lapsed, Limits, Side, spans
from ledger.book import Book, Source
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


ALL = 1_000


class Rules:
    """The rules as the committer uses them, one command per commit, with nothing stored.

    Before each command it records at most so many expiries.
    """

    def __init__(self, expiries: int) -> None:
        self.expiries = expiries
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
        # By the model's number, which records every expiry at once.
        self.sequence_of: dict[int, int] = {}

    def due(self, now_us: int) -> list[Source]:
        """What expires by a moment, the earliest first."""
        due = [
            (source.expire_us, sequence)
            for sequence, source in self.book.sources.items()
            if source.expire_us is not None
            and source.expire_us <= now_us
            and any(entry.remaining for entry in source.entries)
        ]
        return [self.book.sources[sequence] for _, sequence in sorted(due)]

    def lapsed(self, now_us: int) -> dict[int, Lapsed]:
        """Of the accounts what is due and not recorded, as the database adds it up."""
        sums: dict[int, Lapsed] = {}
        for source in self.due(now_us):
            for entry in source.entries:
                number = self.accounts[entry.account].number
                due_debits, due_credits = sums.get(number, NO_LAPSED)
                if entry.side is Side.DEBIT:
                    sums[number] = (due_debits + entry.remaining, due_credits)
                else:
                    sums[number] = (due_debits, due_credits + entry.remaining)
        return sums

    def expire_due(self, now_us: int, most: int) -> None:
        deciding = Deciding("model", self.head, self.book, {}, now_us)
        deciding.expire([source.sequence for source in self.due(now_us)[:most]])
        self._keep(deciding)

    def decide(self, action: Action, number: int, now_us: int) -> str | None:
        self.expire_due(now_us, self.expiries)
        self.book.lapsed = self.lapsed(now_us)
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


def action_of(step: Step, model: Model, sequence_of: dict[int, int]) -> Action | None:
    """The step's action; None where it is about an expiry that only the model has recorded."""
    if step.name == "create":
        expires = None if step.expires_in is None else model.now + step.expires_in
        return Draft(
            [(name, SIDES[side], amount, "EUR", None) for name, side, amount in step.legs],
            step.pending,
            None if expires is None else expires * MICROS_PER_SECOND,
        )
    target = target_of(step, model)
    amounts = amounts_of(step, model, target)
    if target not in sequence_of:
        return None
    target = sequence_of[target]
    if step.name == "post":
        return Post(target, list(amounts.items()), step.keep and bool(amounts))
    if step.name == "void":
        return Void(target)
    return Reverse(target, list(amounts.items()))


@settings(max_examples=300, deadline=None)
@given(HISTORIES, st.sampled_from((0, 1, 2, ALL)))
def test_the_rules_decide_as_the_model_does(history: list[Step], expiries: int) -> None:
    """However many expiries are recorded: holds count by time."""
    rules, model = Rules(expiries), Model(ACCOUNTS)
    for number, step in enumerate(history):
        if step.name == "wait":
            applied(step, model)
            continue
        model.expire_due()
        before = len(model.facts)
        action = action_of(step, model, rules.sequence_of)
        if action is None:
            continue
        now_us = model.now * MICROS_PER_SECOND
        assert rules.decide(action, number, now_us) == applied(step, model), step
        if len(model.facts) > before:
            rules.sequence_of[len(model.facts)] = rules.records[-1].sequence
        assert_equal_balances(rules, model, now_us)
    model.expire_due()
    rules.expire_due(model.now * MICROS_PER_SECOND, ALL)
    assert_sound(rules, model)


def assert_equal_balances(rules: Rules, model: Model, now_us: int) -> None:
    lapsed = rules.lapsed(now_us)
    for name, account in rules.accounts.items():
        due = lapsed.get(account.number, NO_LAPSED)
        posted, lowest, highest = spans(account.totals, account.normal, due)
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
