-- How far a ledger has been loaded.
SELECT
    l.through_sequence,
    l.leaf_hash
FROM ledger_load AS l
WHERE l.ledger = {ledger}
ORDER BY l.through_sequence DESC
LIMIT 1;
