-- The checkpoints that end within a span of the log, each with the size of the one before it.
SELECT
    c.tree_size,
    coalesce((
        SELECT max(p.tree_size)
        FROM checkpoints AS p
        WHERE p.ledger_id = c.ledger_id AND p.tree_size < c.tree_size
    ), 0),
    c.previous_size,
    c.root_hash,
    c.account_count,
    c.accounts_hash,
    c.note
FROM checkpoints AS c
WHERE
    c.ledger_id = %(ledger_id)s
    AND c.tree_size > %(after)s
    AND c.tree_size <= %(through)s
ORDER BY c.tree_size
