-- Whether a payout differs from what was told of it last: one look at the index of those that do.
SELECT exists (
    SELECT FROM payout
    WHERE told IS DISTINCT FROM {shown}
) AS has_changed
