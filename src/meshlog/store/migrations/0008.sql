-- What the log tells by itself is kept as of a checkpoint: docs/adr/0029-runs.md.

-- Of its last event, where that was signed when it was written. Other signatures stand in cut, and
-- one that stands there is the later one.
ALTER TABLE run ADD COLUMN signature BLOB;

-- Heads are those of the value store.checkpoint from now on; without it, the log is read once.
DELETE FROM head;
DELETE FROM meta WHERE key = 'store.on_time_ms';
