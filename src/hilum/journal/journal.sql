-- The journal. Rows are added, never changed; they leave only through sealing and retention, which open `sealing`.

-- Senders, and what a message's envelope shares with many others.
CREATE TABLE IF NOT EXISTS journal_sender (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS journal_route (
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    sender TEXT NOT NULL,
    kind TEXT NOT NULL,
    charset TEXT NOT NULL,
    disposition TEXT NOT NULL,
    codes TEXT NOT NULL,            -- separated by spaces
    refused INTEGER NOT NULL,
    UNIQUE (source, sender, kind, charset, disposition, codes, refused)
);

-- One row per message, small, so that searching and counting read little; it stays when the body is sealed.
CREATE TABLE IF NOT EXISTS message (
    seq INTEGER PRIMARY KEY,
    route INTEGER NOT NULL,
    sender INTEGER NOT NULL,
    home INTEGER,                   -- partition that applies it; NULL: refused
    other INTEGER,                  -- partition that holds its barrier
    received_at INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    control_id TEXT NOT NULL,
    key TEXT NOT NULL,
    other_key TEXT NOT NULL,
    digest INTEGER NOT NULL         -- 47 bits of the body's SHA-256: finds copies, never decides alone
);
CREATE INDEX IF NOT EXISTS message_control ON message (control_id, sender, digest) WHERE control_id <> '';
CREATE INDEX IF NOT EXISTS message_key ON message (key, received_at) WHERE key <> '';
CREATE INDEX IF NOT EXISTS message_other_key ON message (other_key, received_at) WHERE other_key <> '';
CREATE INDEX IF NOT EXISTS message_route ON message (route, received_at);
CREATE INDEX IF NOT EXISTS message_received ON message (received_at);

-- The exact bytes: one byte that says how they are packed, then the packed bytes.
CREATE TABLE IF NOT EXISTS body (
    seq INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS dictionary (
    id INTEGER PRIMARY KEY CHECK (id BETWEEN 16 AND 255),
    made_at INTEGER NOT NULL,
    data BLOB NOT NULL
);

-- What a worker reads: the messages and barriers of its partition, in order.
CREATE TABLE IF NOT EXISTS entry (
    partition INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    barrier INTEGER NOT NULL,
    PRIMARY KEY (partition, seq)
) WITHOUT ROWID;

-- Arrivals that were copies of a stored message.
CREATE TABLE IF NOT EXISTS duplicate (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    of INTEGER NOT NULL
);

-- Arrivals that are taken once, such as a file that lies there until it is moved away: named by their way in.
CREATE TABLE IF NOT EXISTS arrival (
    once BLOB PRIMARY KEY,
    seq INTEGER NOT NULL -- its first message
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS audit (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome TEXT NOT NULL,
    detail TEXT NOT NULL
);

-- The chain: each head covers what came after the head before it, up to its own last message, duplicate and audit row.
CREATE TABLE IF NOT EXISTS head (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    message INTEGER NOT NULL,
    duplicate INTEGER NOT NULL,
    audit INTEGER NOT NULL,
    hash BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS signature (
    n INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL,
    signature BLOB NOT NULL
);

-- Sealed segments (files), and the signed word that one was deleted.
CREATE TABLE IF NOT EXISTS segment (
    n INTEGER PRIMARY KEY,
    first_head INTEGER NOT NULL,
    last_head INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    rejected INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    audits INTEGER NOT NULL,
    start_hash BLOB NOT NULL,
    end_hash BLOB NOT NULL,
    file_hash BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS tombstone (
    n INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    public_key BLOB NOT NULL,
    signature BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS sealing (open INTEGER NOT NULL);

CREATE TRIGGER IF NOT EXISTS message_is_never_changed BEFORE UPDATE ON message
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS message_leaves_only_sealed BEFORE DELETE ON message
WHEN NOT EXISTS (SELECT 1 FROM sealing)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS body_is_never_changed BEFORE UPDATE ON body
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS body_leaves_only_sealed BEFORE DELETE ON body
WHEN NOT EXISTS (SELECT 1 FROM sealing)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS entry_is_never_changed BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entry_leaves_only_sealed BEFORE DELETE ON entry
WHEN NOT EXISTS (SELECT 1 FROM sealing)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS duplicate_is_never_changed BEFORE UPDATE ON duplicate
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS duplicate_leaves_only_sealed BEFORE DELETE ON duplicate
WHEN NOT EXISTS (SELECT 1 FROM sealing)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS audit_is_never_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_leaves_only_sealed BEFORE DELETE ON audit
WHEN NOT EXISTS (SELECT 1 FROM sealing)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS head_is_never_changed BEFORE UPDATE ON head
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS head_leaves_only_sealed BEFORE DELETE ON head
WHEN NOT EXISTS (SELECT 1 FROM sealing)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS signature_is_never_changed BEFORE UPDATE ON signature
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS signature_leaves_only_sealed BEFORE DELETE ON signature
WHEN NOT EXISTS (SELECT 1 FROM sealing)
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS journal_sender_is_never_changed BEFORE UPDATE ON journal_sender
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS journal_sender_never_leaves BEFORE DELETE ON journal_sender
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS journal_route_is_never_changed BEFORE UPDATE ON journal_route
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS journal_route_never_leaves BEFORE DELETE ON journal_route
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS segment_is_never_changed BEFORE UPDATE ON segment
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS segment_never_leaves BEFORE DELETE ON segment
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

CREATE TRIGGER IF NOT EXISTS tombstone_is_never_changed BEFORE UPDATE ON tombstone
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER IF NOT EXISTS tombstone_never_leaves BEFORE DELETE ON tombstone
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
