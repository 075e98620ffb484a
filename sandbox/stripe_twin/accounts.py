"""The Stripe accounts that exist in a new twin, with their keys and webhook secrets.

Everything here is a fixed test value that opens nothing outside this twin.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PlatformAccount:
    """An account that has its own secret key, as opposed to a connected account.

    `webhook_secret` signs what goes to an endpoint registered without a secret of its own.
    `latency_seconds` is what each of its answers takes, as a region far away does.
    """

    name: str
    account_id: str
    secret_key: str
    webhook_secret: str
    country: str = "US"
    default_currency: str = "usd"
    latency_seconds: float = 0.0


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

EUROPE_ACCOUNT = PlatformAccount(
    name="europe",
    account_id="acct_twineurope00001",
    secret_key="sk_test_twin_europe",
    webhook_secret="whsec_twin_europe",
    country="IE",
    default_currency="eur",
)

JAPAN_ACCOUNT = PlatformAccount(
    name="japan",
    account_id="acct_twinjapan000001",
    secret_key="sk_test_twin_japan",
    webhook_secret="whsec_twin_japan",
    country="JP",
    default_currency="jpy",
    latency_seconds=0.12,
)

# The accounts that the sandbox gives to the gateway as corridors.
ACCOUNTS = (DEFAULT_ACCOUNT, BACKUP_ACCOUNT)
# Those that every twin has.
ALL_ACCOUNTS = (*ACCOUNTS, EUROPE_ACCOUNT, JAPAN_ACCOUNT)
