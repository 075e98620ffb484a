-- Which corridor a payment was given and why: written with the payment, never changed, deleted after 90 days.
CREATE TABLE routing_decision (
    payment_id text NOT NULL PRIMARY KEY,
    merchant_id text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('SHADOW', 'STAGED')),
    -- Whose choice was followed: the operators' order, or routing's.
    arm text NOT NULL CHECK (arm IN ('RULES', 'ROUTED')),
    -- The share of payments that followed routing at the time.
    share double precision NOT NULL CHECK (share BETWEEN 0 AND 1),
    -- Where the payment was sent first, and how likely that was, of both arms together.
    corridor text NOT NULL,
    propensity double precision NOT NULL CHECK (propensity > 0 AND propensity <= 1),
    -- What routing drew, followed or not, with the number that it drew by.
    action text NOT NULL,
    seed bigint NOT NULL CHECK (seed >= 0),
    explored boolean NOT NULL,
    model_version text NOT NULL,
    policy_hash text NOT NULL,
    features_hash text NOT NULL,
    region text NOT NULL,
    network text NOT NULL,
    slots jsonb NOT NULL,
    -- Of each candidate, in the operators' order.
    scores jsonb NOT NULL,
    -- Corridors that might not be used, with the reason.
    excluded jsonb NOT NULL,
    decide_time timestamptz NOT NULL
);

CREATE INDEX routing_decision_time ON routing_decision (decide_time);

-- What became of the first attempt of a decision: each is learnt from once. Deleted with its decision.
CREATE TABLE routing_outcome (
    payment_id text NOT NULL PRIMARY KEY,
    arm text NOT NULL CHECK (arm IN ('RULES', 'ROUTED')),
    corridor text NOT NULL,
    region text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('NOBODY', 'APPROVED', 'ISSUER', 'CUSTOMER', 'CORRIDOR')),
    was_unknown boolean NOT NULL,
    -- When it was learnt from, by the model that came of it.
    learn_time timestamptz NOT NULL
);

CREATE INDEX routing_outcome_time ON routing_outcome (learn_time);

-- What routing believed, named by the hash of its bytes. The newest ones are kept, and those of steps.
CREATE TABLE routing_model (
    version text NOT NULL PRIMARY KEY,
    model_number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    state bytea NOT NULL,
    learned bigint NOT NULL CHECK (learned >= 0),
    code_version text NOT NULL,
    create_time timestamptz NOT NULL
);
ALTER TABLE routing_model ALTER COLUMN state SET STORAGE EXTENDED;

-- How far outcomes were learnt from, and the model that came of it: one row, which the learner locks.
CREATE TABLE routing_learner (
    only_one boolean NOT NULL PRIMARY KEY DEFAULT TRUE CHECK (only_one),
    -- Of the stream of payments' events.
    sequence bigint NOT NULL CHECK (sequence >= 0),
    model_version text NOT NULL REFERENCES routing_model (version),
    -- When it was last up to date.
    round_time timestamptz NOT NULL
);

-- How much routing was allowed, by whom and why. The last one counts; never changed.
CREATE TABLE routing_step (
    step_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step text NOT NULL CHECK (step IN ('SHADOW', 'FIRST', 'SECOND', 'FULL')),
    model_version text NOT NULL REFERENCES routing_model (version),
    -- The client that asked for it; empty where the gateway fell back by itself.
    client text NOT NULL,
    reason text NOT NULL,
    -- The figures that it was decided by.
    evidence jsonb NOT NULL,
    step_time timestamptz NOT NULL
);

-- What operators asked for, once per request_id.
CREATE TABLE routing_request (
    request_id text NOT NULL PRIMARY KEY,
    method text NOT NULL,
    body bytea NOT NULL,
    create_time timestamptz NOT NULL
);

GRANT SELECT, INSERT, DELETE ON routing_decision, routing_outcome, routing_model TO gateway_service;
GRANT SELECT, INSERT, UPDATE ON routing_learner TO gateway_service;
GRANT SELECT, INSERT ON routing_step, routing_request TO gateway_service;
