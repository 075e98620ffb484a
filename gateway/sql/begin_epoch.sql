-- Begins an epoch of every feed where it ends now; later than any before, known or lost.
INSERT INTO feed_epoch (feed, epoch, after_sequence)
SELECT
    newest.feed,
    began.epoch,
    newest.after_sequence
FROM
    (
        SELECT
            'payments' AS feed,
            coalesce(max(event.sequence), 0) AS after_sequence
        FROM payment_event AS event
        UNION ALL
        SELECT
            'merchants' AS feed,
            counter.last_sequence AS after_sequence
        FROM merchant_snapshot_counter AS counter
        UNION ALL
        SELECT
            'verifications' AS feed,
            counter.last_sequence AS after_sequence
        FROM verification_change_counter AS counter
        UNION ALL
        SELECT
            'balance_transactions' AS feed,
            coalesce(max(change.sequence), 0) AS after_sequence
        FROM balance_transaction_change AS change
        UNION ALL
        SELECT
            'payouts' AS feed,
            coalesce(max(paid_out.sequence), 0) AS after_sequence
        FROM payout_change AS paid_out
        UNION ALL
        SELECT
            'billing' AS feed,
            coalesce(max(billed.sequence), 0) AS after_sequence
        FROM billing_change AS billed
        UNION ALL
        SELECT
            'sigma' AS feed,
            coalesce(max(queried.sequence), 0) AS after_sequence
        FROM sigma_change AS queried
        UNION ALL
        SELECT
            'foresight' AS feed,
            coalesce(max(foreseen.sequence), 0) AS after_sequence
        FROM foresight_change AS foreseen
    ) AS newest
CROSS JOIN (
    SELECT
        greatest(
            coalesce(max(known.epoch), 0) + 1,
            cast(extract(EPOCH FROM clock_timestamp()) * 1000 AS bigint)
        ) AS epoch
    FROM feed_epoch AS known
) AS began
RETURNING feed_epoch.epoch
