-- Adds lines of statements that the same transaction adds.
INSERT INTO bank_line (
    statement_id, position, state, amount_minor, booking_date, value_date, bank_reference, customer_reference,
    end_to_end_id, remittance, counterparty, sha256, identity, line_key, is_compared
)
SELECT
    n.statement_id,
    n.position,
    n.state,
    n.amount_minor,
    n.booking_date,
    n.value_date,
    n.bank_reference,
    n.customer_reference,
    n.end_to_end_id,
    n.remittance,
    n.counterparty,
    decode(n.sha256, 'hex'),
    decode(n.identity, 'hex'),
    n.line_key,
    n.is_compared
FROM jsonb_to_recordset(%(lines)s::jsonb) AS n (
    statement_id bigint,
    position integer,
    state text,
    amount_minor bigint,
    booking_date date,
    value_date date,
    bank_reference text,
    customer_reference text,
    end_to_end_id text,
    remittance text,
    counterparty text,
    sha256 text,
    identity text,
    line_key text,
    is_compared boolean
)
