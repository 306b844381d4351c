-- Bulk loads and exports: how far each is. Committed with what it did.

-- One load of a set of files. `file`, `line` and `offset` are where it goes on; times in microseconds.
CREATE TABLE IF NOT EXISTS load_job (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  digest TEXT NOT NULL,             -- of the files and the policy
  started INTEGER NOT NULL,
  finished INTEGER NOT NULL DEFAULT 0,
  file INTEGER NOT NULL DEFAULT 0,
  line INTEGER NOT NULL DEFAULT 0,  -- lines or entries that are done with
  offset INTEGER NOT NULL DEFAULT 0,-- bytes of the file, not compressed, that are done with
  findings INTEGER NOT NULL DEFAULT 0, -- bytes of the findings file that belong to what is committed
  created INTEGER NOT NULL DEFAULT 0,
  updated INTEGER NOT NULL DEFAULT 0,
  unchanged INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  rejected INTEGER NOT NULL DEFAULT 0,
  held INTEGER NOT NULL DEFAULT 0,
  warned INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS load_job_open ON load_job (digest) WHERE finished = 0;

-- What a load could not take and keeps for a person.
CREATE TABLE IF NOT EXISTS load_held (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL,
  file TEXT NOT NULL,
  line INTEGER NOT NULL,
  code TEXT NOT NULL,
  body BLOB NOT NULL
);

-- One export. `limits`, `asked` and `files` are MessagePack (see exporting.py).
CREATE TABLE IF NOT EXISTS export_job (
  id TEXT PRIMARY KEY,
  actor TEXT NOT NULL,
  asked BLOB NOT NULL,
  tick INTEGER NOT NULL,            -- what is exported: the store as it was after this commit
  at INTEGER NOT NULL,              -- of that moment, milliseconds
  state TEXT NOT NULL,
  rid INTEGER NOT NULL DEFAULT 0,   -- how far it is; beyond last_rid: in export_need
  last_rid INTEGER NOT NULL,        -- of that moment
  files BLOB NOT NULL,
  code TEXT NOT NULL DEFAULT '',
  created INTEGER NOT NULL,
  ended INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS export_job_by_state ON export_job (state, created);

-- What the records of an export refer to outside of compartments, in the order found; gone when it has ended.
CREATE TABLE IF NOT EXISTS export_need (
  job TEXT NOT NULL,
  place INTEGER NOT NULL,
  name TEXT NOT NULL,               -- Practitioner/d1
  PRIMARY KEY (job, place)
) WITHOUT ROWID;
