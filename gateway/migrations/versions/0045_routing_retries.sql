-- What EvaluatePolicy has said, so that a step can rest on it. Never changed; deleted after 90 days unless a
-- step names it.
CREATE TABLE routing_judgement (
    judgement_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL CHECK (subject IN ('CORRIDOR', 'RETRY_TIME')),
    candidate text NOT NULL CHECK (candidate IN ('MODEL', 'RECORDED', 'ORDER')),
    -- The model that was judged, or that was in force when routing as it decides was; empty for the order.
    model_version text NOT NULL,
    -- Of the operators' terms that it was judged by.
    policy_hash text NOT NULL,
    accepted boolean NOT NULL,
    refusals jsonb NOT NULL,
    decision_count bigint NOT NULL CHECK (decision_count >= 0),
    -- The candidate less what was done, doubly robust; NULL where too little is there for an estimate.
    gain double precision,
    gain_low double precision,
    gain_high double precision,
    looks integer NOT NULL CHECK (looks > 0),
    -- The window of decisions.
    since_time timestamptz NOT NULL,
    until_time timestamptz NOT NULL,
    client text NOT NULL,
    judge_time timestamptz NOT NULL
);

CREATE INDEX routing_judgement_model ON routing_judgement (model_version, judgement_number);

ALTER TABLE routing_step ADD COLUMN subject text NOT NULL DEFAULT 'CORRIDOR'
CHECK (subject IN ('CORRIDOR', 'RETRY_TIME'));
-- The verdict that a step up rests on, or why it was taken without one.
ALTER TABLE routing_step ADD COLUMN judgement_number bigint;
ALTER TABLE routing_step ADD COLUMN override_reason text NOT NULL DEFAULT '';

-- Which of the payment methods that the client names for a corridor was charged, and which one routing drew.
ALTER TABLE routing_decision ADD COLUMN method integer NOT NULL DEFAULT 0;
ALTER TABLE routing_decision ADD COLUMN action_method integer NOT NULL DEFAULT 0;
ALTER TABLE routing_failover ADD COLUMN method integer NOT NULL DEFAULT 0;
ALTER TABLE routing_failover ADD COLUMN action_method integer NOT NULL DEFAULT 0;

-- When a payment that was declined is tried again and why: written with the decline, never changed, deleted
-- after 90 days. As routing_decision, of times instead of corridors.
CREATE TABLE routing_retry (
    payment_id text NOT NULL,
    -- The attempt that was declined, from 1 on.
    attempt integer NOT NULL CHECK (attempt > 0),
    merchant_id text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('SHADOW', 'STAGED')),
    arm text NOT NULL CHECK (arm IN ('RULES', 'ROUTED')),
    share double precision NOT NULL CHECK (share BETWEEN 0 AND 1),
    -- Day and hours of what was chosen ("1d08h"), and how likely that was, of both arms together.
    option text NOT NULL,
    propensity double precision NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    -- What routing drew, followed or not, with the number that it drew by.
    action text NOT NULL,
    seed bigint NOT NULL CHECK (seed >= 0),
    explored boolean NOT NULL,
    model_version text NOT NULL,
    policy_hash text NOT NULL,
    features_hash text NOT NULL,
    region text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('FUNDS', 'ISSUER', 'TECHNICAL', 'OTHER')),
    slots jsonb NOT NULL,
    -- Of each time that was allowed, the earliest first.
    scores jsonb NOT NULL,
    retry_time timestamptz NOT NULL,
    -- The end of what was allowed.
    latest_time timestamptz NOT NULL CHECK (latest_time >= retry_time),
    decide_time timestamptz NOT NULL,
    PRIMARY KEY (payment_id, attempt)
);

CREATE INDEX routing_retry_time ON routing_retry (decide_time);

-- What became of the attempt at that time: each is learnt from once. Deleted with its choice.
CREATE TABLE routing_retry_outcome (
    payment_id text NOT NULL,
    attempt integer NOT NULL,
    arm text NOT NULL CHECK (arm IN ('RULES', 'ROUTED')),
    cause text NOT NULL CHECK (cause IN ('NOBODY', 'APPROVED', 'ISSUER', 'CUSTOMER', 'CORRIDOR')),
    learn_time timestamptz NOT NULL,
    PRIMARY KEY (payment_id, attempt)
);

GRANT SELECT, INSERT, DELETE ON routing_judgement, routing_retry, routing_retry_outcome TO gateway_service;
