-- Tasks. Names are ULIDs (16 bytes, in order of time); times are milliseconds since 1970. What is asked for by
-- a query is a column; the rest is JSON of the form that `form` says. Times and fences are compared in SQL alone.
CREATE TABLE task (
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    owner       TEXT    NOT NULL,
    upstream    TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    substate    TEXT,
    version     INTEGER NOT NULL,
    fence       INTEGER NOT NULL,
    expires     INTEGER,
    form        INTEGER NOT NULL,
    -- What was asked for: never changes.
    requested   TEXT    NOT NULL,
    -- How it does: changes with every step.
    progress    TEXT    NOT NULL,
    -- Of each step the code of its event and its time, 9 bytes.
    history     BLOB    NOT NULL,
    -- Name of its idempotency key, while it has one.
    idem        BLOB,
    -- The request, encrypted, and the answer; what is longer than 64 KiB stands in table body.
    sealed      BLOB,
    answer_head BLOB,
    answer      BLOB
) STRICT;

-- Lists of an owner: the newest of each state.
CREATE INDEX task_owner ON task (owner, upstream, state, id);
-- Lists of an operator, and what is not over.
CREATE INDEX task_state ON task (state, id);
CREATE INDEX task_expires ON task (expires) WHERE expires IS NOT NULL;

-- Long bodies: part 0 is the request, 1 the answer.
CREATE TABLE body (
    task  BLOB    NOT NULL,
    part  INTEGER NOT NULL CHECK (part IN (0, 1)),
    bytes BLOB    NOT NULL,
    UNIQUE (task, part)
) STRICT;

-- Idempotency keys, by the SHA-256 of owner, scope and key.
CREATE TABLE idem (
    name        BLOB NOT NULL PRIMARY KEY CHECK (length(name) = 32),
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    task        BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Seats at the upstreams. A task that is over may hold one: a dead process left its call behind.
CREATE TABLE seat (
    task     BLOB    NOT NULL PRIMARY KEY,
    upstream TEXT    NOT NULL,
    pool     TEXT    NOT NULL,
    until    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is left of a task that was forgotten.
CREATE TABLE tombstone (
    task  BLOB    NOT NULL PRIMARY KEY,
    owner TEXT    NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstone_until ON tombstone (until);

-- Who is to be told of the end of a task.
CREATE TABLE outbox (
    id    BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    task  BLOB    NOT NULL,
    url   TEXT    NOT NULL,
    body  BLOB    NOT NULL,
    next  INTEGER NOT NULL,
    tries INTEGER NOT NULL
) STRICT;
CREATE INDEX outbox_next ON outbox (next, id);
CREATE INDEX outbox_url ON outbox (url);

-- Receivers that are gone (410): nothing is put into the outbox for them.
CREATE TABLE deaf (
    url TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Written to see whether the disk takes anything.
CREATE TABLE mark (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    count INTEGER NOT NULL
) STRICT;
INSERT INTO mark VALUES (1, 0);
