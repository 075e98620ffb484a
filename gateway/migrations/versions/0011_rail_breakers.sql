-- The breakers of a machine group, as its replicas last reported them, and whose turn it is to probe.
CREATE TABLE rail_breaker (
    machine_group text NOT NULL,
    corridor text NOT NULL,
    endpoint_group text NOT NULL,
    state text NOT NULL CHECK (state IN ('closed', 'open', 'half-open')),
    replica text NOT NULL,
    change_number bigint NOT NULL,
    prober text,
    probe_until timestamptz,
    PRIMARY KEY (machine_group, corridor, endpoint_group),
    CHECK ((prober IS NULL) = (probe_until IS NULL))
);

-- Every transition, with what the window said.
CREATE TABLE rail_breaker_change (
    change_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    machine_group text NOT NULL,
    corridor text NOT NULL,
    endpoint_group text NOT NULL,
    old_state text NOT NULL,
    new_state text NOT NULL,
    replica text NOT NULL,
    calls integer NOT NULL,
    failure_rate double precision NOT NULL,
    slow_call_rate double precision NOT NULL,
    change_time timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON rail_breaker TO gateway_service;
GRANT SELECT, INSERT ON rail_breaker_change TO gateway_service;
