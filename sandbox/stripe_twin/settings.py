"""What can be set about a twin, at its start or later by the admin API."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MINUTE = 60.0
HOUR = 60.0 * MINUTE
DAY = 24.0 * HOUR

# Stripe retries for up to three days with exponential backoff; the twin's first steps are short so
# that a demo does not wait, and its clock can be advanced through the rest.
RETRY_DELAYS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, MINUTE, 5 * MINUTE, HOUR, 6 * HOUR, DAY)


Currency = Annotated[str, Field(pattern="^[a-z]{3}$")]


class Conversion(BaseModel):
    """What a currency settles in, and how many minor units of that one of its own brings."""

    model_config = ConfigDict(extra="forbid")

    currency: Currency
    rate: float = Field(gt=0.0)


class TwinSettings(BaseModel):
    """How this twin behaves; all times in seconds of the twin's clock.

    `strict_idempotency` refuses POSTs without a key, which Stripe itself allows: the engine must
    never send one. `requests_per_second` and `endpoint_requests_per_second` are rate limits of
    each account and of each of its endpoints, `concurrent_requests` of an account's requests under
    way, `intent_updates_per_hour` of the POSTs to one PaymentIntent; None for no limit. With
    `object_locks` a POST to an object that another one is acting on gets 429 `lock_timeout`.
    `settlement_seconds` is how long after the answer the balance transaction of an
    `automatic_async` capture comes. `signature_skew_seconds` moves the time stamp that webhooks
    are signed with, which is otherwise the base clock's: advancing the twin does not make its
    signatures come from the future. `search_lag_seconds` is how long a new object stays out of
    search results, at Stripe up to a minute. `max_events` is how many events of each account are
    kept, the newest ones; at Stripe all of 30 days are. `conversions` are the currencies that
    settle in another, at today's rate: change it, and what moves from then on has the new one.
    `processing_seconds` is how long a bank takes to decide about what is `processing`;
    `processing_cancelable` whether that can be canceled meanwhile, as at Stripe in rare cases.
    `debit_seconds` is how long a bank takes to pay or refuse a bank debit, `debit_return_seconds`
    how long after it has paid it takes back what it returns at all.
    With `refunds_need_balance` a refund that the available balance does not cover is pending until
    it does, as at Stripe; looked at every `async_refund_seconds`. `minimum_balances` are the minor
    units by currency that automatic payouts leave behind. `trace_seconds` is how long after one
    was paid its bank's reference comes, at Stripe up to ten days; nothing tells of it.
    `reconciliation_seconds` is how long Stripe works out what an automatic payout contains.
    `payout_limits` are the minor units by currency above which automatic payouts are split; whether
    the first of them lists the parts' own balance transactions, too, Stripe does not say:
    `parts_listed_in_primary`. With `debit_negative_balances` an automatic payout takes from the
    bank what the available balance is below zero. `instant_fee_basis_points` is the fee of an
    instant payout, a balance transaction of its own here; Stripe does not say how it books it.
    `report_lag_seconds` is how long after a day of UTC its data is in reports, `report_seconds`
    how long a report takes. `sigma_lag_seconds` is how old the data of Sigma's queries is, about
    three hours at Stripe. `radar_blocks_highest` and `radar_reviews_elevated` are Radar's default
    rules, which block what has the highest risk and put elevated risk before people;
    `radar_scores` is whether the account has Radar for Fraud Teams, and so scores.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    strict_idempotency: bool = True
    requests_per_second: int | None = Field(default=None, ge=1)
    endpoint_requests_per_second: int | None = Field(default=None, ge=1)
    concurrent_requests: int | None = Field(default=None, ge=1)
    intent_updates_per_hour: int | None = Field(default=1_000, ge=1)
    object_locks: bool = False
    settlement_seconds: float = Field(default=0.0, ge=0.0)
    async_refund_seconds: float = Field(default=MINUTE, ge=0.0)
    authorization_seconds: float = Field(default=7 * DAY, gt=0.0)
    processing_seconds: float = Field(default=26 * HOUR, ge=0.0)
    processing_cancelable: bool = True
    debit_seconds: float = Field(default=4 * DAY, ge=0.0)
    debit_return_seconds: float = Field(default=0.0, ge=0.0)
    webhook_retry_seconds: tuple[float, ...] = RETRY_DELAYS_SECONDS
    webhook_timeout_seconds: float = Field(default=10.0, gt=0.0)
    webhook_concurrency: int = Field(default=8, ge=1, le=64)
    signature_skew_seconds: float = 0.0
    tax_verification_seconds: float = Field(default=0.0, ge=0.0)
    search_lag_seconds: float = Field(default=0.0, ge=0.0)
    max_events: int = Field(default=100_000, ge=1)
    conversions: dict[Currency, Conversion] = {}
    refunds_need_balance: bool = False
    trace_seconds: float = Field(default=0.0, ge=0.0)
    minimum_balances: dict[Currency, Annotated[int, Field(ge=1)]] = {}
    reconciliation_seconds: float = Field(default=0.0, ge=0.0)
    payout_limits: dict[Currency, Annotated[int, Field(ge=100)]] = {}
    parts_listed_in_primary: bool = False
    debit_negative_balances: bool = True
    instant_fee_basis_points: int = Field(default=0, ge=0, le=10_000)
    report_lag_seconds: float = Field(default=12 * HOUR, ge=0.0)
    report_seconds: float = Field(default=0.0, ge=0.0)
    sigma_lag_seconds: float = Field(default=3 * HOUR, ge=0.0)
    radar_blocks_highest: bool = True
    radar_reviews_elevated: bool = False
    radar_scores: bool = True
