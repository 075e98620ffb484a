-- Some items in the order of statements.
SELECT i.ordinal AS item_id
FROM item AS i
WHERE i.ordinal = any(%(item_ids)s)
ORDER BY i.source, i.key
