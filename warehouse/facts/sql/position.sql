-- How far a source has been loaded.
SELECT
    s.epoch,
    s.sequence,
    s.generation,
    s.mark,
    s.load_number
FROM warehouse_source AS s
WHERE s.source = {source};
