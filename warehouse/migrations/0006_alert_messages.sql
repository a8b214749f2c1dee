-- A message follows its alert: sent once, then edited in place whenever the alert's revision rises.

ALTER TABLE audit.alerts
    ADD COLUMN kind          text    NOT NULL DEFAULT 'note' CHECK (kind IN ('run', 'note', 'group')),
    ADD COLUMN revision      integer NOT NULL DEFAULT 1,
    ADD COLUMN sent_revision integer NOT NULL DEFAULT 0,
    ADD COLUMN sent_digest   text    NOT NULL DEFAULT '',
    ADD COLUMN message_id    text,
    ADD COLUMN first_sent_at timestamptz,
    ADD COLUMN grouped_into  bigint REFERENCES audit.alerts ON DELETE SET NULL,
    DROP CONSTRAINT alerts_status_check,
    ADD CONSTRAINT alerts_status_check CHECK (status IN ('PENDING', 'SENT', 'GROUPED', 'GIVEN_UP')),
    ADD CONSTRAINT alerts_grouped_has_a_group CHECK (status <> 'GROUPED' OR grouped_into IS NOT NULL);
COMMENT ON COLUMN audit.alerts.kind IS 'run: the one alert of a run, told from audit.runs; note: its own body; group: stands for the alerts grouped into it';
COMMENT ON COLUMN audit.alerts.sent_digest IS 'of the content last sent: what would look the same is not sent again';
COMMENT ON COLUMN audit.alerts.message_id IS 'of the message that is edited from now on';
CREATE INDEX alerts_by_group ON audit.alerts (grouped_into) WHERE grouped_into IS NOT NULL;
CREATE INDEX alerts_by_first_message ON audit.alerts (first_sent_at);

CREATE TABLE audit.alert_channels (
    channel      text        PRIMARY KEY,
    failures     integer     NOT NULL DEFAULT 0,
    limited      boolean     NOT NULL DEFAULT false,
    closed_until timestamptz,
    last_error   text        NOT NULL DEFAULT ''
);
COMMENT ON TABLE audit.alert_channels IS 'How long nothing is sent: the back-off of a channel that is away, or the pause that it asked for (limited)';

ALTER TABLE audit.runs ADD COLUMN link text NOT NULL DEFAULT '';
COMMENT ON COLUMN audit.runs.link IS 'path of the run at the scheduler that runs it, such as /dags/…/runs/…';
