-- Gives one replica of a machine group the turn to probe, unless another has it.
UPDATE corridor_breaker
SET
    prober = :replica,
    probe_until = now() + :lease
WHERE
    machine_group = :machine_group
    AND corridor = :corridor
    AND endpoint_group = :endpoint_group
    AND state <> :closed
    AND (prober IS NULL OR prober = :replica OR probe_until < now())
RETURNING change_number
