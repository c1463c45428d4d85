-- What finds a run by its place in a feed is filled at checkpoints: docs/adr/0029-runs.md.

DROP INDEX run_place;

-- Of the runs up to the value store.checkpoint; store/places.py reads the rest from the log's end.
CREATE TABLE place (
    feed     INTEGER NOT NULL,
    seq      INTEGER NOT NULL, -- of the run's first event
    position INTEGER NOT NULL, -- as well
    PRIMARY KEY (feed, seq, position)
) STRICT, WITHOUT ROWID;

-- That value has a checksum of the heads from now on; without it, the log is read once.
DELETE FROM head;
DELETE FROM meta WHERE key = 'store.checkpoint';
