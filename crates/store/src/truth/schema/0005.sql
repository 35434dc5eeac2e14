-- Format 5: a job knows who asked for it, and pays for the models that it calls.

ALTER TABLE jobs ADD COLUMN principal TEXT;
