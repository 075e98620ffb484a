-- A source that has not been loaded yet.
INSERT INTO warehouse_source (source, generation, epoch, sequence, mark, load_number)
VALUES ({source}, 0, 0, 0, '', 0)
ON CONFLICT DO NOTHING;
