-- What came out of the broker and is no event: somebody else put it there, or a newer intake did.
-- Kept for a person to look at; the same one may be here twice after a crash.
CREATE TABLE webhook_unreadable (
    unreadable_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    broker text NOT NULL,
    -- Where it lay in the broker.
    position text NOT NULL,
    content bytea NOT NULL,
    reason text NOT NULL,
    create_time timestamptz NOT NULL
);

GRANT SELECT, INSERT ON webhook_unreadable TO gateway_service;
