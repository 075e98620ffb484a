-- All items of a leg that hang together with some of them, by references and, where the leg compares them, amounts
-- or payouts. What more than so many have in common is not followed.
WITH RECURSIVE reached (item_id) AS (
    SELECT s.item_id FROM unnest(%(seeds)s::bigint []) AS s (item_id)
    UNION
    SELECT found.item_id
    FROM reached AS r
    INNER JOIN item AS f ON r.item_id = f.ordinal
    CROSS JOIN LATERAL (
        SELECT
            v.tokens,
            v.group_key
        FROM item AS v
        WHERE v.ordinal = r.item_id
        UNION ALL
        SELECT
            v.tokens,
            v.group_key
        FROM item AS v
        WHERE v.item_id = r.item_id AND v.item_id <> v.ordinal AND v.ordinal <= %(upto)s
    ) AS revision
    CROSS JOIN LATERAL (
        SELECT unnest(carriers.item_ids) AS item_id
        FROM unnest(revision.tokens) AS named (token)
        CROSS JOIN LATERAL (
            SELECT array_agg(few.item_id) AS item_ids
            FROM (
                SELECT t.item_id
                FROM item_token AS t
                WHERE t.corridor = f.corridor AND t.token = named.token AND t.ordinal <= %(upto)s
                LIMIT %(max_carriers)s + 1
            ) AS few
        ) AS carriers
        WHERE %(leg)s <> 'CONTENT' AND cardinality(carriers.item_ids) <= %(max_carriers)s
        UNION ALL
        SELECT unnest(same.item_ids) AS item_id
        FROM (
            SELECT array_agg(few.item_id) AS item_ids
            FROM (
                SELECT b.item_id
                FROM item AS b
                WHERE
                    %(leg)s = 'BANKED'
                    AND b.source IN ('PAYOUT', 'BANK')
                    AND b.corridor = f.corridor
                    AND b.currency = f.currency
                    AND b.amount_minor = f.amount_minor
                    AND b.ordinal = b.item_id
                    AND b.ordinal <= %(upto)s
                LIMIT %(max_carriers)s + 1
            ) AS few
        ) AS same
        WHERE cardinality(same.item_ids) <= %(max_carriers)s
        UNION ALL
        SELECT g.item_id
        FROM item AS g
        WHERE
            %(leg)s = 'CONTENT'
            AND g.corridor = f.corridor
            AND g.group_key <> ''
            AND g.group_key = coalesce(nullif(revision.group_key, ''), f.key)
            AND g.ordinal <= %(upto)s
        UNION ALL
        SELECT p.item_id
        FROM item AS p
        WHERE
            %(leg)s = 'CONTENT'
            AND p.source = 'PAYOUT'
            AND p.corridor = f.corridor
            AND p.key = coalesce(nullif(revision.group_key, ''), f.key)
            AND p.ordinal <= %(upto)s
    ) AS found
    INNER JOIN item AS n ON found.item_id = n.ordinal AND n.source = any(%(sources)s)
)

SELECT r.item_id FROM reached AS r
