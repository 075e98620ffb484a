-- When each feed that items come from was last known to be open; at first when it was first looked at.
CREATE TABLE feed_contact (
    source_name text COLLATE "C" PRIMARY KEY,
    contact_time timestamptz NOT NULL
);
GRANT SELECT, INSERT, UPDATE ON feed_contact TO reconciliation_service;
