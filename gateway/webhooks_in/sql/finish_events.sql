-- Marks events as done, but for those that another worker has claimed since.
UPDATE webhook_event
SET
    state = 'DONE',
    finish_time = :now,
    lease_until = NULL,
    last_failure = NULL
FROM
    unnest(cast(:sequences AS bigint []), cast(:fencing_tokens AS bigint [])) AS held (
        sequence, fencing_token
    )
WHERE
    webhook_event.sequence = held.sequence
    AND webhook_event.state = 'PENDING'
    AND webhook_event.fencing_token = held.fencing_token
RETURNING webhook_event.sequence
