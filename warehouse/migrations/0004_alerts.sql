-- An outbox: an alert is stored in the transaction of what it tells of, and sent afterwards.

CREATE TABLE audit.alerts (
    alert_id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dedupe_key      text        NOT NULL UNIQUE,
    severity        text        NOT NULL CHECK (severity IN ('error', 'warning', 'info')),
    pipeline        text        NOT NULL,
    run_id          text,
    table_name      text,
    title           text        NOT NULL,
    body            text        NOT NULL DEFAULT '' CHECK (length(body) <= 4000),
    occurrences     integer     NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    status          text        NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'SENT', 'GIVEN_UP')),
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT clock_timestamp(),
    sent_at         timestamptz,
    last_error      text,
    CONSTRAINT alerts_pending_is_due CHECK ((status = 'PENDING') = (next_attempt_at IS NOT NULL))
);
CREATE INDEX alerts_due ON audit.alerts (next_attempt_at) WHERE status = 'PENDING';
