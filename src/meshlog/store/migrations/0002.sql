-- A flipped bit is found everywhere: ids and signatures watch over events, and these over the rest.

ALTER TABLE meta ADD COLUMN crc INTEGER NOT NULL DEFAULT 0; -- of key and value

UPDATE meta SET crc = crc_of(key, value);
