-- Who holds, or last held, what must not run twice. The lock itself is a session's advisory lock on lock_key.

CREATE TABLE audit.leases (
    name        text        PRIMARY KEY,
    lock_key    bigint      NOT NULL UNIQUE,
    run_id      text        NOT NULL,
    attempt     integer     NOT NULL CHECK (attempt >= 1),
    fence       bigint      NOT NULL CHECK (fence >= 1),
    host        text        NOT NULL,
    pid         integer     NOT NULL,
    backend_pid integer     NOT NULL,
    acquired_at timestamptz NOT NULL,
    released_at timestamptz
);
COMMENT ON COLUMN audit.leases.fence IS 'rises with every acquisition; a holder whose fence it is no more may not commit';
COMMENT ON COLUMN audit.leases.backend_pid IS 'the server process of the holder''s session, as in pg_locks';

CREATE VIEW audit.leases_held AS
SELECT leases.name, leases.run_id, leases.attempt, leases.fence, leases.host, leases.pid, leases.acquired_at
FROM audit.leases
JOIN pg_locks ON pg_locks.pid = leases.backend_pid
WHERE pg_locks.locktype = 'advisory'
  AND pg_locks.granted
  AND pg_locks.objsubid = 1
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND ((pg_locks.classid::bigint << 32) | pg_locks.objid::bigint) = leases.lock_key;
COMMENT ON VIEW audit.leases_held IS 'the leases whose holder''s session is alive now';
