-- Where clients have changes of payments sent to. Deleted ones stay, for their requests.
CREATE TABLE webhook_endpoint (
    id text COLLATE "C" PRIMARY KEY,
    url text NOT NULL,
    description text NOT NULL,
    -- Filters; empty lets everything through.
    merchant_id text NOT NULL,
    transitions text [] NOT NULL,
    max_in_flight integer NOT NULL CHECK (max_in_flight BETWEEN 1 AND 16),
    state text NOT NULL CHECK (state IN ('ENABLED', 'DISABLED', 'DELETED')),
    disable_cause text NOT NULL,
    -- The cursor: up to here, each event of the stream has its delivery or was filtered out.
    dispatched_sequence bigint NOT NULL CHECK (dispatched_sequence >= 0),
    failing_since timestamptz,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK ((state = 'DISABLED') = (disable_cause <> ''))
);

CREATE TABLE webhook_endpoint_secret (
    secret_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text COLLATE "C" NOT NULL REFERENCES webhook_endpoint,
    -- Sealed with the service's key where there is one: gateway/webhooks_out/sealing.py.
    sealed bytea NOT NULL,
    -- The request that made it, which gets it again when it is repeated.
    request_id text NOT NULL UNIQUE,
    create_time timestamptz NOT NULL,
    expire_time timestamptz
);

CREATE INDEX webhook_endpoint_secret_endpoint ON webhook_endpoint_secret (
    endpoint_id, secret_number DESC
);

-- One event for one endpoint: both its state and the durable job.
CREATE TABLE webhook_delivery (
    delivery_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id text COLLATE "C" NOT NULL REFERENCES webhook_endpoint,
    sequence bigint NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    state text NOT NULL CHECK (state IN ('PENDING', 'DELIVERED', 'DEAD')),
    attempts integer NOT NULL,
    next_attempt_time timestamptz NOT NULL,
    lease_until timestamptz,
    fencing_token bigint NOT NULL,
    last_http_status integer NOT NULL,
    last_failure text NOT NULL,
    create_time timestamptz NOT NULL,
    end_time timestamptz,
    UNIQUE (endpoint_id, sequence),
    CHECK ((state = 'PENDING') = (end_time IS NULL))
);

CREATE INDEX webhook_delivery_pending ON webhook_delivery (endpoint_id, next_attempt_time)
WHERE state = 'PENDING';
-- Of one payment in order: a delivery waits for the earlier ones.
CREATE INDEX webhook_delivery_payment ON webhook_delivery (endpoint_id, payment_id, sequence)
WHERE state = 'PENDING';
CREATE INDEX webhook_delivery_endpoint ON webhook_delivery (endpoint_id, delivery_number);
CREATE INDEX webhook_delivery_delivered ON webhook_delivery (end_time) WHERE state = 'DELIVERED';

-- Every request_id with the body it came with, kept for good.
CREATE TABLE webhook_endpoint_request (
    request_id text PRIMARY KEY,
    method text NOT NULL,
    body bytea NOT NULL,
    endpoint_id text COLLATE "C" NOT NULL,
    create_time timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE ON webhook_endpoint, webhook_endpoint_secret TO gateway_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_delivery TO gateway_service;
GRANT SELECT, INSERT ON webhook_endpoint_request TO gateway_service;
