-- The indices of events as sorted lots: docs/adr/0029-runs.md, store/lots.py.

DROP TABLE event_id;
DROP TABLE touch;
DELETE FROM meta WHERE key = 'store.indexed';

-- Lots of events that follow one another, from position 1 on; made from the log on opening.
CREATE TABLE lot (
    lot  INTEGER PRIMARY KEY, -- 1, 2, ...
    last INTEGER NOT NULL,    -- position of its last event
    crc  INTEGER NOT NULL
) STRICT;

-- First 4 bytes of an id, and where the event stands.
CREATE TABLE event_id (
    place INTEGER PRIMARY KEY, -- lot << 32 | first key that would be in this row
    until INTEGER NOT NULL,    -- last such key
    pairs BLOB NOT NULL,       -- key and last 3 bytes of the position, sorted
    crc   INTEGER NOT NULL
) STRICT;

-- First 4 bytes of a hash of a record's name (core/touch.py), and where what touches it stands.
CREATE TABLE touch (
    place INTEGER PRIMARY KEY,
    until INTEGER NOT NULL,
    pairs BLOB NOT NULL,
    crc   INTEGER NOT NULL
) STRICT;
