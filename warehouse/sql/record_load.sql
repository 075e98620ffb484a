-- The new position, in the transaction of its rows.
INSERT INTO ledger_load (ledger, through_sequence, leaf_hash, moment, load_time)
VALUES ({ledger}, {through_sequence}, {leaf_hash}, {moment}, {load_time});
