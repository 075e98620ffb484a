-- Writes a transition of a breaker down, makes it the state of its machine group, wakes the others.
WITH change AS (
    INSERT INTO corridor_breaker_change (
        machine_group, corridor, endpoint_group, old_state, new_state, replica,
        calls, failure_rate, slow_call_rate, change_time
    )
    VALUES (
        :machine_group, :corridor, :endpoint_group, :old_state, :new_state, :replica,
        :calls, :failure_rate, :slow_call_rate, now()
    )
    RETURNING *
),

state AS (
    INSERT INTO corridor_breaker (
        machine_group, corridor, endpoint_group, state, replica, change_number
    )
    SELECT
        change.machine_group,
        change.corridor,
        change.endpoint_group,
        change.new_state,
        change.replica,
        change.change_number
    FROM change
    ON CONFLICT (machine_group, corridor, endpoint_group) DO UPDATE
    SET
        state = excluded.state,
        replica = excluded.replica,
        change_number = excluded.change_number,
        -- Who probes keeps its turn while half-open; once decided, the turn is free.
        prober = CASE WHEN excluded.state = 'half-open' THEN corridor_breaker.prober END,
        probe_until = CASE WHEN excluded.state = 'half-open' THEN corridor_breaker.probe_until END
    RETURNING corridor_breaker.change_number
)

SELECT
    state.change_number,
    pg_notify(:channel, '')
FROM state
