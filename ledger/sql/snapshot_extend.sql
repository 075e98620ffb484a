-- Adds the next chunk of one ledger; how far that comes.
SELECT extend_snapshots(%(ledger_id)s, %(transactions)s, %(entries)s)
