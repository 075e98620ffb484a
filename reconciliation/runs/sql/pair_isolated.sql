-- Matches what needs no rules: two new items of the two sources of a leg that have a reference and the amount in
-- common, and no reference in common with anything else. REFERENCE would say the same of them. Answers what is left,
-- and how many pairs there are of each leg. New items are read once and brought together by sorting, and each of
-- their references is looked up once among those of before: nothing is joined whose size the planner could guess wrong.
WITH named AS (
    SELECT
        i.item_id,
        i.corridor,
        i.currency,
        i.amount_minor,
        -- Two of them add up to 3 or 12 where they are the two sources of a leg, and never else.
        CASE
            WHEN i.state <> 'BOOKED' OR i.item_id <> i.ordinal THEN NULL
            WHEN i.source = 'LEDGER' THEN 1
            WHEN i.source = 'STRIPE' THEN 2
            WHEN i.source = 'PAYOUT' THEN 4
            ELSE 8
        END AS side,
        -- A revision is there even where it brings no reference.
        unnest(CASE WHEN i.item_id = i.ordinal THEN i.tokens ELSE i.tokens || ARRAY[NULL::text] END) AS token
    FROM item AS i
    WHERE i.ordinal > %(after)s AND i.ordinal <= %(upto)s
),

carried AS (
    SELECT
        n.item_id,
        n.corridor,
        n.currency,
        n.amount_minor,
        n.side,
        n.token,
        count(*) OVER same AS carriers,
        -- Of two the other one; of one itself.
        min(n.item_id) OVER same + max(n.item_id) OVER same - n.item_id AS other_id
    FROM named AS n
    WINDOW same AS (PARTITION BY n.corridor, n.token)
),

-- Items that have references in common with one other new one.
linked AS (
    SELECT
        c.item_id,
        max(c.other_id) FILTER (WHERE c.carriers = 2) AS other_id,
        min(c.currency) AS currency,
        min(c.amount_minor) AS amount_minor,
        min(c.side) AS side,
        bool_or(
            EXISTS (
                SELECT
                FROM item_token AS t
                WHERE
                    -- Once for the two.
                    c.item_id <= c.other_id
                    AND t.corridor = c.corridor
                    AND t.token = c.token
                    AND t.item_id <= %(after)s
            )
        ) AS is_known
    FROM carried AS c
    GROUP BY c.item_id
    HAVING
        max(c.carriers) <= 2
        AND min(c.other_id) FILTER (WHERE c.carriers = 2) = max(c.other_id) FILTER (WHERE c.carriers = 2)
        -- What has a revision already is left to the rules.
        AND count(c.side) = count(*)
),

pairs AS MATERIALIZED (
    SELECT
        nextval('item_match_ids') AS match_id,
        CASE alone.sides WHEN 3 THEN 'BOOKED' ELSE 'BANKED' END AS leg,
        alone.first_id,
        alone.last_id,
        alone.amount_minor
    FROM (
        SELECT
            least(l.item_id, l.other_id) AS first_id,
            greatest(l.item_id, l.other_id) AS last_id,
            min(l.amount_minor) AS amount_minor,
            sum(l.side) AS sides
        FROM linked AS l
        GROUP BY least(l.item_id, l.other_id), greatest(l.item_id, l.other_id)
        HAVING
            count(*) = 2
            AND sum(l.side) IN (3, 12)
            AND min(l.currency) = max(l.currency)
            AND min(l.amount_minor) = max(l.amount_minor)
            AND NOT bool_or(l.is_known)
        ORDER BY first_id
    ) AS alone
),

made AS (
    INSERT INTO item_match (match_id, leg, rule, change_number, client, note)
    SELECT
        p.match_id,
        p.leg,
        'REFERENCE',
        %(change_number)s,
        '',
        ''
    FROM pairs AS p
),

stood AS (
    INSERT INTO standing (leg, item_id, generation, match_id, amount_minor)
    SELECT
        p.leg,
        side.item_id,
        0,
        p.match_id,
        p.amount_minor
    FROM pairs AS p
    CROSS JOIN LATERAL (VALUES (p.first_id), (p.last_id)) AS side (item_id)
),

remaining AS (
    SELECT i.ordinal
    FROM item AS i
    WHERE
        i.ordinal > %(after)s AND i.ordinal <= %(upto)s
        -- Hashed once, whatever the planner thinks of the pairs.
        AND i.ordinal NOT IN (
            SELECT p.first_id FROM pairs AS p
            UNION ALL
            SELECT p.last_id FROM pairs AS p
        )
)

SELECT
    (SELECT array_agg(r.ordinal ORDER BY r.ordinal) FROM remaining AS r) AS remaining,
    count(*) FILTER (WHERE p.leg = 'BOOKED') AS booked,
    count(*) FILTER (WHERE p.leg = 'BANKED') AS banked
FROM pairs AS p
