-- What was fed of a corridor, was made before a time, is no payout's own movement, and is in no payout that had taken
-- effect by then; what Stripe has no longer counts for nothing.
SELECT
    n.key,
    n.currency,
    n.amount_minor
FROM (
    SELECT DISTINCT ON (i.key)
        i.key,
        i.currency,
        i.amount_minor,
        i.state,
        i.tokens,
        i.group_key
    FROM item AS i
    WHERE i.source = 'STRIPE' AND i.corridor = %(corridor)s AND i.instant < %(end_time)s
    ORDER BY i.key ASC, i.revision DESC
) AS n
WHERE
    n.state <> 'PENDING'
    -- Stripe's ids of payouts begin so.
    AND NOT EXISTS (SELECT FROM unnest(n.tokens) AS t (token) WHERE starts_with(t.token, 'po_'))
    AND (
        n.group_key = ''
        OR n.group_key = any(%(paid_later)s)
        OR EXISTS (
            SELECT
            FROM item_token AS t
            INNER JOIN item AS p ON t.item_id = p.ordinal
            WHERE
                t.corridor = %(corridor)s
                AND t.token = n.group_key
                AND p.source = 'STRIPE'
                AND p.instant >= %(end_time)s
        )
    )
ORDER BY n.key
