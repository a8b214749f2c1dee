-- Streams: which offsets a producer has handed over, and what became of every micro-batch of a consumer.

CREATE TABLE audit.stream_sends (
    run_id       text        NOT NULL,
    topic        text        NOT NULL,
    topic_id     text        NOT NULL,
    partition    integer     NOT NULL CHECK (partition >= 0),
    first_offset bigint      NOT NULL CHECK (first_offset >= 0),
    next_offset  bigint      NOT NULL,
    acknowledged bigint      NOT NULL DEFAULT 0 CHECK (acknowledged >= 0),
    refused      bigint      NOT NULL DEFAULT 0 CHECK (refused >= 0),
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    error        text CHECK (length(error) <= 4000),
    PRIMARY KEY (run_id, topic, partition),
    CONSTRAINT stream_sends_range_holds_them CHECK (next_offset >= first_offset + acknowledged),
    CONSTRAINT stream_sends_failure_has_an_end CHECK (error IS NULL OR finished_at IS NOT NULL)
);
COMMENT ON TABLE audit.stream_sends IS 'What a producer''s run sent to a partition: written at its start, and at its end; it may begin before its row in audit.runs';
COMMENT ON COLUMN audit.stream_sends.topic_id IS 'a UUID: a topic that is made anew gets another one';
COMMENT ON COLUMN audit.stream_sends.first_offset IS 'the partition''s end when the run began';
COMMENT ON COLUMN audit.stream_sends.next_offset IS 'the offset after the last acknowledged one';
COMMENT ON COLUMN audit.stream_sends.refused IS 'messages that the broker did not want, such as too large ones: they have no offset';
COMMENT ON COLUMN audit.stream_sends.finished_at IS 'NULL while the producer is at work, or was killed';

CREATE TABLE audit.stream_batches (
    run_id          text        NOT NULL,
    attempt         integer     NOT NULL,
    batch           bigint      NOT NULL CHECK (batch >= 0),
    table_name      text        NOT NULL,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL,
    offsets         jsonb       NOT NULL,
    received        bigint      NOT NULL CHECK (received >= 0),
    inserted        bigint      NOT NULL DEFAULT 0 CHECK (inserted >= 0),
    updated         bigint      NOT NULL DEFAULT 0 CHECK (updated >= 0),
    unchanged       bigint      NOT NULL DEFAULT 0 CHECK (unchanged >= 0),
    stale           bigint      NOT NULL DEFAULT 0 CHECK (stale >= 0),
    duplicate       bigint      NOT NULL DEFAULT 0 CHECK (duplicate >= 0),
    quarantined     bigint      NOT NULL DEFAULT 0 CHECK (quarantined >= 0),
    deleted         bigint      NOT NULL DEFAULT 0 CHECK (deleted >= 0),
    version_events  bigint,
    version_written bigint,
    latency_p50_ms  double precision,
    latency_p95_ms  double precision,
    latency_max_ms  double precision,
    PRIMARY KEY (run_id, attempt, batch),
    FOREIGN KEY (run_id, attempt) REFERENCES audit.runs ON DELETE CASCADE,
    CONSTRAINT stream_batches_end_after_start CHECK (ended_at >= started_at),
    CONSTRAINT stream_batches_ledger_balances CHECK (
        received = inserted + updated + unchanged + stale + duplicate + quarantined + deleted
    )
);
COMMENT ON TABLE audit.stream_batches IS 'What became of one micro-batch: received equals the sum of the seven counts after it';
COMMENT ON COLUMN audit.stream_batches.offsets IS 'a list of {"partition", "from", "to"}; the message at "to" is not in it';
COMMENT ON COLUMN audit.stream_batches.version_events IS 'Delta version of Bronze''s events that holds them';
COMMENT ON COLUMN audit.stream_batches.latency_p50_ms IS 'from the producer''s timestamp to visible in the table';
CREATE INDEX stream_batches_by_table ON audit.stream_batches (table_name, started_at DESC);
