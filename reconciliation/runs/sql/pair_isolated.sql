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
        AND i.source IN (%(left_source)s, %(right_source)s)
        AND NOT EXISTS (
            SELECT FROM item AS v
            WHERE v.item_id = i.item_id AND v.item_id <> v.ordinal AND v.ordinal <= %(upto)s
        )
),

near AS (
    SELECT
        f.item_id,
        f.source,
        f.currency,
        f.amount_minor,
        min(t.item_id) AS other_id
    FROM fresh AS f
    CROSS JOIN unnest(f.tokens) AS named (token)
    INNER JOIN item_token AS t ON f.corridor = t.corridor AND named.token = t.token
    WHERE t.item_id <> f.item_id AND t.ordinal <= %(upto)s
    GROUP BY f.item_id, f.source, f.currency, f.amount_minor
    HAVING min(t.item_id) = max(t.item_id)
),

-- Two that name each other fall into one group; nothing is joined whose size the planner could guess wrong.
mutual AS (
    SELECT
        min(n.item_id) FILTER (WHERE n.source = %(left_source)s) AS left_id,
        min(n.item_id) FILTER (WHERE n.source = %(right_source)s) AS right_id,
        min(n.amount_minor) AS amount_minor
    FROM near AS n
    GROUP BY least(n.item_id, n.other_id), greatest(n.item_id, n.other_id)
    HAVING
        count(*) = 2
        AND min(n.source) <> max(n.source)
        AND min(n.currency) = max(n.currency)
        AND min(n.amount_minor) = max(n.amount_minor)
),

pairs AS MATERIALIZED (
    SELECT
        m.left_id,
        m.right_id,
        m.amount_minor,
        nextval('item_match_ids') AS match_id
    FROM mutual AS m
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
