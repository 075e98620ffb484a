"""Which roles may call which methods of the gateway, and what clients may be bound to.

Clients are merchants' shops and platforms' back ends. Operators may do what clients may, and keep
the corridors. Finance reads what moved money; support reads payments and customers' cases, neither
payouts nor secrets. The only service that calls the gateway is compliance: about merchants,
people's identity and how payments end. What reconciles the books reads as finance does.
"""

import re

from runtime.rights import Binding, Rights, Role, changes, reads

CLIENT, OPERATOR, FINANCE, SUPPORT = Role.CLIENT, Role.OPERATOR, Role.FINANCE, Role.SUPPORT
MAKERS = CLIENT, OPERATOR
OF_MERCHANTS = *MAKERS, Role.SERVICE

RIGHTS: Rights = {
    "gateway.v1.PaymentService": {
        "CreatePayment": changes("merchant_id", *MAKERS),
        "ConfirmPayment": changes("payment_id", *MAKERS),
        "CapturePayment": changes("payment_id", *MAKERS),
        "CancelPayment": changes("payment_id", *MAKERS),
        "RefundPayment": changes("payment_id", *MAKERS),
        # Without the client's secret for those who may only read.
        "GetPayment": reads(*MAKERS, FINANCE, SUPPORT),
        "ListPayments": reads(*MAKERS, FINANCE, SUPPORT),
        # Compliance counts what became of payments.
        "WatchPayments": reads(*MAKERS, FINANCE, SUPPORT, Role.SERVICE),
    },
    "gateway.v1.CustomerService": {
        "CreateCustomer": changes("customer_id", *MAKERS),
        "GetCustomer": reads(*MAKERS, SUPPORT),
        "ListCustomers": reads(*MAKERS, SUPPORT),
        "UpdateCustomer": changes("customer_id", *MAKERS),
        "DeleteCustomer": changes("customer_id", *MAKERS),
        "SavePaymentMethod": changes("customer_id", *MAKERS),
        # Its answer has the client's secret.
        "GetPaymentMethodSetup": reads(*MAKERS),
        "ListPaymentMethods": reads(*MAKERS, SUPPORT),
        "SetDefaultPaymentMethod": changes("customer_id", *MAKERS),
        "DetachPaymentMethod": changes("customer_id", *MAKERS),
    },
    "gateway.v1.WebhookEndpointService": {
        "CreateWebhookEndpoint": changes("merchant_id", *MAKERS),
        "GetWebhookEndpoint": reads(*MAKERS),
        "ListWebhookEndpoints": reads(*MAKERS),
        "UpdateWebhookEndpoint": changes("endpoint_id", *MAKERS),
        "DeleteWebhookEndpoint": changes("endpoint_id", *MAKERS),
        "RotateWebhookSecret": changes("endpoint_id", *MAKERS),
        "ListWebhookDeliveries": reads(*MAKERS),
        "ReplayWebhookDelivery": changes("endpoint_id", *MAKERS),
        "ReplayWebhookEvents": changes("endpoint_id", *MAKERS),
    },
    "gateway.v1.DisputeService": {
        "GetDispute": reads(*MAKERS, FINANCE, SUPPORT),
        "ListDisputes": reads(*MAKERS, FINANCE, SUPPORT, Role.SERVICE),
        "SubmitDisputeEvidence": changes("dispute_id", *MAKERS),
        "AcceptDispute": changes("dispute_id", *MAKERS),
    },
    "gateway.v1.PayoutService": {
        "CreatePayout": changes("merchant_id", *MAKERS),
        "CancelPayout": changes("payout_id", *MAKERS),
        "GetPayout": reads(*MAKERS, FINANCE),
        "ListPayouts": reads(*MAKERS, FINANCE),
        "ListPayoutTransactions": reads(*MAKERS, FINANCE),
        # Of the platform and of all merchants.
        "WatchPayouts": reads(OPERATOR, FINANCE),
    },
    # Of the whole platform's balances: none of it is one merchant's.
    "gateway.v1.BalanceTransactionService": {
        "ListBalanceTransactions": reads(OPERATOR, FINANCE),
        "WatchBalanceTransactions": reads(OPERATOR, FINANCE),
        "ListBalances": reads(OPERATOR, FINANCE),
    },
    # Invoices and subscriptions of the platform's own customers.
    "gateway.v1.BillingService": {
        "ListInvoices": reads(OPERATOR, FINANCE),
        "ListSubscriptions": reads(OPERATOR, FINANCE),
        "WatchBilling": reads(OPERATOR, FINANCE),
    },
    # It asks Stripe for a file, and changes nothing there.
    "gateway.v1.ReportService": {
        "ListReports": reads(OPERATOR, FINANCE),
        "ReadReport": reads(OPERATOR, FINANCE),
        "ReadReportFile": reads(OPERATOR, FINANCE),
    },
    # Results of the platform's own queries.
    "gateway.v1.SigmaService": {
        "ListSigmaRuns": reads(OPERATOR, FINANCE),
        "GetSigmaRun": reads(OPERATOR, FINANCE),
        "ReadSigmaFile": reads(OPERATOR, FINANCE),
        "WatchSigmaRuns": reads(OPERATOR, FINANCE),
    },
    # How much routing is allowed is the operators'. Who sees a payment may ask why it went there.
    "gateway.v1.RoutingService": {
        "ExplainRouting": reads(*MAKERS, SUPPORT),
        "ListModels": reads(OPERATOR),
        "TrainModel": changes("start_time.seconds end_time.seconds", OPERATOR),
        "PromoteModel": changes("model_version step", OPERATOR),
        "RollBackModel": changes("model_version", OPERATOR),
        "EvaluatePolicy": reads(OPERATOR),
        "GetRoutingReport": reads(OPERATOR, FINANCE),
    },
    "gateway.v1.MerchantService": {
        "CreateMerchant": changes("merchant_id", *MAKERS),
        "GetMerchant": reads(*OF_MERCHANTS, FINANCE),
        "ListMerchants": reads(*OF_MERCHANTS, FINANCE),
        # It writes down what Stripe says.
        "SyncMerchant": changes("merchant_id", *OF_MERCHANTS),
        "WatchMerchants": reads(*OF_MERCHANTS),
        "CreateOnboardingLink": changes("merchant_id", *OF_MERCHANTS),
        # Compliance has looked at the document before.
        "CreateFile": changes("merchant_id purpose", Role.SERVICE),
        "AttachFiles": changes("merchant_id field", Role.SERVICE),
        "GetTaxSettings": reads(*OF_MERCHANTS, FINANCE),
        "ListTaxRegistrations": reads(*OF_MERCHANTS, FINANCE),
        "CreateTaxId": changes("owner.merchant_id", *MAKERS),
        # Its answer has the whole number.
        "GetTaxId": reads(*OF_MERCHANTS),
        "ListTaxIds": reads(*OF_MERCHANTS),
        "DeleteTaxId": changes("owner.merchant_id tax_id_id", *MAKERS),
    },
    # Compliance asks on behalf of subjects, and operators ask it.
    "gateway.v1.VerificationService": {
        "CreateVerification": changes("subject_id", Role.SERVICE),
        # Its answer is a secret of the person's.
        "CreateVerificationLink": reads(Role.SERVICE),
        "GetVerification": reads(OPERATOR, Role.SERVICE),
        "ListVerifications": reads(OPERATOR, Role.SERVICE),
        "CancelVerification": changes("verification_id", Role.SERVICE),
        "RedactVerification": changes("verification_id", Role.SERVICE),
        "WatchVerifications": reads(OPERATOR, Role.SERVICE),
    },
    "gateway.v1.CorridorService": {
        "GetCorridorHealth": reads(OPERATOR),
        "SetCorridorMode": changes("corridor mode", OPERATOR),
        "ListDeadLetters": reads(OPERATOR),
        "ReplayDeadLetter": changes("event_id", OPERATOR),
    },
    "gateway.v1.ForesightService": {
        "GetForecast": reads(OPERATOR),
        "ListIncidents": reads(OPERATOR),
        "WatchIncidents": reads(OPERATOR),
        "GetForesightRecord": reads(OPERATOR),
    },
    "gateway.v1.OperatorActService": {
        "ListOperatorActs": reads(OPERATOR),
    },
}
DEFAULT_CLIENT_ROLES = {
    "client": "client",
    "operator": "operator",
    "finance": "finance",
    "support": "support",
    "compliance": "service",
    "reconciliation": "finance",
}
# As requests name them.
MERCHANTS = Binding("merchants", re.compile(r"[A-Za-z0-9_-]+"), 64)
