-- What the next checkpoints say of accounts.
SELECT
    c.tree_size,
    c.account_count,
    c.accounts_hash
FROM checkpoints AS c
WHERE c.ledger_id = %(ledger_id)s AND c.tree_size > %(after)s
ORDER BY c.tree_size
LIMIT %(limit)s
