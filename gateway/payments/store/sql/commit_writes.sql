-- Writes what many payments' commit points have to write, each all or nothing, in one statement.
-- A part is left out, and not answered with its number, if its request_id is taken, if others wait
-- in the queue before it, if the payment or the operation is not as it was when the part was decided,
-- if somebody holds one of them at the moment, or if a fact cannot be appended as it is. Nobody is
-- waited for but another writer of the same request_id; those are taken in order, so that two
-- processes never wait for each other. Rows are looked up one by one, in subqueries that cannot be
-- turned into joins: a part is about a few rows of tables that may have millions.
WITH part AS MATERIALIZED (
    SELECT *
    FROM json_to_recordset(%(parts)s) AS part (
        number integer,
        payment_id text,
        revision bigint,
        request json,
        behind_nobody_in text,
        payment json,
        operation json,
        new_operation json,
        events json,
        facts json,
        routing json
    )
),

-- The row as it is now, not as it was when the statement began: its lock is had.
locked_payment AS MATERIALIZED (
    SELECT held.id
    FROM part
    CROSS JOIN LATERAL (
        SELECT payment.id, payment.revision
        FROM payment
        WHERE payment.id = part.payment_id
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS held
    WHERE part.request IS NULL AND held.revision = part.revision
),

-- Fencing: who has lost the lease finds another token, who was overtaken a decided operation.
leased_operation AS MATERIALIZED (
    SELECT held.id
    FROM part
    CROSS JOIN LATERAL (
        SELECT operation.id, operation.fencing_token, operation.end_time
        FROM operation
        WHERE operation.id = part.operation ->> 'id'
        -- Keeps the condition below outside, where it does not choose another index.
        OFFSET 0
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS held
    WHERE
        held.fencing_token = (part.operation ->> 'fencing_token')::bigint
        AND held.end_time IS NULL
),

new_request AS (
    INSERT INTO payment_request ({request_columns})
    SELECT {request_values}
    FROM part
    CROSS JOIN LATERAL json_populate_record(NULL::payment_request, part.request) AS request
    WHERE
        part.request IS NOT NULL
        AND (
            SELECT waiting.id
            FROM operation AS waiting
            WHERE
                waiting.corridor = part.behind_nobody_in
                AND waiting.end_time IS NULL
                AND waiting.queued
            LIMIT 1
        ) IS NULL
    ORDER BY request.request_id
    ON CONFLICT DO NOTHING
    RETURNING payment_request.payment_id
),

accepted AS MATERIALIZED (
    SELECT part.*
    FROM part
    WHERE
        CASE
            WHEN part.request IS NOT NULL
                THEN part.payment_id IN (SELECT new_request.payment_id FROM new_request)
            ELSE
                part.payment_id IN (SELECT locked_payment.id FROM locked_payment)
                AND (
                    part.operation IS NULL
                    OR part.operation ->> 'id' IN (SELECT leased_operation.id FROM leased_operation)
                )
                AND NOT EXISTS (
                    SELECT 1
                    FROM json_populate_recordset(NULL::booking, part.facts) AS fact
                    WHERE
                        NOT pg_try_advisory_xact_lock(
                            hashtextextended('booking.' || fact.subject, 0)
                        )
                        OR (
                            SELECT known.fact_id FROM booking AS known
                            WHERE known.fact_id = fact.fact_id
                        ) IS NOT NULL
                        OR fact.requires IS DISTINCT FROM (
                            SELECT earlier.fact_id FROM booking AS earlier
                            WHERE earlier.fact_id = fact.requires
                        )
                )
        END
),

added_payment AS (
    INSERT INTO payment ({payment_columns})
    SELECT {payment_values}
    FROM accepted
    CROSS JOIN LATERAL json_populate_record(NULL::payment, accepted.payment) AS added
    WHERE accepted.request IS NOT NULL
),

changed_payment AS (
    UPDATE payment
    SET {payment_changes}
    FROM accepted
    CROSS JOIN LATERAL json_populate_record(NULL::payment, accepted.payment) AS changed
    WHERE
        payment.id = accepted.payment_id
        AND accepted.request IS NULL
        AND accepted.payment IS NOT NULL
),

changed_operation AS (
    UPDATE operation
    SET {operation_changes}
    FROM accepted
    CROSS JOIN LATERAL json_populate_record(NULL::operation, accepted.operation) AS changed
    WHERE operation.id = changed.id AND accepted.operation IS NOT NULL
),

added_operation AS (
    INSERT INTO operation ({operation_columns})
    SELECT {operation_values}
    FROM accepted
    CROSS JOIN LATERAL
        json_populate_record(NULL::operation, accepted.new_operation) AS added
    WHERE accepted.new_operation IS NOT NULL
),

added_routing_decision AS (
    INSERT INTO routing_decision ({routing_columns})
    SELECT {routing_values}
    FROM accepted
    CROSS JOIN LATERAL
        json_populate_record(NULL::routing_decision, accepted.routing) AS added
    WHERE accepted.request IS NOT NULL AND accepted.routing IS NOT NULL
    ON CONFLICT DO NOTHING
),

added_event AS (
    INSERT INTO payment_event ({event_columns})
    SELECT {event_values}
    FROM accepted
    CROSS JOIN LATERAL json_populate_recordset(NULL::payment_event, accepted.events) AS added
    ORDER BY accepted.number, added.revision
),

added_fact AS (
    INSERT INTO booking (
        fact_id, kind, fact, subject, requires, payment_id, effective_time, next_attempt_time,
        create_time, trace_parent
    )
    SELECT
        added.fact_id,
        added.kind,
        added.fact,
        added.subject,
        added.requires,
        added.payment_id,
        added.effective_time,
        added.next_attempt_time,
        added.create_time,
        added.trace_parent
    FROM accepted
    CROSS JOIN LATERAL
        json_populate_recordset(NULL::booking, accepted.facts) WITH ORDINALITY AS added
    ORDER BY accepted.number, added.ordinality
    RETURNING pg_notify(%(booking_channel)s, '')
)

SELECT accepted.number FROM accepted
