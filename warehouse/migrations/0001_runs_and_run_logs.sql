-- The run log: one row a run and attempt, and one row a run, attempt, layer and table.

CREATE TABLE audit.runs (
    run_id        text        NOT NULL,
    attempt       integer     NOT NULL CHECK (attempt >= 1),
    pipeline      text        NOT NULL,
    trigger       text        NOT NULL,
    params        jsonb       NOT NULL DEFAULT '{}',
    status        text        NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED', 'SKIPPED', 'UNKNOWN')),
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at      timestamptz,
    error         text CHECK (length(error) <= 4000),
    host          text        NOT NULL,
    pid           integer     NOT NULL,
    process_start text        NOT NULL,
    PRIMARY KEY (run_id, attempt),
    CONSTRAINT runs_end_is_known CHECK ((status = 'RUNNING') = (ended_at IS NULL)),
    CONSTRAINT runs_failure_has_an_error CHECK ((status = 'FAILED') = (error IS NOT NULL))
);
COMMENT ON COLUMN audit.runs.process_start IS
    'kernel boot id and start in clock ticks: tells a process from a later one with the same pid';
COMMENT ON COLUMN audit.runs.status IS 'UNKNOWN: the row was lost, the run is known by the commits it made';
CREATE INDEX runs_by_start ON audit.runs (started_at DESC);
CREATE INDEX runs_running ON audit.runs (run_id) WHERE status = 'RUNNING';

CREATE TABLE audit.run_logs (
    run_id           text        NOT NULL,
    attempt          integer     NOT NULL,
    layer            text        NOT NULL,
    table_name       text        NOT NULL,
    status           text        NOT NULL CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED', 'SKIPPED')),
    started_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at         timestamptz,
    input_rows       bigint      NOT NULL DEFAULT 0 CHECK (input_rows >= 0),
    output_rows      bigint      NOT NULL DEFAULT 0 CHECK (output_rows >= 0),
    inserted         bigint      NOT NULL DEFAULT 0 CHECK (inserted >= 0),
    updated          bigint      NOT NULL DEFAULT 0 CHECK (updated >= 0),
    unchanged        bigint      NOT NULL DEFAULT 0 CHECK (unchanged >= 0),
    stale            bigint      NOT NULL DEFAULT 0 CHECK (stale >= 0),
    duplicate        bigint      NOT NULL DEFAULT 0 CHECK (duplicate >= 0),
    quarantined      bigint      NOT NULL DEFAULT 0 CHECK (quarantined >= 0),
    deleted          bigint      NOT NULL DEFAULT 0 CHECK (deleted >= 0),
    versions_read    jsonb       NOT NULL DEFAULT '{}',
    version_written  bigint,
    phases           jsonb       NOT NULL DEFAULT '{}',
    contract_version text        NOT NULL DEFAULT '',
    window_from      timestamptz,
    window_to        timestamptz,
    note             text        NOT NULL DEFAULT '',
    error            text CHECK (length(error) <= 4000),
    host             text        NOT NULL,
    pid              integer     NOT NULL,
    process_start    text        NOT NULL,
    PRIMARY KEY (run_id, attempt, layer, table_name),
    FOREIGN KEY (run_id, attempt) REFERENCES audit.runs ON DELETE CASCADE,
    CONSTRAINT run_logs_end_is_known CHECK ((status = 'RUNNING') = (ended_at IS NULL)),
    CONSTRAINT run_logs_failure_has_an_error CHECK ((status = 'FAILED') = (error IS NOT NULL)),
    CONSTRAINT run_logs_ledger_balances CHECK (
        status NOT IN ('SUCCESS', 'SKIPPED')
        OR input_rows = inserted + updated + unchanged + stale + duplicate + quarantined + deleted
    )
);
COMMENT ON TABLE audit.run_logs IS 'What became of one table in one run: input_rows equals the sum of the seven counts after it';
COMMENT ON COLUMN audit.run_logs.versions_read IS 'Delta version by table name';
COMMENT ON COLUMN audit.run_logs.phases IS 'seconds by phase';
CREATE INDEX run_logs_by_table ON audit.run_logs (table_name, started_at DESC);
CREATE INDEX run_logs_by_version ON audit.run_logs (table_name, version_written);
CREATE INDEX run_logs_running ON audit.run_logs (run_id) WHERE status = 'RUNNING';
