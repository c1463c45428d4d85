-- A row per run instead of a row per event: docs/adr/0029-runs.md.

DROP VIEW entry;
ALTER TABLE run RENAME TO old_run;
DROP INDEX run_place;

-- A run: events at consecutive positions, each the next of one branch. Never changed.
CREATE TABLE run (
    position INTEGER PRIMARY KEY, -- of its first event; positions rise by one from 1
    feed     INTEGER NOT NULL REFERENCES feed,
    seq      INTEGER NOT NULL,    -- of its first event
    base     INTEGER,             -- position of its first event's prev; NULL at seq 1
    crc      INTEGER NOT NULL,    -- of the columns before, and places
    places   BLOB NOT NULL,       -- stamps, times of arrival, sizes: see store/runs.py
    ids      BLOB NOT NULL,
    bodies   BLOB NOT NULL
) STRICT;

INSERT INTO run
SELECT position, feed, seq, base, crc_of_run(position, feed, seq, base, places), places, ids, bodies
FROM (
    SELECT
        r.position, r.feed, r.seq, r.base,
        places_of(e.position, e.stamp, e.delay_ms, length(e.body)) AS places,
        joined(e.position, e.id) AS ids,
        joined(e.position, e.body) AS bodies
    FROM old_run AS r
    JOIN event AS e ON e.position >= r.position AND e.position < coalesce(
        (SELECT min(position) FROM old_run AS next WHERE next.position > r.position), 1 << 62)
    GROUP BY r.position
);

CREATE INDEX run_place ON run (feed, seq);

-- Events stamped later than they came: what a moving horizon uncovers.
CREATE TABLE ahead (
    stamp    INTEGER NOT NULL, -- wall ms << 16 | counter
    position INTEGER NOT NULL,
    PRIMARY KEY (stamp, position)
) STRICT, WITHOUT ROWID;

INSERT INTO ahead
SELECT e.stamp, e.position
FROM event AS e
JOIN old_run AS r ON r.position = (SELECT max(position) FROM old_run WHERE position <= e.position)
JOIN feed USING (feed)
WHERE e.delay_ms < 0 AND kind = 1;

DROP TABLE event;
DROP TABLE old_run;

-- Where events stand; both follow the log in lots, see store/index.py.
CREATE TABLE event_id (
    hint     INTEGER NOT NULL, -- first 4 bytes of an id
    position INTEGER NOT NULL,
    PRIMARY KEY (hint, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE touch (
    record   INTEGER NOT NULL, -- stands for a record's name: core/touch.py
    position INTEGER NOT NULL,
    PRIMARY KEY (record, position)
) STRICT, WITHOUT ROWID;

DELETE FROM meta WHERE key = 'store.tally';

-- A mere name is nobody's any more; a row says up to which position its events are folded.
DELETE FROM record WHERE changed IS NULL;
ALTER TABLE record ADD COLUMN folded INTEGER; -- NULL: to be folded anew
UPDATE record SET folded = (SELECT coalesce(max(position + length(ids) / 32 - 1), 0) FROM run);
CREATE INDEX record_stale ON record (record) WHERE folded IS NULL;
