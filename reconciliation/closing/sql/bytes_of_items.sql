-- The bytes that some items were made of, by their sources, corridors, keys and hashes.
SELECT
    i.source,
    i.corridor,
    i.key,
    b.content
FROM unnest(
    %(sources)s::text [], %(corridors)s::text [], %(keys)s::text [], %(hashes)s::bytea []
) AS n (source, corridor, key, sha256)
INNER JOIN item AS i
    ON n.source = i.source AND n.corridor = i.corridor AND n.key = i.key AND n.sha256 = i.sha256
INNER JOIN item_bytes AS b ON i.ordinal = b.ordinal
