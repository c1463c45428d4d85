-- The first schema. docs/adr/0004-store.md says why; every byte here is paid per event.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE feed (
    feed        INTEGER PRIMARY KEY,
    author      BLOB NOT NULL,
    kind        INTEGER NOT NULL,
    incarnation INTEGER NOT NULL,
    UNIQUE (author, kind, incarnation)
) STRICT;

-- A record's name, and its row of the live view; form is NULL while the view has none.
CREATE TABLE record (
    record    INTEGER PRIMARY KEY,
    record_id TEXT NOT NULL UNIQUE,
    form      TEXT,
    visible   INTEGER,
    conflicts INTEGER,
    state     BLOB
) STRICT;

-- Positions rise by one from 1: the greatest is the number of events.
CREATE TABLE event (
    position INTEGER PRIMARY KEY,
    stamp    INTEGER NOT NULL, -- wall ms << 16 | counter
    delay_ms INTEGER NOT NULL, -- arrived_ms - wall ms: 0 for our own, small for most
    record   INTEGER REFERENCES record,
    id       BLOB NOT NULL,
    body     BLOB NOT NULL
) STRICT;

CREATE INDEX event_id ON event (substr(id, 1, 6)); -- a hint: the full id is compared
CREATE INDEX event_record ON event (record) WHERE record IS NOT NULL;
CREATE INDEX event_ahead ON event (stamp) WHERE delay_ms < 0 AND record IS NOT NULL;

-- A run: events at consecutive positions, each the next of one branch. It ends before the
-- next run. So a feed, a seq and a prev are written once per run.
CREATE TABLE run (
    position INTEGER PRIMARY KEY, -- of its first event
    feed     INTEGER NOT NULL REFERENCES feed,
    seq      INTEGER NOT NULL,    -- of its first event
    base     INTEGER              -- position of its first event's prev; NULL at seq 1
) STRICT;

CREATE INDEX run_place ON run (feed, seq);

-- The last event of every branch, so that opening reads no events.
CREATE TABLE head (
    position INTEGER PRIMARY KEY,
    feed     INTEGER NOT NULL REFERENCES feed,
    seq      INTEGER NOT NULL,
    id       BLOB NOT NULL
) STRICT;

CREATE TABLE cut (
    position  INTEGER PRIMARY KEY,
    signature BLOB NOT NULL
) STRICT;

-- Whole events, for reading.
CREATE VIEW entry AS
SELECT
    e.position,
    r.feed,
    r.seq + e.position - r.position AS seq,
    e.stamp,
    CASE WHEN e.position = r.position AND r.base IS NULL THEN zeroblob(32) ELSE p.id END AS prev,
    e.body,
    e.id,
    c.signature,
    e.delay_ms,
    e.record
FROM event AS e
CROSS JOIN run AS r ON r.position = (SELECT max(position) FROM run WHERE position <= e.position)
LEFT JOIN event AS p
    ON p.position = CASE WHEN e.position = r.position THEN r.base ELSE e.position - 1 END
LEFT JOIN cut AS c ON c.position = e.position;
