-- The authorization server of SMART on FHIR. Codes and tokens are 256 random bits, of which only the SHA-256 is kept.
-- Times are microseconds since 1970.
CREATE TABLE IF NOT EXISTS smart_app (
    id        TEXT PRIMARY KEY,         -- client_id; never used twice, so that the audit stays clear
    title     TEXT NOT NULL,            -- what people read on the consent page
    kind      TEXT NOT NULL,            -- public, secret or keys: how the app proves who it is
    secret    BLOB,                     -- SHA-256
    jwks      TEXT NOT NULL DEFAULT '', -- a JWK Set with public keys
    jwks_uri  TEXT NOT NULL DEFAULT '',
    redirects TEXT NOT NULL,            -- JSON
    origins   TEXT NOT NULL,            -- JSON: where its pages come from
    scopes    TEXT NOT NULL,            -- all that it may ask for
    launch    TEXT NOT NULL DEFAULT '', -- where a launch from the EHR leads
    created   INTEGER NOT NULL,
    removed   INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Apps that registered themselves: what they look after it with (RFC 7592).
CREATE TABLE IF NOT EXISTS smart_registration (
    app      TEXT PRIMARY KEY,
    token    BLOB NOT NULL,             -- SHA-256
    metadata TEXT NOT NULL              -- JSON, as it was registered
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS smart_user (
    name     TEXT PRIMARY KEY,
    hash     TEXT NOT NULL,             -- argon2id; '' for somebody who signs in elsewhere
    subject  TEXT,                      -- `sub` at the OpenID Connect provider
    record   TEXT NOT NULL,             -- Patient/x or Practitioner/x
    created  INTEGER NOT NULL,
    locked   INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0, -- in a row
    waits    INTEGER NOT NULL DEFAULT 0  -- no password is looked at before
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS smart_user_subject ON smart_user (subject) WHERE subject IS NOT NULL;

CREATE TABLE IF NOT EXISTS smart_session (
    hash    BLOB PRIMARY KEY,           -- of the cookie
    user    TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS smart_grant (
    id        INTEGER PRIMARY KEY AUTOINCREMENT, -- the family of all tokens that came of one consent
    app       TEXT NOT NULL,
    user      TEXT NOT NULL,            -- '' for a program by itself
    scopes    TEXT NOT NULL,
    patient   TEXT NOT NULL,            -- ids of the context
    encounter TEXT NOT NULL,
    nonce     TEXT NOT NULL,
    signed_in INTEGER NOT NULL,         -- when the person did
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL,         -- nothing of the family lives longer
    revoked   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS smart_code (
    hash      BLOB PRIMARY KEY,
    grant_id  INTEGER NOT NULL,
    redirect  TEXT NOT NULL,
    challenge TEXT NOT NULL,
    expires   INTEGER NOT NULL,
    used      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS smart_token (
    hash     BLOB PRIMARY KEY,
    grant_id INTEGER NOT NULL,
    kind     TEXT NOT NULL,             -- access or refresh
    scopes   TEXT NOT NULL,
    created  INTEGER NOT NULL,
    expires  INTEGER NOT NULL,
    used     INTEGER NOT NULL DEFAULT 0 -- a refresh token: exchanged; an access token: revoked
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS smart_token_expires ON smart_token (expires);

-- Assertions that were used: none is taken twice, not even after a restart.
CREATE TABLE IF NOT EXISTS smart_jti (
    issuer  TEXT NOT NULL,
    jti     BLOB NOT NULL,              -- SHA-256
    expires INTEGER NOT NULL,
    PRIMARY KEY (issuer, jti)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS smart_launch (
    hash      BLOB PRIMARY KEY,
    app       TEXT NOT NULL,
    patient   TEXT NOT NULL,
    encounter TEXT NOT NULL,
    expires   INTEGER NOT NULL,
    used      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Records that practitioners opened though they are not in their care.
CREATE TABLE IF NOT EXISTS smart_glass (
    practitioner TEXT NOT NULL,         -- id, without its type
    patient      TEXT NOT NULL,
    reason       TEXT NOT NULL,
    opened       INTEGER NOT NULL,
    ends         INTEGER NOT NULL,
    PRIMARY KEY (practitioner, patient)
) STRICT, WITHOUT ROWID;
