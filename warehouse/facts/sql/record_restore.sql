-- Where the source goes on, in the transaction that begins a generation.
INSERT INTO warehouse_restore (source, generation, epoch, sequence, load_time)
VALUES ({source}, {generation}, {epoch}, {sequence}, {load_time});
