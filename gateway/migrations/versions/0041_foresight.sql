-- What one process saw of a corridor in a minute. Rows are never changed, and deleted after a day.
CREATE TABLE foresight_sighting (
    corridor text NOT NULL,
    -- UTC minutes since 1970.
    minute bigint NOT NULL CHECK (minute > 0),
    replica text NOT NULL,
    content jsonb NOT NULL,
    PRIMARY KEY (corridor, minute, replica)
);
CREATE INDEX foresight_sighting_old ON foresight_sighting (minute);

-- What all processes saw together, as it was foreseen from. Rows are never changed, and deleted after 35 days.
CREATE TABLE foresight_minute (
    corridor text NOT NULL,
    minute bigint NOT NULL CHECK (minute > 0),
    content jsonb NOT NULL,
    PRIMARY KEY (corridor, minute)
);
CREATE INDEX foresight_minute_old ON foresight_minute (minute);

-- How each corridor stands after the last minute that was read.
CREATE TABLE foresight_corridor (
    corridor text PRIMARY KEY,
    -- That minute; 0 before the first.
    minute bigint NOT NULL CHECK (minute >= 0),
    -- What is remembered of the corridor and its alarm; empty before the first minute.
    memory text NOT NULL CHECK (octet_length(memory) <= 131072),
    -- What is foreseen, as JSON of gateway.v1.CorridorForecast.
    forecast jsonb NOT NULL,
    -- Since when the alarm stands; NULL if none does.
    alarm_minute bigint,
    has_learnt boolean NOT NULL,
    discount double precision NOT NULL CHECK (discount BETWEEN 0 AND 0.95),
    concurrency_share double precision NOT NULL CHECK (concurrency_share BETWEEN 0.05 AND 1),
    has_incident boolean NOT NULL,
    -- How the corridor is treated holds until then, unless it is said anew.
    hold_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL
);

-- Each alarm, what it foresaw, and what came.
CREATE TABLE foresight_alarm (
    corridor text NOT NULL,
    raise_minute bigint NOT NULL CHECK (raise_minute > 0),
    state text NOT NULL CHECK (state IN ('FORESEEN', 'BROKEN', 'ENDED', 'PASSED', 'ABANDONED')),
    -- What was foreseen when it was raised, as JSON of gateway.v1.CorridorForecast.
    foreseen jsonb NOT NULL,
    acted boolean NOT NULL,
    breach_minute bigint CHECK (breach_minute >= raise_minute),
    end_minute bigint CHECK (end_minute >= raise_minute),
    -- Whether operators want to be told of it as an incident.
    is_incident boolean NOT NULL,
    -- The state that was told last; NULL before the first. It has changed where the two differ.
    told text,
    -- Of its first and of its last change.
    first_sequence bigint,
    sequence bigint,
    PRIMARY KEY (corridor, raise_minute),
    CHECK ((end_minute IS NULL) = (state IN ('FORESEEN', 'BROKEN'))),
    CHECK (state NOT IN ('BROKEN', 'ENDED') OR breach_minute IS NOT NULL),
    CHECK (state NOT IN ('FORESEEN', 'PASSED') OR breach_minute IS NULL)
);
CREATE UNIQUE INDEX foresight_alarm_open ON foresight_alarm (corridor) WHERE end_minute IS NULL;
CREATE INDEX foresight_alarm_untold ON foresight_alarm (raise_minute, corridor)
WHERE is_incident AND told IS DISTINCT FROM state;
CREATE UNIQUE INDEX foresight_alarm_listed ON foresight_alarm (first_sequence) WHERE first_sequence IS NOT NULL;

-- How incidents were with each change. Rows are never changed.
CREATE TABLE foresight_change (
    -- Gapless: given after the commit of what changed, by one process at a time.
    sequence bigint PRIMARY KEY,
    corridor text NOT NULL,
    raise_minute bigint NOT NULL,
    state text NOT NULL,
    foreseen jsonb NOT NULL,
    acted boolean NOT NULL,
    breach_minute bigint,
    end_minute bigint,
    record_time timestamptz NOT NULL
);

GRANT SELECT, INSERT, DELETE ON foresight_sighting, foresight_minute TO gateway_service;
GRANT SELECT, INSERT, UPDATE ON foresight_corridor, foresight_alarm TO gateway_service;
GRANT SELECT, INSERT ON foresight_change TO gateway_service;
