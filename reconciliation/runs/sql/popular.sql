-- The references of some items that more than so many items have, and how many have their amount, as far.
SELECT
    named.corridor,
    named.token,
    '' AS currency,
    0::bigint AS amount_minor
FROM (
    SELECT DISTINCT
        i.corridor,
        t.token
    FROM item AS i
    CROSS JOIN unnest(i.tokens) AS t (token)
    WHERE i.ordinal = any(%(ordinals)s)
) AS named
WHERE (
    SELECT count(*)
    FROM (
        SELECT
        FROM item_token AS t
        WHERE t.corridor = named.corridor AND t.token = named.token AND t.ordinal <= %(upto)s
        LIMIT %(max_carriers)s + 1
    ) AS carriers
) > %(max_carriers)s
UNION ALL
SELECT
    b.corridor,
    '' AS token,
    b.currency,
    b.amount_minor
FROM (
    SELECT DISTINCT
        i.corridor,
        i.currency,
        i.amount_minor
    FROM item AS i
    WHERE i.ordinal = any(%(ordinals)s) AND %(leg)s = 'BANKED'
) AS b
WHERE (
    SELECT count(*)
    FROM (
        SELECT
        FROM item AS i
        WHERE
            i.source IN ('PAYOUT', 'BANK')
            AND i.corridor = b.corridor
            AND i.currency = b.currency
            AND i.amount_minor = b.amount_minor
            AND i.ordinal = i.item_id
            AND i.ordinal <= %(upto)s
        LIMIT %(max_carriers)s + 1
    ) AS carriers
) > %(max_carriers)s
