-- The oldest checkpoint that covers at least so many transactions.
SELECT
    c.tree_size,
    c.root_hash,
    c.account_count,
    c.accounts_hash,
    c.note,
    c.seal_time
FROM checkpoints AS c
WHERE c.ledger_id = %(ledger_id)s AND c.tree_size >= %(tree_size)s
ORDER BY c.tree_size
LIMIT 1
