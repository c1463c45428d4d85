-- What is found by `meshlog query` and read by other programs. A cache: it can be deleted, and is made
-- again. docs/sql.md says what the views promise; the tables under them may change.

CREATE TABLE state (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Records that were written from rows that the store had not yet: they are looked at again next time.
CREATE TABLE ahead (
    record_id TEXT PRIMARY KEY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    record     INTEGER PRIMARY KEY,
    record_id  TEXT NOT NULL UNIQUE,
    form       TEXT NOT NULL,
    created_by TEXT NOT NULL,
    written_ms INTEGER NOT NULL, -- latest stamp of what is shown
    places     INTEGER NOT NULL  -- how many rows of `place` it has
) STRICT;

-- Which forms there are, as the field '', and which fields their records ever had.
CREATE TABLE shape (
    form  TEXT NOT NULL,
    field TEXT NOT NULL,
    shown INTEGER NOT NULL, -- 0 where the form's view must be made, or go
    PRIMARY KEY (form, field)
) STRICT, WITHOUT ROWID;

CREATE INDEX shape_new ON shape (form) WHERE shown = 0;

-- The views of forms, by their names.
CREATE TABLE form_view (
    name TEXT PRIMARY KEY NOT NULL,
    form TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who wrote something, and what people call it now: that changes when somebody of the same name comes.
CREATE TABLE author (
    author BLOB PRIMARY KEY NOT NULL,
    label  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX record_form ON record (form, record_id);

-- Live values, the shown one with rank 0, those in conflict with it after that.
CREATE TABLE value (
    record     INTEGER NOT NULL REFERENCES record,
    field      TEXT NOT NULL,
    rank       INTEGER NOT NULL,
    kind       TEXT NOT NULL, -- number, text, truth, bytes, list, none
    value      ANY,
    author     BLOB NOT NULL REFERENCES author,
    written_ms INTEGER NOT NULL,
    PRIMARY KEY (record, field, rank)
) STRICT, WITHOUT ROWID;

CREATE INDEX value_found ON value (field, kind, value) WHERE rank = 0;

CREATE TABLE note (
    record     INTEGER NOT NULL REFERENCES record,
    number     INTEGER NOT NULL,
    text       TEXT NOT NULL,
    author     BLOB NOT NULL REFERENCES author,
    written_ms INTEGER NOT NULL,
    PRIMARY KEY (record, number)
) STRICT, WITHOUT ROWID;

-- Notes and text values of a record, by its number, with a word between each two that stands in no text.
CREATE VIRTUAL TABLE words USING fts5 (text, tokenize = "unicode61 remove_diacritics 2");

CREATE VIRTUAL TABLE place USING rtree (
    place, lat_min, lat_max, lon_min, lon_max, +record, +field, +lat, +lon
);

CREATE VIEW records AS
SELECT
    record_id, form, created_by, written_ms,
    strftime('%Y-%m-%dT%H:%M:%SZ', written_ms / 1000, 'unixepoch') AS written_at,
    (SELECT count(DISTINCT field) FROM value WHERE value.record = record.record AND rank > 0)
        AS conflicts
FROM record;

CREATE VIEW answers AS
SELECT
    record_id, form, field, kind, value, label AS author, value.written_ms,
    strftime('%Y-%m-%dT%H:%M:%SZ', value.written_ms / 1000, 'unixepoch') AS written_at
FROM value JOIN record USING (record) JOIN author USING (author) WHERE rank = 0;

CREATE VIEW conflicts AS
SELECT record_id, form, field, rank, kind, value, label AS author, value.written_ms
FROM value JOIN record USING (record) JOIN author USING (author) WHERE rank > 0;

CREATE VIEW notes AS
SELECT
    record_id, form, number, text, label AS author, note.written_ms,
    strftime('%Y-%m-%dT%H:%M:%SZ', note.written_ms / 1000, 'unixepoch') AS written_at
FROM note JOIN record USING (record) JOIN author USING (author);

CREATE VIEW places AS
SELECT record_id, form, field, lat, lon FROM place JOIN record USING (record);
