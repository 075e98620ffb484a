"""The tables of facts. Nothing personal is among their columns: no names, texts, notes, tokens.

What a client or an operator has written (descriptions, metadata, statement texts, notes), who an
operator is, what a decision says in words, and what is charged are left out on purpose. Ids of
merchants and customers are the subject ids of compliance.
"""

from warehouse.facts.columns import (
    Kind,
    Table,
    boolean,
    integer,
    json_text,
    required,
    text,
    time,
)

# Names of the sources, as the command and the warehouse say them.
PAYMENTS = "payments"
BALANCE_TRANSACTIONS = "balance transactions"
DISPUTES = "disputes"
PAYOUTS = "payouts"
BREAKS = "breaks"
MATCHES = "matches"
BILLING = "billing"
DECISIONS = "decisions"
SIGMA = "sigma"
REPORT_FILES = "report files"

PAYMENT = Table(
    name="payment_version",
    view="payment",
    source=PAYMENTS,
    kind=Kind.CHANGES,
    key=("payment_id",),
    columns=(
        *required(text("transition"), text("payment_id"), time("record_time")),
        *(text("previous_state"), text("state"), text("merchant_id"), text("customer_id")),
        *(text("corridor"), text("currency"), integer("amount_minor")),
        *(integer("amount_authorized_minor"), integer("amount_captured_minor")),
        *(integer("amount_refunded_minor"), integer("amount_disputed_minor")),
        *(text("fee_currency"), integer("fee_minor")),
        *(text("payment_method_type"), text("capture_method"), boolean("off_session")),
        *(text("billing_country_code"), text("destination_account_id")),
        *(integer("application_fee_minor"), integer("application_fee_captured_minor")),
        *(text("application_fee_refunded_currency"), integer("application_fee_refunded_minor")),
        *(text("transfer_reversed_currency"), integer("transfer_reversed_minor")),
        *(text("stripe_payment_intent_id"), text("stripe_charge_id")),
        *(text("decline_code"), text("network_decline_code"), text("failure_code")),
        *(text("stripe_failure_code"), text("compliance_verdict"), text("decision_id")),
        *(integer("failover_count"), integer("revision")),
        *(time("create_time"), time("update_time")),
        # What Radar and the network made of the charge.
        *(text("radar_outcome_type"), text("radar_risk_level"), integer("radar_risk_score")),
        *(text("radar_network_status"), text("radar_reason"), text("radar_advice_code")),
        *(text("radar_network_advice_code"), text("radar_network_decline_code")),
        *(text("three_d_secure_request"), text("three_d_secure_rule")),
    ),
)
PAYMENT_OPERATION = Table(
    name="payment_operation_version",
    view="payment_operation",
    source=PAYMENTS,
    kind=Kind.VERSIONS,
    key=("operation_id",),
    columns=(
        *required(text("operation_id"), text("payment_id"), text("kind"), text("state")),
        *(integer("operation_index"), integer("send_count"), text("failure_code")),
        *(text("stripe_failure_code"), time("create_time"), time("end_time")),
    ),
    scope="payment_id",
)
REFUND = Table(
    name="refund_version",
    view="refund",
    source=PAYMENTS,
    kind=Kind.VERSIONS,
    key=("refund_id",),
    columns=(
        *required(text("refund_id"), text("payment_id"), text("state")),
        *required(text("currency"), integer("amount_minor")),
        *(text("reason"), text("stripe_refund_id"), text("failure_code"), text("pending_reason")),
        *(boolean("reverse_transfer"), boolean("refund_application_fee")),
        *(time("create_time"), time("update_time")),
    ),
    scope="payment_id",
)
BALANCE_TRANSACTION = Table(
    name="balance_transaction_version",
    view="balance_transaction",
    source=BALANCE_TRANSACTIONS,
    kind=Kind.CHANGES,
    key=("corridor", "balance_transaction_id"),
    columns=(
        *required(text("corridor"), text("balance_transaction_id"), text("type")),
        *required(text("currency"), integer("net_minor"), time("record_time")),
        *(text("reporting_category"), integer("gross_minor"), integer("fee_minor")),
        *(json_text("fee_details"), text("exchange_rate")),
        *(text("source_id"), text("source_type"), text("stripe_payout_id")),
        *(text("balance_type"), boolean("is_available")),
        *(time("stripe_create_time"), time("available_time")),
        *(text("payment_id"), text("merchant_id"), text("state"), text("reason")),
    ),
)
INVOICE = Table(
    name="invoice_version",
    view="invoice",
    source=BILLING,
    kind=Kind.CHANGES,
    key=("corridor", "invoice_id"),
    columns=(
        *required(text("corridor"), text("invoice_id"), text("status"), time("record_time")),
        *(text("number"), text("customer_id"), text("subscription_id")),
        *(text("billing_reason"), text("collection_method"), text("currency")),
        *(integer("subtotal_minor"), integer("tax_minor"), integer("total_minor")),
        *(integer("amount_due_minor"), integer("amount_paid_minor")),
        *(integer("amount_remaining_minor"), time("period_start_time"), time("period_end_time")),
        *(time("due_time"), time("stripe_create_time"), time("finalize_time"), time("pay_time")),
        *(time("void_time"), time("uncollectible_time")),
    ),
)
INVOICE_PAYMENT = Table(
    name="invoice_payment_version",
    view="invoice_payment",
    source=BILLING,
    kind=Kind.CHANGES,
    key=("corridor", "invoice_payment_id"),
    columns=(
        *required(text("corridor"), text("invoice_payment_id"), text("invoice_id")),
        *required(text("status"), time("record_time")),
        *(text("stripe_payment_intent_id"), text("stripe_charge_id"), text("payment_record_id")),
        *(text("currency"), integer("amount_requested_minor"), integer("amount_paid_minor")),
        *(boolean("is_default"), time("stripe_create_time"), time("pay_time")),
        time("cancel_time"),
    ),
)
CREDIT_NOTE = Table(
    name="credit_note_version",
    view="credit_note",
    source=BILLING,
    kind=Kind.CHANGES,
    key=("corridor", "credit_note_id"),
    columns=(
        *required(text("corridor"), text("credit_note_id"), text("invoice_id")),
        *required(text("status"), time("record_time")),
        *(text("number"), text("customer_id"), text("type"), text("reason"), text("currency")),
        *(integer("subtotal_minor"), integer("tax_minor"), integer("total_minor")),
        *(integer("pre_payment_minor"), integer("post_payment_minor"), json_text("refund_ids")),
        *(time("stripe_create_time"), time("void_time")),
    ),
)
SUBSCRIPTION = Table(
    name="subscription_version",
    view="subscription",
    source=BILLING,
    kind=Kind.CHANGES,
    key=("corridor", "subscription_id"),
    columns=(
        *required(text("corridor"), text("subscription_id"), text("status")),
        *required(text("currency"), json_text("items"), time("record_time")),
        *(text("customer_id"), text("collection_method"), text("pause_behavior")),
        *(text("latest_invoice_id"), boolean("cancel_at_period_end"), time("start_time")),
        *(time("trial_start_time"), time("trial_end_time"), time("cancel_at_time")),
        *(time("cancel_time"), time("end_time"), time("stripe_create_time")),
    ),
)
DISPUTE = Table(
    name="dispute_version",
    view="dispute",
    source=DISPUTES,
    kind=Kind.VERSIONS,
    key=("dispute_id",),
    columns=(
        *required(text("dispute_id"), text("payment_id"), text("state")),
        *required(text("currency"), integer("amount_minor")),
        *(text("merchant_id"), text("fee_currency"), integer("fee_minor"), text("reason")),
        *(time("evidence_due_time"), integer("evidence_submission_count")),
        *(text("stripe_dispute_id"), time("effective_time")),
        *(time("create_time"), time("update_time")),
    ),
)
PAYOUT = Table(
    name="payout_version",
    view="payout",
    source=PAYOUTS,
    kind=Kind.VERSIONS,
    key=("payout_id",),
    columns=(
        *required(text("payout_id"), text("state"), text("currency"), integer("amount_minor")),
        *(text("corridor"), text("merchant_id"), text("connected_account_id")),
        *(boolean("is_automatic"), text("stripe_payout_id"), text("failure_code")),
        *(text("method"), text("source_type"), text("destination_type"), text("destination_id")),
        *(text("reconciliation_status"), text("trace_id_status"), text("trace_id")),
        *(text("original_payout_id"), text("reversed_by_payout_id"), boolean("was_paid")),
        *(time("arrival_time"), time("return_time"), time("stripe_create_time")),
        *(time("create_time"), time("update_time")),
    ),
)
BREAK_EVENT = Table(
    name="break_event_version",
    view="break_event",
    source=BREAKS,
    kind=Kind.CHANGES,
    key=("sequence",),
    columns=(
        *required(integer("break_id"), text("kind"), time("record_time")),
        boolean("is_assigned"),
    ),
)
BREAK = Table(
    name="break_version",
    view="reconciliation_break",
    source=BREAKS,
    kind=Kind.VERSIONS,
    key=("break_id",),
    columns=(
        *required(integer("break_id"), text("kind"), boolean("is_ended"), boolean("is_assigned")),
        *(
            text("leg"),
            text("corridor"),
            json_text("amounts"),
            json_text("items"),
            json_text("proposal"),
        ),
        *(time("since_time"), time("due_time"), time("overdue_time")),
    ),
)
MATCH = Table(
    name="match_version",
    view="reconciliation_match",
    source=MATCHES,
    kind=Kind.VERSIONS,
    key=("match_id",),
    columns=(
        *required(integer("match_id"), text("leg"), text("rule")),
        *required(json_text("allocations"), boolean("is_by_person")),
        *(time("create_time"), time("revoke_time")),
    ),
)
DECISION = Table(
    name="decision_version",
    view="decision",
    source=DECISIONS,
    kind=Kind.CHANGES,
    key=("sequence",),
    columns=(
        *required(text("decision_id"), text("verdict"), text("hash"), text("previous_hash")),
        *(text("kind"), text("request_id"), text("reference_id"), text("merchant_id")),
        *(text("customer_id"), text("currency"), integer("amount_minor")),
        *(json_text("reasons"), text("policy_version"), text("case_id")),
        *(time("as_of_time"), time("record_time")),
    ),
)

SIGMA_RUN = Table(
    name="sigma_run_version",
    view="sigma_run",
    source=SIGMA,
    kind=Kind.CHANGES,
    key=("corridor", "run_id"),
    columns=(
        *required(text("corridor"), text("run_id"), text("state"), text("file_state")),
        *required(time("record_time")),
        *(text("title"), text("sql_sha256"), text("stripe_file_id"), text("file_sha256")),
        *(integer("file_size_bytes"), integer("row_count"), text("file_problem")),
        *(time("stripe_create_time"), time("data_load_time"), time("available_until_time")),
    ),
)
SIGMA_FILE = Table(
    name="sigma_file_version",
    view="sigma_file",
    source=SIGMA,
    kind=Kind.VERSIONS,
    key=("file_id",),
    columns=(
        *required(text("file_id"), text("corridor"), text("run_id"), text("title")),
        *required(text("table_name"), text("file_sha256"), integer("size_bytes")),
        *required(integer("row_count"), text("rows_sha256"), json_text("headings")),
    ),
)
# With `problem` it is not here: Stripe does not give it out.
REPORT_FILE = Table(
    name="report_file_version",
    view="report_file",
    source=REPORT_FILES,
    kind=Kind.VERSIONS,
    key=("file_id",),
    columns=(
        *required(text("file_id"), text("corridor"), text("run_id"), text("title")),
        *(text("problem"), text("table_name"), text("file_sha256"), integer("size_bytes")),
        *(integer("row_count"), text("rows_sha256"), json_text("headings")),
        *(time("start_time"), time("end_time")),
    ),
)

TABLES: tuple[Table, ...] = (
    *(PAYMENT, PAYMENT_OPERATION, REFUND, BALANCE_TRANSACTION, DISPUTE, PAYOUT),
    *(BREAK_EVENT, BREAK, MATCH, DECISION),
    *(INVOICE, INVOICE_PAYMENT, CREDIT_NOTE, SUBSCRIPTION),
    *(SIGMA_RUN, SIGMA_FILE, REPORT_FILE),
)
