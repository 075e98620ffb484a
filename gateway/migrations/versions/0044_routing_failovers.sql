-- By which corridor a payment went on that was not charged where it was, and why: written with that step,
-- never changed, deleted after 90 days. As routing_decision, whose payments these may be.
CREATE TABLE routing_failover (
    payment_id text NOT NULL,
    -- How many corridors it had left by then.
    hop integer NOT NULL CHECK (hop > 0),
    merchant_id text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('SHADOW', 'STAGED')),
    arm text NOT NULL CHECK (arm IN ('RULES', 'ROUTED')),
    share double precision NOT NULL CHECK (share BETWEEN 0 AND 1),
    corridor text NOT NULL,
    propensity double precision NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    action text NOT NULL,
    seed bigint NOT NULL CHECK (seed >= 0),
    explored boolean NOT NULL,
    model_version text NOT NULL,
    policy_hash text NOT NULL,
    features_hash text NOT NULL,
    region text NOT NULL,
    network text NOT NULL,
    slots jsonb NOT NULL,
    scores jsonb NOT NULL,
    excluded jsonb NOT NULL,
    decide_time timestamptz NOT NULL,
    PRIMARY KEY (payment_id, hop)
);

CREATE INDEX routing_failover_time ON routing_failover (decide_time);

-- What became of the attempt there: each is learnt from once. Deleted with its decision.
CREATE TABLE routing_failover_outcome (
    payment_id text NOT NULL,
    hop integer NOT NULL,
    arm text NOT NULL CHECK (arm IN ('RULES', 'ROUTED')),
    corridor text NOT NULL,
    region text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('NOBODY', 'APPROVED', 'ISSUER', 'CUSTOMER', 'CORRIDOR')),
    was_unknown boolean NOT NULL,
    learn_time timestamptz NOT NULL,
    PRIMARY KEY (payment_id, hop)
);

GRANT SELECT, INSERT, DELETE ON routing_failover, routing_failover_outcome TO gateway_service;
