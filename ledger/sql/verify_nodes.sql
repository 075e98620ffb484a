-- The subtrees kept that end within a span of the log.
SELECT
    n.level,
    n.position,
    n.hash
FROM generate_series(8, 62) AS l (level)
INNER JOIN sealed_nodes AS n
    ON
        l.level = n.level
        AND n.position >= %(after)s >> l.level
        AND n.position < %(through)s >> l.level
WHERE n.ledger_id = %(ledger_id)s
