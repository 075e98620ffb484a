-- Items come in the order of their numbers and legs do not: with the item first what is added is added at the end of
-- the key, and all that asks for a leg names its items.
ALTER TABLE standing
DROP CONSTRAINT standing_pkey,
ADD PRIMARY KEY (item_id, leg, generation);

-- The sums of each match, per currency, what it takes of its items, and what each row follows. A statement adds
-- whole matches, so that what it adds to one has to agree by itself. Each row looks for its item by its key and each
-- match for itself, whatever the planner thinks of the tables; sums by currency are made where there are several.
CREATE OR REPLACE FUNCTION check_standings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    is_out_of_place boolean;
    is_unequal boolean;
    is_of_currencies boolean;
    follows boolean;
    ignores boolean;
BEGIN
    SELECT
        bool_or(r.is_out_of_place OR (r.match_id IS NOT NULL AND m.leg IS DISTINCT FROM r.leg)),
        bool_or(r.match_id IS NOT NULL AND (r.is_one_sided OR (r.currency = r.last_currency AND r.off_by <> 0))),
        bool_or(r.match_id IS NOT NULL AND r.currency <> r.last_currency),
        bool_or(r.follows),
        bool_or(r.ignores)
    INTO is_out_of_place, is_unequal, is_of_currencies, follows, ignores
    FROM (
        SELECT
            a.match_id,
            a.leg,
            bool_or(
                i.item_id IS DISTINCT FROM a.item_id
                OR CASE a.leg
                    WHEN 'BOOKED' THEN i.source NOT IN ('LEDGER', 'STRIPE')
                    WHEN 'CONTENT' THEN i.source NOT IN ('STRIPE', 'PAYOUT')
                    ELSE i.source NOT IN ('PAYOUT', 'BANK', 'ADJUSTMENT')
                END
                OR (
                    a.match_id IS NOT NULL
                    AND (
                        a.amount_minor > greatest(i.amount_minor, 0)
                        OR a.amount_minor < least(i.amount_minor, 0)
                        OR (
                            a.amount_minor = 0
                            AND i.amount_minor <> 0
                            -- Of a payout that came back nothing is taken at the bank.
                            AND (
                                a.leg <> 'BANKED'
                                OR i.source <> 'PAYOUT'
                                OR NOT EXISTS (
                                    SELECT FROM item AS v
                                    WHERE
                                        v.source = i.source
                                        AND v.corridor = i.corridor
                                        AND v.key = i.key
                                        AND v.state = 'RETURNED'
                                )
                            )
                        )
                    )
                )
            ) AS is_out_of_place,
            bool_and(i.is_added) = bool_or(i.is_added) AS is_one_sided,
            min(i.currency) AS currency,
            max(i.currency) AS last_currency,
            sum(CASE WHEN i.is_added THEN a.amount_minor ELSE -a.amount_minor END) AS off_by,
            bool_or(a.generation > 0) AS follows,
            bool_or(a.is_ignored) AS ignores
        FROM added AS a
        LEFT JOIN LATERAL (
            SELECT
                n.item_id,
                n.source,
                n.corridor,
                n.key,
                n.currency,
                n.amount_minor,
                -- The left side of its leg, but for the bank's: which of the two is which changes no sum of nothing.
                -- Adjustments are on the side of payouts.
                n.source IN ('LEDGER', 'BANK') OR (n.source = 'STRIPE' AND a.leg = 'CONTENT') AS is_added
            FROM item AS n
            WHERE n.ordinal = a.item_id
            LIMIT 1
        ) AS i ON true
        GROUP BY a.match_id, a.leg
    ) AS r
    LEFT JOIN LATERAL (
        SELECT o.leg FROM item_match AS o WHERE o.match_id = r.match_id LIMIT 1
    ) AS m ON true;
    IF is_out_of_place THEN
        RAISE EXCEPTION 'an allocation exceeds its item, has another sign, or no place in its leg'
            USING ERRCODE = 'check_violation';
    END IF;
    IF is_of_currencies THEN
        is_unequal := is_unequal OR EXISTS (
            SELECT
            FROM added AS a
            CROSS JOIN LATERAL (
                SELECT
                    n.source,
                    n.currency
                FROM item AS n
                WHERE n.ordinal = a.item_id
                LIMIT 1
            ) AS i
            WHERE a.match_id IS NOT NULL
            GROUP BY a.match_id, i.currency
            HAVING
                sum(
                    CASE
                        WHEN i.source IN ('LEDGER', 'BANK') THEN a.amount_minor
                        WHEN i.source = 'STRIPE' AND a.leg = 'CONTENT' THEN a.amount_minor
                        ELSE -a.amount_minor
                    END
                ) <> 0
        );
    END IF;
    IF is_unequal THEN
        RAISE EXCEPTION 'the two sides of a match differ' USING ERRCODE = 'check_violation';
    END IF;
    IF follows AND EXISTS (
        SELECT
        FROM added AS a
        LEFT JOIN standing AS b
            ON a.leg = b.leg AND a.item_id = b.item_id AND b.generation = a.generation - 1
        LEFT JOIN match_revocation AS r ON b.match_id = r.match_id
        LEFT JOIN difference_end AS e ON b.difference_id = e.difference_id
        WHERE
            a.generation > 0
            AND r.match_id IS NULL
            AND e.difference_id IS NULL
            AND CASE
                WHEN b.is_ignored
                    THEN (
                        -- Each time that two people ignored it, two have taken it back.
                        SELECT count(*) FROM ignore_step AS s
                        WHERE s.leg = a.leg AND s.item_id = a.item_id AND s.step = 4
                    ) <> (
                        SELECT count(*) FROM standing AS s
                        WHERE
                            s.leg = a.leg AND s.item_id = a.item_id AND s.is_ignored AND s.generation < a.generation
                    )
                ELSE true
            END
    ) THEN
        RAISE EXCEPTION 'what an item is in has not ended'
            USING ERRCODE = 'exclusion_violation';
    END IF;
    IF ignores AND EXISTS (
        SELECT
        FROM added AS a
        WHERE
            a.is_ignored
            AND (
                SELECT count(*) FROM ignore_step AS s WHERE s.leg = a.leg AND s.item_id = a.item_id AND s.step = 2
            ) <> (
                SELECT count(*) FROM standing AS s WHERE s.leg = a.leg AND s.item_id = a.item_id AND s.is_ignored
            )
    ) THEN
        RAISE EXCEPTION 'an item is ignored by two people, not fewer'
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

-- A match comes with its allocations, which are looked for by the key of each.
CREATE OR REPLACE FUNCTION check_matches() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        WHERE (SELECT true FROM standing AS s WHERE s.match_id = a.match_id LIMIT 1) IS NULL
    ) THEN
        RAISE EXCEPTION 'a match has no allocations' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

DO $$
BEGIN
    -- Names are looked up where nobody can put others in their place.
    EXECUTE format('ALTER FUNCTION check_standings() SET search_path = pg_catalog, %I, pg_temp', current_schema());
    EXECUTE format('ALTER FUNCTION check_matches() SET search_path = pg_catalog, %I, pg_temp', current_schema());
END
$$;
