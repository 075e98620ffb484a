-- The new position, in the transaction of its rows.
UPDATE warehouse_source
SET generation = {generation}, epoch = {epoch}, sequence = {sequence}, mark = {mark}, load_number = {load_number}
WHERE source = {source};
