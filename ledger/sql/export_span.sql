-- How far the log can be read on within bounds of transactions, entries and bytes; always one transaction.
SELECT max(s.sequence)
FROM (
    SELECT
        t.sequence,
        row_number() OVER w AS place,
        sum(t.entry_count) OVER w AS entries,
        sum(octet_length(t.body)) OVER w AS body_bytes
    FROM (
        SELECT
            x.sequence,
            x.entry_count,
            x.body
        FROM transactions AS x
        WHERE
            x.ledger_id = %(ledger_id)s
            AND x.sequence > %(after)s
            AND x.sequence <= %(through)s
        ORDER BY x.sequence
        LIMIT %(transactions)s
    ) AS t
    WINDOW w AS (ORDER BY t.sequence)
) AS s
WHERE s.place = 1 OR (s.entries <= %(entries)s AND s.body_bytes <= %(body_bytes)s)
