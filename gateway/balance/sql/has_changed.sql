-- Whether a balance transaction differs from what was told of it last: one look at the index of those that do.
SELECT exists (
    SELECT FROM balance_transaction
    WHERE
        told IS DISTINCT FROM
        state || ' ' || part || ' ' || coalesce(last_failure, '') || ' ' || stripe_payout_id
) AS has_changed
