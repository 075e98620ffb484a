-- Snapshots of merchants get no sequences until the transaction ends.
SELECT counter.last_sequence
FROM merchant_snapshot_counter AS counter
FOR UPDATE
