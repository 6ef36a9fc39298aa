-- How much is kept of what is over. In whose share a task counts (its owner's, where that is all that a row says), and its
-- bytes, about: of a row that an older version wrote, a guess.
ALTER TABLE task ADD COLUMN share TEXT;
ALTER TABLE task ADD COLUMN weight INTEGER NOT NULL DEFAULT 1024;
CREATE INDEX task_share ON task (coalesce(share, owner), expires) WHERE expires IS NOT NULL;

-- Of each share how many tasks are over, and their bytes. 'all' is all of them, 'tombstones' what is left of others: no share
-- is called so, for each has a colon.
CREATE TABLE kept (
    share TEXT    NOT NULL PRIMARY KEY,
    tasks INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_tasks ON kept (tasks);
CREATE INDEX kept_bytes ON kept (bytes);
INSERT INTO kept SELECT owner, count(*), 1024 * count(*) FROM task
    WHERE state NOT IN ('SCHEDULED', 'RUNNING') GROUP BY owner;
INSERT INTO kept SELECT 'all', coalesce(sum(tasks), 0), coalesce(sum(bytes), 0) FROM kept;
INSERT INTO kept SELECT 'tombstones', count(*), 0 FROM tombstone;

-- Counted by the database itself, whoever ends a task or forgets it. One that is over has a time at which it expires.
CREATE TRIGGER task_over AFTER UPDATE OF expires ON task WHEN OLD.expires IS NULL AND NEW.expires IS NOT NULL BEGIN
    INSERT INTO kept (share, tasks, bytes) VALUES (coalesce(NEW.share, NEW.owner), 1, NEW.weight)
        ON CONFLICT (share) DO UPDATE SET tasks = tasks + 1, bytes = bytes + excluded.bytes;
    UPDATE kept SET tasks = tasks + 1, bytes = bytes + NEW.weight WHERE share = 'all';
END;
CREATE TRIGGER task_in_over AFTER INSERT ON task WHEN NEW.expires IS NOT NULL BEGIN
    INSERT INTO kept (share, tasks, bytes) VALUES (coalesce(NEW.share, NEW.owner), 1, NEW.weight)
        ON CONFLICT (share) DO UPDATE SET tasks = tasks + 1, bytes = bytes + excluded.bytes;
    UPDATE kept SET tasks = tasks + 1, bytes = bytes + NEW.weight WHERE share = 'all';
END;
CREATE TRIGGER task_gone AFTER DELETE ON task WHEN OLD.expires IS NOT NULL BEGIN
    UPDATE kept SET tasks = tasks - 1, bytes = bytes - OLD.weight
        WHERE share IN ('all', coalesce(OLD.share, OLD.owner));
    DELETE FROM kept WHERE share = coalesce(OLD.share, OLD.owner) AND tasks <= 0;
END;
CREATE TRIGGER tombstone_in AFTER INSERT ON tombstone BEGIN
    UPDATE kept SET tasks = tasks + 1 WHERE share = 'tombstones';
END;
CREATE TRIGGER tombstone_gone AFTER DELETE ON tombstone BEGIN
    UPDATE kept SET tasks = tasks - 1 WHERE share = 'tombstones';
END;

-- Seats of calls that clients hold: the limits that they are units of, and who took them, as JSON.
ALTER TABLE seat ADD COLUMN held TEXT;

-- Since when a receiver is gone, by the clock of the gate: it is not believed for ever.
ALTER TABLE deaf ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deaf_since ON deaf (since);
