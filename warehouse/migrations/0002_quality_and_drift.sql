-- What the contract's rules counted, and how the source's columns differed from the table's.

CREATE TABLE audit.quality_results (
    run_id      text    NOT NULL,
    attempt     integer NOT NULL,
    layer       text    NOT NULL,
    table_name  text    NOT NULL,
    rule        text    NOT NULL,
    column_name text    NOT NULL,
    severity    text    NOT NULL,
    passed      bigint  NOT NULL CHECK (passed >= 0),
    failed      bigint  NOT NULL CHECK (failed >= 0),
    PRIMARY KEY (run_id, attempt, layer, table_name, rule, column_name),
    FOREIGN KEY (run_id, attempt, layer, table_name) REFERENCES audit.run_logs ON DELETE CASCADE
);
COMMENT ON COLUMN audit.quality_results.column_name IS 'empty for a rule over the whole row or table';

CREATE TABLE audit.drift (
    run_id      text    NOT NULL,
    attempt     integer NOT NULL,
    layer       text    NOT NULL,
    table_name  text    NOT NULL,
    column_name text    NOT NULL,
    kind        text    NOT NULL,
    before      text    NOT NULL,
    after       text    NOT NULL,
    action      text    NOT NULL,
    PRIMARY KEY (run_id, attempt, layer, table_name, column_name, kind),
    FOREIGN KEY (run_id, attempt, layer, table_name) REFERENCES audit.run_logs ON DELETE CASCADE
);
