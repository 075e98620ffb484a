-- Writes what a sweep found of a corridor's balances, and for how many sweeps each has differed from its sum. Of a part
-- in which there never was anything nothing is written.
INSERT INTO balance_at_stripe AS known (
    corridor, currency, part, stripe_minor, sum_minor, differing_sweeps, differs_since, sweep_time
)
SELECT
    :corridor,
    found.currency,
    found.part,
    found.stripe_minor,
    found.sum_minor,
    cast(found.stripe_minor <> found.sum_minor AS integer),
    CASE WHEN found.stripe_minor <> found.sum_minor THEN :asked END,
    :asked
FROM
    unnest(
        cast(:currencies AS text []),
        cast(:parts AS text []),
        cast(:stripe_minors AS bigint []),
        cast(:sum_minors AS bigint [])
    ) AS found (currency, part, stripe_minor, sum_minor)
LEFT JOIN balance_at_stripe AS before
    ON
        before.corridor = :corridor
        AND found.currency = before.currency
        AND found.part = before.part
WHERE found.stripe_minor <> 0 OR found.sum_minor <> 0 OR before.corridor IS NOT NULL
ON CONFLICT (corridor, currency, part) DO UPDATE
    SET
        stripe_minor = excluded.stripe_minor,
        sum_minor = excluded.sum_minor,
        differing_sweeps = CASE
            WHEN excluded.differing_sweeps = 0 THEN 0
            ELSE known.differing_sweeps + 1
        END,
        differs_since = CASE
            WHEN excluded.differing_sweeps = 0 THEN NULL
            ELSE coalesce(known.differs_since, excluded.differs_since)
        END,
        sweep_time = excluded.sweep_time
