-- Bearer tokens of the API. The secret itself is never stored: 256 random bits need no salt and no slow hash.
CREATE TABLE IF NOT EXISTS token (
    id      TEXT PRIMARY KEY,     -- the public part of the token
    name    TEXT NOT NULL UNIQUE, -- the actor in audit rows; never used twice, not even after a revocation
    hash    BLOB NOT NULL,        -- SHA-256 of the secret part
    role    TEXT NOT NULL,
    created INTEGER NOT NULL,     -- microseconds since 1970
    expires INTEGER NOT NULL,
    revoked INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
