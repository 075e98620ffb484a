-- The leaf of a transaction.
SELECT t.leaf
FROM ledger_transaction AS t
WHERE t.ledger = {ledger} AND t.sequence = {sequence};
