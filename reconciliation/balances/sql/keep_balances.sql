-- Writes balances that are not as they were known last, and those that have not been written for a while.
INSERT INTO balance_reading (corridor, currency, part, stripe_minor, sum_minor, sweep_time, record_time)
SELECT
    f.corridor,
    f.currency,
    f.part,
    f.stripe_minor,
    f.sum_minor,
    f.sweep_time,
    %(now)s
FROM jsonb_to_recordset(%(balances)s::jsonb) AS f (
    corridor text,
    currency text,
    part text,
    stripe_minor bigint,
    sum_minor bigint,
    sweep_time timestamptz
)
LEFT JOIN LATERAL (
    SELECT
        b.stripe_minor,
        b.sum_minor,
        b.sweep_time,
        b.record_time
    FROM balance_reading AS b
    WHERE b.corridor = f.corridor AND b.currency = f.currency AND b.part = f.part
    ORDER BY b.reading_number DESC
    LIMIT 1
) AS known ON TRUE
WHERE
    known.record_time IS NULL
    OR (
        f.sweep_time > known.sweep_time
        AND (
            known.record_time <= %(stale)s
            OR (f.stripe_minor, f.sum_minor) IS DISTINCT FROM (known.stripe_minor, known.sum_minor)
        )
    )
ORDER BY f.corridor, f.currency, f.part
