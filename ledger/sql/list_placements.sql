-- What is said here of ledgers, after a name.
SELECT
    p.name,
    p.request_id,
    p.state,
    p.shard,
    p.first_shard
FROM ledger_placements AS p
WHERE p.name > %(after)s
ORDER BY p.name
LIMIT %(limit)s
