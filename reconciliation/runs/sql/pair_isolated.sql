-- Matches what needs no rules: two new items of the two sources of a leg that have a reference and the amount in
-- common, and no reference in common with anything else. REFERENCE would say the same of them. Each step is a look
-- by a key for a row of the one before: nothing is joined whose size the planner could guess wrong.
WITH pairs AS MATERIALIZED (
    SELECT
        l.item_id AS left_id,
        r.item_id AS right_id,
        l.amount_minor,
        nextval('item_match_ids') AS match_id
    FROM item AS l
    CROSS JOIN LATERAL (
        SELECT
            min(o.item_id) AS first_id,
            max(o.item_id) AS last_id
        FROM unnest(l.tokens) AS named (token)
        CROSS JOIN LATERAL (
            SELECT t.item_id
            FROM item_token AS t
            WHERE
                t.corridor = l.corridor
                AND t.token = named.token
                AND t.item_id <> l.item_id
                AND t.ordinal <= %(upto)s
            LIMIT 2
        ) AS o
    ) AS of_left
    CROSS JOIN LATERAL (
        SELECT
            i.item_id,
            i.corridor,
            i.tokens
        FROM item AS i
        WHERE
            i.ordinal = of_left.first_id
            AND i.ordinal > %(after)s
            AND i.source = %(right_source)s
            AND i.state = 'BOOKED'
            AND i.currency = l.currency
            AND i.amount_minor = l.amount_minor
        LIMIT 1
    ) AS r
    CROSS JOIN LATERAL (
        SELECT
            min(o.item_id) AS first_id,
            max(o.item_id) AS last_id
        FROM unnest(r.tokens) AS named (token)
        CROSS JOIN LATERAL (
            SELECT t.item_id
            FROM item_token AS t
            WHERE
                t.corridor = r.corridor
                AND t.token = named.token
                AND t.item_id <> r.item_id
                AND t.ordinal <= %(upto)s
            LIMIT 2
        ) AS o
    ) AS of_right
    WHERE
        l.ordinal > %(after)s
        AND l.ordinal <= %(upto)s
        AND l.ordinal = l.item_id
        AND l.source = %(left_source)s
        AND l.state = 'BOOKED'
        AND of_left.first_id = of_left.last_id
        AND of_right.first_id = l.item_id
        AND of_right.last_id = l.item_id
        AND NOT EXISTS (
            SELECT FROM item AS v
            WHERE v.item_id IN (l.item_id, r.item_id) AND v.item_id <> v.ordinal AND v.ordinal <= %(upto)s
        )
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
),

stood AS (
    INSERT INTO standing (leg, item_id, generation, match_id, amount_minor)
    SELECT
        %(leg)s,
        side.item_id,
        0,
        p.match_id,
        p.amount_minor
    FROM pairs AS p
    CROSS JOIN LATERAL (VALUES (p.left_id), (p.right_id)) AS side (item_id)
    RETURNING item_id
)

SELECT array_agg(s.item_id) AS item_ids FROM stood AS s
