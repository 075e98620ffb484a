-- By currency the net of all that was fed of a corridor and was made before a time; what Stripe has no longer
-- counts for nothing.
SELECT
    n.currency,
    sum(n.amount_minor) AS net
FROM (
    SELECT DISTINCT ON (i.key)
        i.currency,
        i.amount_minor,
        i.state
    FROM item AS i
    WHERE i.source = 'STRIPE' AND i.corridor = %(corridor)s AND i.instant < %(end_time)s
    ORDER BY i.key ASC, i.revision DESC
) AS n
WHERE n.state <> 'PENDING'
GROUP BY n.currency
