-- What operators have changed: who, by which call, about what; written before it is done. How it ended follows.
CREATE TABLE operator_act (
    act_number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client text COLLATE "C" NOT NULL CHECK (client <> ''),
    method text NOT NULL CHECK (method <> ''),
    request_id text NOT NULL,
    about jsonb NOT NULL,
    begin_time timestamptz NOT NULL
);
CREATE INDEX operator_act_about ON operator_act USING gin (about jsonb_path_ops);
CREATE INDEX operator_act_client ON operator_act (client, act_number);

CREATE TABLE operator_act_outcome (
    act_number bigint PRIMARY KEY REFERENCES operator_act (act_number),
    outcome text NOT NULL CHECK (outcome <> ''),
    end_time timestamptz NOT NULL
);

GRANT SELECT, INSERT ON operator_act, operator_act_outcome TO gateway_service;
