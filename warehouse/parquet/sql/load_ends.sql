-- The last load of each source.
SELECT
    s.source,
    s.load_number
FROM warehouse_source AS s
WHERE s.load_number > 0
ORDER BY s.source;
