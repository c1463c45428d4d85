-- When a record last left a form: who watches that form is told once.

CREATE TABLE left_form (
    record  INTEGER NOT NULL REFERENCES record,
    form    TEXT NOT NULL,
    changed INTEGER NOT NULL, -- number of the change by which it left
    PRIMARY KEY (record, form)
) STRICT, WITHOUT ROWID;

CREATE INDEX left_form_changed ON left_form (form, changed);

CREATE TRIGGER record_left_form AFTER UPDATE OF form ON record
WHEN old.form IS NOT NULL AND old.form IS NOT new.form
BEGIN
    DELETE FROM left_form WHERE record = old.record AND form = old.form;
    INSERT INTO left_form VALUES (old.record, old.form, new.changed);
END;
