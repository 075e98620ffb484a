-- How far a shadow has judged the decision log.
CREATE TABLE policy_shadow (
    policy_version text COLLATE "C" PRIMARY KEY REFERENCES policy_version (policy_version),
    judged_count bigint NOT NULL CHECK (judged_count >= 0),
    unreadable_count bigint NOT NULL CHECK (unreadable_count >= 0),
    through_sequence bigint NOT NULL CHECK (through_sequence >= 0)
);

-- What it would have decided otherwise, and the money in it.
CREATE TABLE policy_shadow_change (
    policy_version text COLLATE "C" NOT NULL REFERENCES policy_shadow (policy_version),
    decided text COLLATE "C" NOT NULL,
    candidate text COLLATE "C" NOT NULL,
    currency_code text COLLATE "C" NOT NULL,
    decision_count bigint NOT NULL CHECK (decision_count > 0),
    amount_minor numeric(40, 0) NOT NULL,
    PRIMARY KEY (policy_version, decided, candidate, currency_code)
);

-- The newest of those decisions, as canonical JSON.
CREATE TABLE policy_shadow_decision (
    policy_version text COLLATE "C" NOT NULL REFERENCES policy_shadow (policy_version),
    sequence bigint NOT NULL,
    judged text NOT NULL,
    PRIMARY KEY (policy_version, sequence)
);

GRANT SELECT, INSERT, UPDATE ON policy_shadow, policy_shadow_change TO compliance_service;
GRANT DELETE ON policy_shadow_change TO compliance_service;
GRANT SELECT, INSERT, DELETE ON policy_shadow_decision TO compliance_service;
