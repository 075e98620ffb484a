-- Changes of verifications get no sequences until the transaction ends.
SELECT counter.last_sequence
FROM verification_change_counter AS counter
FOR UPDATE
