-- One writer of decisions at a time, until the transaction ends; the trigger of the log takes the same lock.
SELECT pg_advisory_xact_lock(hashtextextended('compliance.decision', 0))
