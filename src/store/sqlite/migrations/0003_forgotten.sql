-- Whose a forgotten task was is not all: another upstream of the same owner never had it. NULL: written before.
ALTER TABLE tombstone ADD COLUMN upstream TEXT;
-- A task that was forgotten while it holds a seat expires at 0, and is nobody's to see.
