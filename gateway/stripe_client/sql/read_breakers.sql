-- The last transition of each breaker of a machine group.
SELECT
    corridor,
    endpoint_group,
    state,
    replica,
    change_number
FROM corridor_breaker
WHERE machine_group = :machine_group
ORDER BY corridor, endpoint_group
