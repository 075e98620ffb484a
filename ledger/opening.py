"""The rule of new accounts."""

from collections.abc import Sequence

from ledger.accounts import Account
from ledger.book import Book
from ledger.commands import NewAccount
from ledger.refusal import Reason, Refusal, at_item


def new_accounts(
    book: Book,
    asked_for: Sequence[NewAccount],
    first_number: int,
    create_us: int,
    *,
    is_batch: bool,
) -> list[Account]:
    """Adds accounts to the book, numbered from `first_number`: all of them, or `Refusal`.

    The refusal of a batch names the account at fault by its `item_index`.
    """
    names: set[str] = set()
    for index, new in enumerate(asked_for):
        if new.name in book.accounts or new.name in names:
            refusal = Refusal(
                Reason.ACCOUNT_ALREADY_EXISTS,
                f"there is an account {new.name} already",
                {"account": new.name},
            )
            raise at_item(refusal, index) if is_batch else refusal
        names.add(new.name)
    made = [
        Account(
            number=number,
            name=new.name,
            currency=new.currency,
            normal=new.normal,
            limits=new.limits,
            create_us=create_us,
            metadata=new.metadata,
        )
        for number, new in enumerate(asked_for, first_number)
    ]
    book.accounts.update({account.name: account for account in made})
    return made
