-- What a leg has to look at: items that are new or have new revisions, but for those that were matched alone, which
-- have nothing in common with others; and items of before that have a reference or an amount in common with so many
-- others since then that it is not followed any more.
WITH fresh AS MATERIALIZED (
    SELECT
        i.item_id,
        i.source,
        i.corridor,
        i.currency,
        i.amount_minor,
        i.tokens
    FROM item AS i
    WHERE
        i.ordinal = any(%(ordinals)s)
        -- Without a payout that it names a balance transaction takes no part in the content of any.
        AND NOT (%(leg)s = 'CONTENT' AND i.source <> 'PAYOUT' AND i.group_key = '' AND i.ordinal = i.item_id)
),

popular AS MATERIALIZED (
    SELECT
        named.corridor,
        named.token
    FROM (
        SELECT DISTINCT
            f.corridor,
            t.token
        FROM fresh AS f
        CROSS JOIN unnest(f.tokens) AS t (token)
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
),

crowded AS MATERIALIZED (
    SELECT
        b.corridor,
        b.currency,
        b.amount_minor
    FROM (
        SELECT DISTINCT
            f.corridor,
            f.currency,
            f.amount_minor
        FROM fresh AS f
        WHERE %(leg)s = 'BANKED' AND f.source IN ('PAYOUT', 'BANK')
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
)

SELECT f.item_id FROM fresh AS f WHERE f.source = any(%(sources)s)
UNION
SELECT t.item_id
FROM popular AS p
INNER JOIN item_token AS t ON p.corridor = t.corridor AND p.token = t.token AND t.ordinal <= %(after)s
INNER JOIN item AS i ON t.item_id = i.ordinal AND i.source = any(%(sources)s)
WHERE (
    SELECT count(*)
    FROM (
        SELECT
        FROM item_token AS b
        WHERE b.corridor = p.corridor AND b.token = p.token AND b.ordinal <= %(after)s
        LIMIT %(max_carriers)s + 1
    ) AS carriers
) <= %(max_carriers)s
UNION
SELECT i.item_id
FROM crowded AS c
INNER JOIN item AS i
    ON
        c.corridor = i.corridor
        AND c.currency = i.currency
        AND c.amount_minor = i.amount_minor
        AND i.source IN ('PAYOUT', 'BANK')
        AND i.ordinal <= %(after)s
WHERE (
    SELECT count(*)
    FROM (
        SELECT
        FROM item AS b
        WHERE
            b.source IN ('PAYOUT', 'BANK')
            AND b.corridor = c.corridor
            AND b.currency = c.currency
            AND b.amount_minor = c.amount_minor
            AND b.ordinal = b.item_id
            AND b.ordinal <= %(after)s
        LIMIT %(max_carriers)s + 1
    ) AS carriers
) <= %(max_carriers)s
