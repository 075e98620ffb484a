-- Writes what is counted of payments and disputes, and adds what that changes to the days.
WITH payments AS (
    INSERT INTO payment_outcome (
        payment_id, epoch, sequence, merchant_id, currency_code, day, captured_minor, refunds
    )
    SELECT
        p.payment_id,
        p.epoch,
        p.sequence,
        p.merchant_id,
        p.currency_code,
        p.day,
        p.captured_minor,
        p.refunds
    FROM jsonb_to_recordset(cast(:payments AS jsonb)) AS p (
        payment_id text,
        epoch bigint,
        sequence bigint,
        merchant_id text,
        currency_code text,
        day date,
        captured_minor bigint,
        refunds text
    )
    ON CONFLICT (payment_id) DO UPDATE
        SET
            epoch = excluded.epoch,
            sequence = excluded.sequence,
            merchant_id = excluded.merchant_id,
            currency_code = excluded.currency_code,
            day = excluded.day,
            captured_minor = excluded.captured_minor,
            refunds = excluded.refunds
),

disputes AS (
    INSERT INTO dispute_outcome (
        dispute_id, payment_id, merchant_id, currency_code, day, amount_minor, is_chargeback
    )
    SELECT
        d.dispute_id,
        d.payment_id,
        d.merchant_id,
        d.currency_code,
        d.day,
        d.amount_minor,
        d.is_chargeback
    FROM jsonb_to_recordset(cast(:disputes AS jsonb)) AS d (
        dispute_id text,
        payment_id text,
        merchant_id text,
        currency_code text,
        day date,
        amount_minor bigint,
        is_chargeback boolean
    )
    ON CONFLICT (dispute_id) DO UPDATE
        SET
            payment_id = excluded.payment_id,
            merchant_id = excluded.merchant_id,
            currency_code = excluded.currency_code,
            day = excluded.day,
            amount_minor = excluded.amount_minor,
            is_chargeback = excluded.is_chargeback
)

INSERT INTO merchant_outcome AS o (
    merchant_id, day, currency_code, payments, captured_minor, refunds, refunded_minor, disputes, disputed_minor
)
SELECT
    c.merchant_id,
    c.day,
    c.currency_code,
    c.payments,
    c.captured_minor,
    c.refunds,
    c.refunded_minor,
    c.disputes,
    c.disputed_minor
FROM jsonb_to_recordset(cast(:days AS jsonb)) AS c (
    merchant_id text,
    day date,
    currency_code text,
    payments bigint,
    captured_minor numeric,
    refunds bigint,
    refunded_minor numeric,
    disputes bigint,
    disputed_minor numeric
)
ON CONFLICT (merchant_id, day, currency_code) DO UPDATE
    SET
        payments = o.payments + excluded.payments,
        captured_minor = o.captured_minor + excluded.captured_minor,
        refunds = o.refunds + excluded.refunds,
        refunded_minor = o.refunded_minor + excluded.refunded_minor,
        disputes = o.disputes + excluded.disputes,
        disputed_minor = o.disputed_minor + excluded.disputed_minor
