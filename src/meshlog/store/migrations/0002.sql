-- A flipped bit is found everywhere: ids and signatures watch over events, and these over the rest.

ALTER TABLE meta ADD COLUMN crc INTEGER NOT NULL DEFAULT 0; -- of key and value

UPDATE meta SET crc = crc_of(key, value);

-- Everything about events that their ids do not cover: see store/checksums.py.
INSERT INTO meta
SELECT 'store.tally', tally, crc_of('store.tally', tally)
FROM (
    SELECT CASE WHEN count(*) > 0 THEN tally_of(position, delay_ms, record) END AS tally FROM event
)
WHERE tally IS NOT NULL;
