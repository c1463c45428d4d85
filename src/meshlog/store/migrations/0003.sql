-- Rows of the live view carry the number of their last change, so that a reader asks for what is new.

ALTER TABLE record ADD COLUMN changed INTEGER; -- rises with every change; NULL for a mere name

UPDATE record SET changed = record WHERE form IS NOT NULL;

CREATE INDEX record_changed ON record (changed);
