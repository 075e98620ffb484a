-- Lists of items go by their book days.
CREATE INDEX item_by_day ON item (book_date, ordinal) WHERE item_id = ordinal;

-- The differences that have not ended, however many have: what lists of open breaks and gauges go by. It follows
-- from the other tables, and rows come and go by triggers alone.
CREATE TABLE open_difference (
    difference_id bigint PRIMARY KEY,
    due timestamptz NOT NULL
);
CREATE INDEX open_difference_by_due ON open_difference (due);
INSERT INTO open_difference (difference_id, due)
SELECT
    d.difference_id,
    d.due
FROM difference AS d
WHERE NOT EXISTS (SELECT FROM difference_end AS e WHERE e.difference_id = d.difference_id);
GRANT SELECT ON open_difference TO reconciliation_service;

CREATE FUNCTION keep_open_differences() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    IF tg_table_name = 'difference' THEN
        INSERT INTO open_difference (difference_id, due) SELECT a.difference_id, a.due FROM added AS a;
    ELSE
        DELETE FROM open_difference AS o USING added AS a WHERE o.difference_id = a.difference_id;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER difference_is_open AFTER INSERT ON difference REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION keep_open_differences();
CREATE TRIGGER difference_is_open_no_more AFTER INSERT ON difference_end REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION keep_open_differences();
ALTER TABLE difference ENABLE ALWAYS TRIGGER difference_is_open;
ALTER TABLE difference_end ENABLE ALWAYS TRIGGER difference_is_open_no_more;

-- Who wants an item to be left alone, the second one who agrees, and the two who want it looked at again; then
-- the next round may begin.
ALTER TABLE ignore_step ADD COLUMN round smallint NOT NULL DEFAULT 1 CHECK (round > 0);
ALTER TABLE ignore_step DROP CONSTRAINT ignore_step_step_check;
ALTER TABLE ignore_step ADD CHECK (step IN (1, 2, 3, 4));
ALTER TABLE ignore_step DROP CONSTRAINT ignore_step_pkey;
ALTER TABLE ignore_step ADD PRIMARY KEY (leg, item_id, round, step);
ALTER TABLE ignore_step DROP CONSTRAINT ignore_step_leg_item_id_client_key;
-- Two people each time; those who take it back may be the same ones.
CREATE UNIQUE INDEX ignore_step_by_two ON ignore_step (leg, item_id, round, (step > 2), client);

-- A step follows the one before it.
CREATE FUNCTION check_ignore_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        LEFT JOIN ignore_step AS b
            ON
                a.leg = b.leg
                AND a.item_id = b.item_id
                AND b.round = CASE WHEN a.step = 1 THEN a.round - 1 ELSE a.round END
                AND b.step = CASE WHEN a.step = 1 THEN 4 ELSE a.step - 1 END
        WHERE b.step IS NULL AND (a.round > 1 OR a.step > 1)
    ) THEN
        RAISE EXCEPTION 'a step of ignoring follows the one before it' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER ignore_steps_are_true AFTER INSERT ON ignore_step REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION check_ignore_steps();
ALTER TABLE ignore_step ENABLE ALWAYS TRIGGER ignore_steps_are_true;

-- How items stood, with the changes by which that began and ended.
CREATE VIEW item_standing AS
SELECT
    s.leg,
    s.item_id,
    s.generation,
    s.match_id,
    s.difference_id,
    s.is_ignored,
    s.amount_minor,
    d.due,
    coalesce(m.change_number, d.change_number, g.change_number) AS begin_change,
    -- Nothing while it stands.
    coalesce(r.change_number, e.change_number, u.change_number) AS end_change
FROM standing AS s
LEFT JOIN item_match AS m ON s.match_id = m.match_id
LEFT JOIN match_revocation AS r ON s.match_id = r.match_id
LEFT JOIN difference AS d ON s.difference_id = d.difference_id
LEFT JOIN difference_end AS e ON s.difference_id = e.difference_id
LEFT JOIN LATERAL (
    SELECT count(*) AS round
    FROM standing AS i
    WHERE s.is_ignored AND s.leg = i.leg AND s.item_id = i.item_id AND i.is_ignored AND i.generation <= s.generation
) AS n ON true
LEFT JOIN ignore_step AS g
    ON s.is_ignored AND s.leg = g.leg AND s.item_id = g.item_id AND n.round = g.round AND g.step = 2
LEFT JOIN ignore_step AS u
    ON s.is_ignored AND s.leg = u.leg AND s.item_id = u.item_id AND n.round = u.round AND u.step = 4;
GRANT SELECT ON item_standing TO reconciliation_service;

CREATE OR REPLACE FUNCTION check_standings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT
        FROM added AS a
        LEFT JOIN item AS i ON a.item_id = i.ordinal
        LEFT JOIN item_match AS m ON a.match_id = m.match_id AND a.leg = m.leg
        WHERE
            i.item_id IS DISTINCT FROM a.item_id
            OR CASE a.leg
                WHEN 'BOOKED' THEN i.source NOT IN ('LEDGER', 'STRIPE')
                WHEN 'CONTENT' THEN i.source NOT IN ('STRIPE', 'PAYOUT')
                ELSE i.source NOT IN ('PAYOUT', 'BANK')
            END
            OR (
                a.match_id IS NOT NULL
                AND (
                    m.match_id IS NULL
                    OR abs(a.amount_minor) > abs(i.amount_minor)
                    OR sign(a.amount_minor) <> sign(i.amount_minor)
                )
            )
    ) THEN
        RAISE EXCEPTION 'an allocation exceeds its item, has another sign, or no place in its leg'
            USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT
        FROM added AS a
        INNER JOIN item AS i ON a.item_id = i.ordinal
        WHERE a.match_id IS NOT NULL
        GROUP BY GROUPING SETS ((a.match_id, i.currency), (a.match_id))
        HAVING
            CASE
                WHEN grouping(i.currency) = 1 THEN min(i.source) = max(i.source)
                ELSE sum(
                    CASE
                        WHEN i.source IN ('LEDGER', 'BANK') THEN a.amount_minor
                        WHEN i.source = 'STRIPE' AND a.leg = 'CONTENT' THEN a.amount_minor
                        ELSE -a.amount_minor
                    END
                ) <> 0
            END
    ) THEN
        RAISE EXCEPTION 'the two sides of a match differ'
            USING ERRCODE = 'check_violation';
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

-- Names are looked up where nobody can put others in their place.
DO $$
DECLARE
    checking text;
BEGIN
    FOREACH checking IN ARRAY ARRAY['check_standings', 'check_ignore_steps', 'keep_open_differences'] LOOP
        EXECUTE format(
            'ALTER FUNCTION %I() SET search_path = pg_catalog, %I, pg_temp', checking, current_schema()
        );
    END LOOP;
END
$$;
