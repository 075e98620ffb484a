-- What the statements of a file may have in common with earlier ones: days, a number of one year, or that they are
-- beside them; with the identities of the lines of those that have days in common, and what each excludes.
WITH near AS (
    SELECT s.statement_id
    FROM bank_statement AS s
    WHERE
        s.bank_account = %(account)s
        AND s.kind = 'BOOKED'
        AND (
            (s.last_day >= %(first_day)s AND s.first_day <= %(last_day)s)
            OR (
                s.number = any(%(numbers)s::integer [])
                AND extract(YEAR FROM s.closing_date) = any(%(years)s::integer [])
            )
        )
    UNION
    (
        SELECT s.statement_id
        FROM bank_statement AS s
        WHERE s.bank_account = %(account)s AND s.kind = 'BOOKED' AND s.closing_date < %(first_day)s
        ORDER BY s.closing_date DESC, s.number DESC NULLS LAST, s.page DESC NULLS LAST
        LIMIT 1
    )
    UNION
    (
        SELECT s.statement_id
        FROM bank_statement AS s
        WHERE s.bank_account = %(account)s AND s.kind = 'BOOKED' AND s.closing_date > %(last_day)s
        ORDER BY s.closing_date ASC, s.number ASC NULLS FIRST, s.page ASC NULLS FIRST
        LIMIT 1
    )
    LIMIT %(limit)s
)

SELECT
    s.statement_id,
    encode(f.sha256, 'hex') AS file_sha256,
    s.position,
    s.bank_statement_id,
    s.number,
    s.page,
    s.opening_minor,
    s.opening_date::text AS opening_date,
    s.closing_minor,
    s.closing_date::text AS closing_date,
    s.first_day::text AS first_day,
    s.last_day::text AS last_day,
    coalesce(
        (
            SELECT array_agg(encode(l.identity, 'hex') ORDER BY l.identity)
            FROM bank_line AS l
            WHERE
                l.statement_id = s.statement_id
                AND l.state = 'BOOKED'
                AND s.last_day >= %(first_day)s
                AND s.first_day <= %(last_day)s
        ),
        '{}'
    ) AS entries,
    coalesce(
        (SELECT array_agg(e.earlier_id) FROM bank_exclusion AS e WHERE e.statement_id = s.statement_id), '{}'
    ) AS excludes
FROM near AS n
INNER JOIN bank_statement AS s ON n.statement_id = s.statement_id
INNER JOIN bank_file AS f ON s.file_id = f.file_id
ORDER BY s.statement_id
