-- The last load of each ledger, which was proven equal.
SELECT
    l.ledger,
    l.through_sequence,
    l.leaf_hash
FROM ledger_load AS l
WHERE l.through_sequence = (SELECT max(o.through_sequence) FROM ledger_load AS o WHERE o.ledger = l.ledger)
ORDER BY l.ledger;
