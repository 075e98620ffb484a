-- Items that adjust what is at the bank, beside payouts. Rows from before were checked by a list without them.
ALTER TABLE item DROP CONSTRAINT item_source_check;
ALTER TABLE item ADD CONSTRAINT item_source_check
CHECK (source IN ('LEDGER', 'STRIPE', 'PAYOUT', 'BANK', 'ADJUSTMENT')) NOT VALID;

-- The sums of each match, per currency, what it takes of its items, and what each row follows. A statement adds
-- whole matches, so that what it adds to one has to agree by itself. Each row is joined with its item once, and what
-- only few rows have is looked for only where there are such rows.
CREATE OR REPLACE FUNCTION check_standings() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    SELECT
        CASE
            WHEN bool_or(r.is_out_of_place)
                THEN 'an allocation exceeds its item, has another sign, or no place in its leg'
            ELSE 'the two sides of a match differ'
        END
    INTO wrong
    FROM (
        SELECT
            a.match_id,
            -- Adjustments are on the side of payouts.
            CASE i.source WHEN 'ADJUSTMENT' THEN 'PAYOUT' ELSE i.source END AS side,
            i.currency,
            CASE
                WHEN i.source IN ('LEDGER', 'BANK') THEN a.amount_minor
                WHEN i.source = 'STRIPE' AND a.leg = 'CONTENT' THEN a.amount_minor
                ELSE -a.amount_minor
            END AS left_less_right,
            i.item_id IS DISTINCT FROM a.item_id
            OR CASE a.leg
                WHEN 'BOOKED' THEN i.source NOT IN ('LEDGER', 'STRIPE')
                WHEN 'CONTENT' THEN i.source NOT IN ('STRIPE', 'PAYOUT')
                ELSE i.source NOT IN ('PAYOUT', 'BANK', 'ADJUSTMENT')
            END
            OR (
                a.match_id IS NOT NULL
                AND (
                    m.leg IS DISTINCT FROM a.leg
                    OR abs(a.amount_minor) > abs(i.amount_minor)
                    OR sign(a.amount_minor) <> sign(i.amount_minor)
                )
            ) AS is_out_of_place
        FROM added AS a
        LEFT JOIN item AS i ON a.item_id = i.ordinal
        LEFT JOIN item_match AS m ON a.match_id = m.match_id
    ) AS r
    GROUP BY GROUPING SETS ((r.match_id, r.currency), (r.match_id))
    HAVING
        bool_or(r.is_out_of_place)
        OR (
            r.match_id IS NOT NULL
            AND CASE
                WHEN grouping(r.currency) = 1 THEN min(r.side) = max(r.side)
                ELSE sum(r.left_less_right) <> 0
            END
        )
    ORDER BY bool_or(r.is_out_of_place) DESC
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
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
    IF EXISTS (
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

DO $$
BEGIN
    -- Names are looked up where nobody can put others in their place.
    EXECUTE format(
        'ALTER FUNCTION check_standings() SET search_path = pg_catalog, %I, pg_temp', current_schema()
    );
END
$$;
