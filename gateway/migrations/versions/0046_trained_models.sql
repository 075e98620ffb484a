-- What a model was trained on offline and how, which is in its bytes, too; never changed. The newest ones are
-- kept, and those that a step names or that are in force.
CREATE TABLE routing_training (
    version text NOT NULL PRIMARY KEY REFERENCES routing_model (version),
    training_number bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    -- As it is in the bytes: window, counts, settings, how well it foretold what was held out.
    provenance jsonb NOT NULL,
    -- Whether the window had more decisions than were read.
    truncated boolean NOT NULL,
    -- The client that asked for it first.
    client text NOT NULL,
    create_time timestamptz NOT NULL
);

GRANT SELECT, INSERT, DELETE ON routing_training TO gateway_service;

-- What TrainModel came to, so that the same request gets the same answer.
ALTER TABLE routing_request ADD COLUMN trained_version text NOT NULL DEFAULT '';

-- The trained model that the deciding one had gone on from; empty for none.
ALTER TABLE routing_decision ADD COLUMN trained_version text NOT NULL DEFAULT '';
ALTER TABLE routing_failover ADD COLUMN trained_version text NOT NULL DEFAULT '';
