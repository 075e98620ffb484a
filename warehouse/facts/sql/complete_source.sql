-- The source has nothing that is not here.
UPDATE warehouse_source
SET complete_time = {complete_time}
WHERE source = {source};
