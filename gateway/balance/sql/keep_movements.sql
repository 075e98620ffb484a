-- Keeps balance transactions and their sums; returns those that are new or count elsewhere now.
WITH given AS (
    SELECT *
    FROM
        unnest(
            cast(:ids AS text []),
            cast(:types AS text []),
            cast(:source_ids AS text []),
            cast(:source_types AS text []),
            cast(:stripe_payout_ids AS text []),
            cast(:currencies AS text []),
            cast(:amounts AS bigint []),
            cast(:fees AS bigint []),
            cast(:nets AS bigint []),
            cast(:fee_details AS text []),
            cast(:reporting_categories AS text []),
            cast(:exchange_rates AS text []),
            cast(:parts AS text []),
            cast(:create_times AS timestamptz []),
            cast(:available_times AS timestamptz [])
        ) AS listed (
            id, type, source_id, source_type, stripe_payout_id, currency, amount_minor, fee_minor,
            net_minor, fee_details, reporting_category, exchange_rate, part, create_time, available_time
        )
),

earlier AS (
    SELECT
        known.id,
        known.part
    FROM balance_transaction AS known
    INNER JOIN given ON known.id = given.id
    WHERE known.corridor = :corridor
),

kept AS (
    INSERT INTO balance_transaction AS known (
        corridor, id, type, source_id, source_type, stripe_payout_id, currency, amount_minor,
        fee_minor, net_minor, fee_details, reporting_category, exchange_rate, part, create_time, available_time, state,
        next_attempt_time
    )
    SELECT
        :corridor,
        given.id,
        given.type,
        given.source_id,
        given.source_type,
        given.stripe_payout_id,
        given.currency,
        given.amount_minor,
        given.fee_minor,
        given.net_minor,
        cast(given.fee_details AS jsonb),
        given.reporting_category,
        given.exchange_rate,
        given.part,
        given.create_time,
        given.available_time,
        'OPEN',
        :now
    FROM given
    ON CONFLICT (corridor, id) DO UPDATE
        SET
            part = excluded.part,
            state = 'OPEN',
            attempts = 0,
            next_attempt_time = excluded.next_attempt_time
        WHERE known.part <> excluded.part
    RETURNING known.id, known.currency, known.part, known.net_minor
),

deltas AS (
    SELECT
        kept.currency,
        kept.part,
        kept.net_minor
    FROM kept
    UNION ALL
    SELECT
        kept.currency,
        earlier.part,
        -kept.net_minor
    FROM kept
    INNER JOIN earlier ON kept.id = earlier.id
),

totals AS (
    INSERT INTO balance_total AS total (corridor, currency, part, net_minor)
    SELECT
        :corridor,
        deltas.currency,
        deltas.part,
        cast(sum(deltas.net_minor) AS bigint)
    FROM deltas
    GROUP BY deltas.currency, deltas.part
    ON CONFLICT (corridor, currency, part) DO UPDATE
        SET net_minor = total.net_minor + excluded.net_minor
)

SELECT kept.id
FROM kept
