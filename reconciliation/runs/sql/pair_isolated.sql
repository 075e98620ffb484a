-- Matches what needs no rules: two new items of the two sources of a leg that have a reference and the amount in
-- common, and no reference in common with anything else. REFERENCE would say the same of them.
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
        i.ordinal > %(after)s
        AND i.ordinal <= %(upto)s
        AND i.ordinal = i.item_id
        AND i.state = 'BOOKED'
        AND i.source IN (%(left)s, %(right)s)
        AND NOT EXISTS (
            SELECT FROM item AS v
            WHERE v.item_id = i.item_id AND v.item_id <> v.ordinal AND v.ordinal <= %(upto)s
        )
),

near AS MATERIALIZED (
    SELECT
        f.item_id,
        min(t.item_id) AS other_id
    FROM fresh AS f
    CROSS JOIN unnest(f.tokens) AS named (token)
    INNER JOIN item_token AS t ON f.corridor = t.corridor AND named.token = t.token
    WHERE t.item_id <> f.item_id AND t.ordinal <= %(upto)s
    GROUP BY f.item_id
    HAVING min(t.item_id) = max(t.item_id)
),

pairs AS MATERIALIZED (
    SELECT
        l.item_id AS left_id,
        r.item_id AS right_id,
        l.amount_minor,
        nextval('item_match_ids') AS match_id
    FROM fresh AS l
    INNER JOIN near AS n ON l.item_id = n.item_id
    INNER JOIN near AS o ON n.other_id = o.item_id AND o.other_id = n.item_id
    INNER JOIN fresh AS r ON o.item_id = r.item_id
    WHERE
        l.source = %(left)s
        AND r.source = %(right)s
        AND l.currency = r.currency
        AND l.amount_minor = r.amount_minor
),

made AS (
    INSERT INTO item_match (match_id, leg, rule, change_number, client, note)
    SELECT
        p.match_id,
        %(leg)s,
        'REFERENCE',
        %(change_number)s,
        '',
        ''
    FROM pairs AS p
)

INSERT INTO standing (leg, item_id, generation, match_id, amount_minor)
SELECT
    %(leg)s,
    side.item_id,
    0,
    p.match_id,
    p.amount_minor
FROM pairs AS p
CROSS JOIN LATERAL (VALUES (p.left_id), (p.right_id)) AS side (item_id)
