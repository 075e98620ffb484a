-- How far the gateway's feed of changed accounts was followed.
CREATE TABLE merchant_watch (
    only_row boolean PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    -- What the sequence belongs to; higher each time that the gateway was restored from a backup.
    epoch bigint NOT NULL,
    sequence bigint NOT NULL
);
INSERT INTO merchant_watch (epoch, sequence) VALUES (0, 0);
GRANT SELECT, UPDATE ON merchant_watch TO compliance_service;
