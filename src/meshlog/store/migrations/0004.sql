-- What the caller's own reducers have come to: see docs/adr/0023-reducers.md. All of it can be made again.

CREATE TABLE reduction (
    reduction  INTEGER PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    version    INTEGER NOT NULL,
    position   INTEGER NOT NULL, -- of the last event that was looked at
    judgement  BLOB NOT NULL,    -- digest of what decides which entries count
    horizon_ms INTEGER NOT NULL,
    crc        INTEGER NOT NULL
) STRICT;

-- The events that a reducer takes, in their order, ties aside.
CREATE TABLE reduction_entry (
    reduction INTEGER NOT NULL REFERENCES reduction,
    stamp     INTEGER NOT NULL, -- wall ms << 16 | counter
    position  INTEGER NOT NULL, -- of the event
    counts    INTEGER NOT NULL,
    why       TEXT NOT NULL,    -- why the reducer skipped it
    crc       INTEGER NOT NULL,
    PRIMARY KEY (reduction, stamp, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoint (
    reduction INTEGER NOT NULL REFERENCES reduction,
    stamp     INTEGER NOT NULL, -- up to which events are in the state
    events    INTEGER NOT NULL, -- how many those are
    state     BLOB NOT NULL,
    crc       INTEGER NOT NULL,
    PRIMARY KEY (reduction, stamp)
) STRICT;
