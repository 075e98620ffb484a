-- Snapshots cost what is new, and not what the books have, whatever the planner knows of them.

-- Cuts off the runs that the dated entries after `first`, up to `last`, complete.
CREATE OR REPLACE FUNCTION add_dated_marks(ledger bigint, first bigint, last bigint) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    touched integer[];
BEGIN
    -- Transactions first, and of each its entries, by their key: OFFSET 0 keeps the planner, which may know
    -- nothing of either yet, from walking the index of all dated entries.
    SELECT array_agg(DISTINCT e.account_number) INTO touched
    FROM transactions AS t
    CROSS JOIN LATERAL (
        SELECT n.account_number, n.effective_time, n.effect
        FROM entries AS n
        WHERE n.ledger_id = ledger AND n.sequence = t.sequence
        OFFSET 0
    ) AS e
    WHERE t.ledger_id = ledger
        AND t.sequence > first
        AND t.sequence <= last
        AND t.effective_time IS NOT NULL
        AND e.effective_time IS NOT NULL
        AND e.effect = 1;

    INSERT INTO dated_marks (ledger_id, account_number, sequence, entry_index, position, debits, credits)
    SELECT
        ledger, n.account_number, n.sequence, n.entry_index, n.ordinal / 32, n.all_debits, n.all_credits
    FROM (
        SELECT
            a.number AS account_number,
            e.sequence,
            e.entry_index,
            coalesce(m.debits, 0) + sum(CASE e.direction WHEN 1 THEN e.amount ELSE 0 END) OVER log
                AS all_debits,
            coalesce(m.credits, 0) + sum(CASE e.direction WHEN 2 THEN e.amount ELSE 0 END) OVER log
                AS all_credits,
            coalesce(m.position + 1, 0) * 32 + row_number() OVER log - 1 AS ordinal
        FROM unnest(touched) AS a (number)
        LEFT JOIN LATERAL (
            SELECT k.sequence, k.entry_index, k.position, k.debits, k.credits
            FROM dated_marks AS k
            WHERE k.ledger_id = ledger AND k.account_number = a.number
            ORDER BY k.sequence DESC, k.entry_index DESC
            LIMIT 1
        ) AS m ON TRUE
        CROSS JOIN LATERAL (
            SELECT k.sequence, k.entry_index, k.direction, k.amount
            FROM entries AS k
            WHERE k.ledger_id = ledger
                AND k.account_number = a.number
                AND (k.sequence, k.entry_index)
                > (coalesce(m.sequence, 0), coalesce(m.entry_index, 0::smallint))
                AND k.effective_time IS NOT NULL
                AND k.effect = 1
                AND k.sequence <= last
            OFFSET 0
        ) AS e
        WINDOW log AS (PARTITION BY a.number ORDER BY e.sequence, e.entry_index)
    ) AS n
    WHERE n.ordinal % 32 = 31;

    FOR level IN 1 .. 3 LOOP
        INSERT INTO dated_runs (ledger_id, account_number, level, position, effective_time, debits, credits)
        SELECT ledger, m.account_number, level, p.position, r.effective_time, r.debits, r.credits
        FROM (
            SELECT
                k.account_number,
                min(k.position) >> (5 * (level - 1)) AS old_runs,
                (max(k.position) + 1) >> (5 * (level - 1)) AS new_runs
            FROM unnest(touched) AS a (number)
            INNER JOIN dated_marks AS k ON a.number = k.account_number
            WHERE k.ledger_id = ledger AND k.sequence > first
            GROUP BY k.account_number
        ) AS m
        CROSS JOIN LATERAL generate_series(m.old_runs, m.new_runs - 1) AS p (position)
        CROSS JOIN LATERAL dated_run(ledger, m.account_number, level, p.position) AS r;
    END LOOP;
END
$$;
