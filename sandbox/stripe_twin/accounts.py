"""The Stripe accounts that exist in a new twin, with their keys and webhook secrets.

Everything here is a fixed test value that opens nothing outside this twin.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlatformAccount:
    """An account that has its own secret key, as opposed to a connected account.

    `webhook_secret` signs what goes to an endpoint registered without a secret of its own.
    """

    name: str
    account_id: str
    secret_key: str
    webhook_secret: str
    country: str = "US"
    default_currency: str = "usd"


DEFAULT_ACCOUNT = PlatformAccount(
    name="default",
    account_id="acct_twindefault0001",
    secret_key="sk_test_twin_default",
    webhook_secret="whsec_twin_default",
)

BACKUP_ACCOUNT = PlatformAccount(
    name="backup",
    account_id="acct_twinbackup00001",
    secret_key="sk_test_twin_backup",
    webhook_secret="whsec_twin_backup",
)

ACCOUNTS = (DEFAULT_ACCOUNT, BACKUP_ACCOUNT)
