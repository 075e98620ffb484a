"""What every request has to be like: the rules of all services of the gateway."""

from gateway.balance.validation import RULES as BALANCE_RULES
from gateway.billing.validation import RULES as BILLING_RULES
from gateway.customers.validation import RULES as CUSTOMER_RULES
from gateway.disputes.validation import RULES as DISPUTE_RULES
from gateway.foresight_service.validation import RULES as FORESIGHT_RULES
from gateway.merchants.validation import RULES as MERCHANT_RULES
from gateway.payments.api.validation import RULES as PAYMENT_RULES
from gateway.payouts.validation import RULES as PAYOUT_RULES
from gateway.reports.validation import RULES as REPORT_RULES
from gateway.routing_service.validation import RULES as ROUTING_RULES
from gateway.sigma.validation import RULES as SIGMA_RULES
from gateway.stripe_client.validation import RULES as CORRIDOR_RULES
from gateway.v1.operator_act_service_pb2 import ListOperatorActsRequest
from gateway.verifications.validation import RULES as VERIFICATION_RULES
from gateway.webhooks_out.validation import RULES as WEBHOOK_ENDPOINT_RULES
from runtime.act_messages import RULES as OPERATOR_ACT_RULES
from runtime.validation import Validator

VALIDATOR = Validator(
    {
        **PAYMENT_RULES,
        **MERCHANT_RULES,
        **CUSTOMER_RULES,
        **CORRIDOR_RULES,
        **WEBHOOK_ENDPOINT_RULES,
        **DISPUTE_RULES,
        **PAYOUT_RULES,
        **BALANCE_RULES,
        **BILLING_RULES,
        **REPORT_RULES,
        **ROUTING_RULES,
        **SIGMA_RULES,
        **FORESIGHT_RULES,
        **VERIFICATION_RULES,
        ListOperatorActsRequest: OPERATOR_ACT_RULES,
    }
)
