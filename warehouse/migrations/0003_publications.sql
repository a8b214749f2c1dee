-- A copy of the manifests for queries; the manifests in the lake's ops layer are what readers follow.

CREATE TABLE audit.publications (
    pipeline       text        NOT NULL,
    number         bigint      NOT NULL CHECK (number >= 1),
    run_id         text        NOT NULL,
    published_at   timestamptz NOT NULL,
    tables         jsonb       NOT NULL,
    rolled_back_to bigint,
    PRIMARY KEY (pipeline, number)
);
COMMENT ON COLUMN audit.publications.tables IS 'Delta version by table name';
