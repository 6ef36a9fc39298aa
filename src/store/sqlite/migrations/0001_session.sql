-- Says which program the file is of ("tdgt"), to whoever asks and to the gate itself.
PRAGMA application_id = 1952737140;

-- Live login sessions. A token is found by a keyed hash of it and kept encrypted; times are
-- milliseconds since 1970.
CREATE TABLE session (
    key       BLOB    NOT NULL PRIMARY KEY CHECK (length(key) = 16),
    id        INTEGER NOT NULL,
    kind      TEXT    NOT NULL CHECK (kind IN ('rest', 'soap')),
    upstream  TEXT    NOT NULL,
    user_id   BLOB    CHECK (length(user_id) = 16),
    user_name TEXT,
    address   TEXT    NOT NULL,
    opened    INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    adopted   INTEGER NOT NULL CHECK (adopted IN (0, 1)),
    sealed    BLOB,
    CHECK ((user_id IS NULL) = (user_name IS NULL))
) STRICT, WITHOUT ROWID;
