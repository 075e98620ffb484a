"""What never changes of an account, as the line of canonical JSON that checkpoints cover.

The text is what RFC 8785 makes of it, with decimal strings for numbers; docs/proofs.md has the
keys. An account's balance and closing are not in it: they come with transactions, or later.
"""

import json

from ledger.accounts import Account
from ledger.times import text_of


def account_line(account: Account) -> bytes:
    """The line that is exported and hashed, without a line end."""
    limits = {
        name: str(bound)
        for name, bound in (
            ("max_available", account.limits.max_available),
            ("max_posted", account.limits.max_posted),
            ("min_available", account.limits.min_available),
            ("min_posted", account.limits.min_posted),
        )
        if bound is not None
    }
    line: dict[str, object] = {
        "create_time": text_of(account.create_us),
        "currency": account.currency,
    }
    if limits:
        line["limits"] = limits
    if account.metadata:
        # RFC 8785, section 3.2.3: keys are ordered by their UTF-16 code units.
        line["metadata"] = dict(
            sorted(account.metadata.items(), key=lambda item: item[0].encode("utf-16-be"))
        )
    line["name"] = account.name
    line["normal_balance"] = account.normal.name
    line["number"] = str(account.number)
    return json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode()
