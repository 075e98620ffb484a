-- What is loaded of each source, and when. Read by both warehouses as it stands here.
CREATE TABLE IF NOT EXISTS warehouse_source (
    source varchar PRIMARY KEY,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    mark varchar NOT NULL,
    load_number bigint NOT NULL,
    -- When the source was last found to have nothing that is not here.
    complete_time timestamptz
);

CREATE TABLE IF NOT EXISTS warehouse_load (
    source varchar NOT NULL,
    load_number bigint NOT NULL,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    row_count bigint NOT NULL,
    -- When the oldest of its rows was news at the service.
    news_time timestamptz,
    load_time timestamptz NOT NULL,
    PRIMARY KEY (source, load_number)
);

-- Where a source had to go back to because its service was restored: what it had told behind that place is no more.
CREATE TABLE IF NOT EXISTS warehouse_restore (
    source varchar NOT NULL,
    generation bigint NOT NULL,
    epoch bigint NOT NULL,
    sequence bigint NOT NULL,
    load_time timestamptz NOT NULL,
    PRIMARY KEY (source, generation)
);

-- Which warehouse it is, so that exports of two are not mixed.
CREATE TABLE IF NOT EXISTS warehouse_identity (
    identity varchar PRIMARY KEY
);

-- What the tables and views were made by last: who finds his own there has nothing to make.
CREATE TABLE IF NOT EXISTS warehouse_schema (
    digest varchar PRIMARY KEY
);

-- Tables of Stripe's files, each of one title of a query or one type of report, and what their columns are headed by.
CREATE TABLE IF NOT EXISTS stripe_table (
    table_name varchar PRIMARY KEY,
    kind varchar NOT NULL,
    title varchar NOT NULL
);

CREATE TABLE IF NOT EXISTS stripe_column (
    table_name varchar NOT NULL,
    column_name varchar NOT NULL,
    heading varchar NOT NULL,
    PRIMARY KEY (table_name, column_name)
);
