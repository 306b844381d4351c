-- Subscriptions of programs, what they are to hear, and how far the store was looked through. Times in microseconds.
CREATE TABLE IF NOT EXISTS subscription (
  id TEXT PRIMARY KEY,               -- of the Subscription resource
  actor TEXT NOT NULL,               -- the token or app that asked for it
  limits BLOB NOT NULL,              -- what it may see, MessagePack
  asked BLOB NOT NULL,               -- what it asks for, MessagePack
  status TEXT NOT NULL,              -- requested, active, error, off
  since INTEGER NOT NULL,            -- only commits after this one matter
  number INTEGER NOT NULL DEFAULT 0, -- of the last event
  delivered INTEGER NOT NULL DEFAULT 0, -- the last event that the subscriber took
  attempts INTEGER NOT NULL DEFAULT 0,  -- failures in a row
  next_at INTEGER NOT NULL DEFAULT 0,   -- not before
  sent_at INTEGER NOT NULL DEFAULT 0,
  code TEXT NOT NULL DEFAULT ''      -- of the last failure
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS subscription_event (
  subscription TEXT NOT NULL,
  number INTEGER NOT NULL,
  at INTEGER NOT NULL,
  change TEXT NOT NULL,              -- create, update, delete
  type TEXT NOT NULL,
  id TEXT NOT NULL,
  rid INTEGER NOT NULL,
  version INTEGER NOT NULL,
  PRIMARY KEY (subscription, number)
) WITHOUT ROWID;

-- One row: all commits up to this one were looked through.
CREATE TABLE IF NOT EXISTS subscription_position (tick INTEGER NOT NULL);
