-- Amounts of a corridor by currency that the ledger and the sweep need not agree on yet.
-- Holds are not among them: they move nothing.
WITH moving AS (
    SELECT waiting.fact
    FROM booking AS waiting
    WHERE
        waiting.state = 'PENDING'
        AND waiting.fact ->> 'corridor' = :corridor
        AND waiting.kind NOT IN ('hold_placed', 'hold_released', 'hold_forgotten')
    UNION ALL
    SELECT booked.fact
    FROM booking AS booked
    WHERE
        booked.ledger = :ledger
        AND booked.state = 'BOOKED'
        AND booked.ledger_sequence > :settled_sequence
        AND booked.fact ->> 'corridor' = :corridor
        AND booked.kind NOT IN ('hold_placed', 'hold_released', 'hold_forgotten')
),

amounts AS (
    SELECT
        moving.fact ->> 'currency' AS currency,
        abs(cast(moving.fact ->> 'amount_minor' AS bigint))
        + coalesce(abs(cast(moving.fact ->> 'fee_minor' AS bigint)), 0) AS minor
    FROM moving
    UNION ALL
    SELECT
        moving.fact ->> 'settled_currency',
        abs(cast(moving.fact ->> 'settled_minor' AS bigint))
    FROM moving
    WHERE moving.fact ->> 'settled_currency' IS NOT NULL
    UNION ALL
    SELECT
        unexplained.currency,
        abs(unexplained.net_minor)
    FROM balance_transaction AS unexplained
    WHERE unexplained.corridor = :corridor AND unexplained.state = 'OPEN'
)

SELECT
    amounts.currency,
    cast(sum(amounts.minor) AS bigint) AS minor
FROM amounts
GROUP BY amounts.currency
