-- Before the first release, so that no older code runs beside it.
ALTER TABLE rail_mode_change RENAME TO corridor_mode_change;
ALTER INDEX rail_mode_change_corridor RENAME TO corridor_mode_change_corridor;
ALTER TABLE rail_breaker RENAME TO corridor_breaker;
ALTER TABLE rail_breaker_change RENAME TO corridor_breaker_change;

ALTER TABLE scheduling_candidate RENAME TO leader_candidate;
ALTER TABLE scheduling_duty RENAME TO leader_task;
ALTER TABLE leader_task RENAME COLUMN term TO epoch;
ALTER INDEX scheduling_duty_leader RENAME TO leader_task_leader;

ALTER INDEX payment_operation_line RENAME TO payment_operation_queue;

UPDATE payment
SET failure = jsonb_set(failure, '{code}', '"stripe_rejected"')
WHERE failure ->> 'code' = 'rail_rejected';
UPDATE payment
SET failure = jsonb_set(failure, '{code}', '"corridor_unavailable"')
WHERE failure ->> 'code' = 'rail_unavailable';
UPDATE payment SET queue_reason = 'corridor_unavailable' WHERE queue_reason = 'rail_unavailable';
