-- The hashes of some subtrees.
SELECT
    n.level,
    n.position,
    n.hash
FROM unnest(%(levels)b, %(positions)b) AS w (level, position)
INNER JOIN sealed_nodes AS n ON w.level = n.level AND w.position = n.position
WHERE n.ledger_id = %(ledger_id)s
