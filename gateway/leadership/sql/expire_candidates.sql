-- Deletes the candidates whose lease has ended or whose session is gone; their tasks are free.
DELETE FROM leader_candidate AS candidate
WHERE
    candidate.lease_until <= clock_timestamp()
    OR NOT EXISTS (
        SELECT 1
        FROM pg_locks AS held
        WHERE
            held.locktype = 'advisory'
            AND held.granted
            AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND held.classid = cast(:lock_class AS oid)
            AND held.objid = cast(candidate.session_key AS oid)
            AND held.objsubid = 2
    )
