"""What every request has to be like: the rules of all services of the gateway."""

from gateway.customers.validation import RULES as CUSTOMER_RULES
from gateway.disputes.validation import RULES as DISPUTE_RULES
from gateway.merchants.validation import RULES as MERCHANT_RULES
from gateway.outgoing.validation import RULES as WEBHOOK_ENDPOINT_RULES
from gateway.payments.validation import RULES as PAYMENT_RULES
from gateway.payouts.validation import RULES as PAYOUT_RULES
from gateway.rails.validation import RULES as RAIL_RULES
from runtime.validation import Validator

VALIDATOR = Validator(
    {
        **PAYMENT_RULES,
        **MERCHANT_RULES,
        **CUSTOMER_RULES,
        **RAIL_RULES,
        **WEBHOOK_ENDPOINT_RULES,
        **DISPUTE_RULES,
        **PAYOUT_RULES,
    }
)
