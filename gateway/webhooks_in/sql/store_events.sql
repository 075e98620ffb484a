-- Stores events that are not there yet, in the order given, and tells the workers.
WITH stored AS (
    INSERT INTO webhook_event (
        event_id,
        corridor,
        stripe_account,
        event_type,
        object_id,
        subject,
        created_time,
        body,
        next_attempt_time,
        receive_time
    )
    SELECT
        given.event_id,
        given.corridor,
        given.stripe_account,
        given.event_type,
        given.object_id,
        given.subject,
        given.created_time,
        given.body,
        :now,
        given.receive_time
    FROM
        unnest(
            cast(:event_ids AS text []),
            cast(:corridors AS text []),
            cast(:stripe_accounts AS text []),
            cast(:event_types AS text []),
            cast(:object_ids AS text []),
            cast(:subjects AS text []),
            cast(:created_times AS timestamptz []),
            cast(:bodies AS text []),
            cast(:receive_times AS timestamptz [])
        ) WITH ORDINALITY AS given (
            event_id,
            corridor,
            stripe_account,
            event_type,
            object_id,
            subject,
            created_time,
            body,
            receive_time,
            place
        )
    ORDER BY given.place
    ON CONFLICT (corridor, event_id) DO NOTHING
    RETURNING corridor, event_id
),

notified AS (
    SELECT pg_notify(:channel, '') WHERE EXISTS (SELECT 1 FROM stored)
)

SELECT
    stored.corridor,
    stored.event_id
FROM stored
LEFT JOIN notified ON TRUE
