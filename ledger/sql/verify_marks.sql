-- The last of the next marks of dated entries, and the first difference, if any, in them and their runs.
WITH chunk AS (
    SELECT m.*
    FROM dated_marks AS m
    WHERE
        m.ledger_id = %(ledger_id)s
        AND (m.account_number, m.sequence, m.entry_index) > (%(k0)s, %(k1)s, %(k2)s)
    ORDER BY m.account_number, m.sequence, m.entry_index
    LIMIT %(limit)s
),

differences AS (
    SELECT
        1 AS place,
        'dated_mark' AS projection,
        c.account_number,
        c.sequence,
        concat_ws(
            ' ', coalesce(p.position, -1) + 1, 32,
            coalesce(p.debits, 0) + coalesce(e.debits, 0),
            coalesce(p.credits, 0) + coalesce(e.credits, 0)
        ) AS expected,
        concat_ws(' ', c.position, e.counted, c.debits, c.credits) AS found
    FROM chunk AS c
    LEFT JOIN LATERAL (
        SELECT m.*
        FROM dated_marks AS m
        WHERE
            m.ledger_id = c.ledger_id
            AND m.account_number = c.account_number
            AND (m.sequence, m.entry_index) < (c.sequence, c.entry_index)
        ORDER BY m.sequence DESC, m.entry_index DESC
        LIMIT 1
    ) AS p ON TRUE
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS counted,
            sum(n.amount) FILTER (WHERE n.direction = 1) AS debits,
            sum(n.amount) FILTER (WHERE n.direction = 2) AS credits
        FROM entries AS n
        WHERE
            n.ledger_id = c.ledger_id
            AND n.account_number = c.account_number
            AND n.effective_time IS NOT NULL
            AND n.effect = 1
            AND (n.sequence, n.entry_index)
            > (coalesce(p.sequence, 0), coalesce(p.entry_index, 0::smallint))
            AND (n.sequence, n.entry_index) <= (c.sequence, c.entry_index)
    ) AS e
    UNION ALL
    SELECT
        1 + l.level,
        'dated_run',
        c.account_number,
        c.sequence,
        concat_ws(' ', l.level, n.position, x.expected),
        concat_ws(' ', l.level, n.position, x.found)
    FROM chunk AS c
    CROSS JOIN generate_series(1, 3) AS l (level)
    CROSS JOIN LATERAL (
        SELECT ((c.position + 1) >> (5 * (l.level - 1))) - 1 AS position
    ) AS n
    CROSS JOIN LATERAL (
        SELECT
            max(concat_ws(' ', o.effective_time, o.debits, o.credits)) FILTER (WHERE o.right)
                AS expected,
            max(concat_ws(' ', o.effective_time, o.debits, o.credits)) FILTER (WHERE NOT o.right)
                AS found
        FROM (
            SELECT
                coalesce(r.effective_time, k.effective_time) AS at,
                v.*
            FROM dated_run(c.ledger_id, c.account_number, l.level, n.position) AS r
            FULL JOIN (
                SELECT
                    d.effective_time,
                    d.debits,
                    d.credits
                FROM dated_runs AS d
                WHERE
                    d.ledger_id = c.ledger_id
                    AND d.account_number = c.account_number
                    AND d.level = l.level
                    AND d.position = n.position
            ) AS k ON r.effective_time = k.effective_time
            CROSS JOIN LATERAL (
                VALUES
                (TRUE, r.effective_time, r.debits, r.credits),
                (FALSE, k.effective_time, k.debits, k.credits)
            ) AS v ("right", effective_time, debits, credits)
            WHERE (r.debits, r.credits) IS DISTINCT FROM (k.debits, k.credits)
        ) AS o
        GROUP BY o.at
        ORDER BY o.at
        LIMIT 1
    ) AS x
    WHERE (c.position + 1) %% (1 << (5 * (l.level - 1))) = 0
)

SELECT
    d.projection,
    coalesce(a.name, ''),
    coalesce(d.sequence, 0),
    coalesce(d.expected, ''),
    coalesce(d.found, ''),
    c.account_number,
    c.sequence,
    c.entry_index
FROM (
    SELECT k.*
    FROM chunk AS k
    ORDER BY k.account_number DESC, k.sequence DESC, k.entry_index DESC
    LIMIT 1
) AS c
LEFT JOIN LATERAL (
    SELECT *
    FROM differences AS f
    WHERE f.expected <> f.found
    ORDER BY f.account_number, f.sequence, f.place
    LIMIT 1
) AS d ON TRUE
LEFT JOIN accounts AS a
    ON a.ledger_id = %(ledger_id)s AND d.account_number = a.account_number
