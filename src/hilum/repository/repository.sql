-- The tables of the repository. Integers stand for what repeats: rid for a resource, term for a code, tick for a commit.

-- One row per commit of effects. The counters are the last numbers given out; a plan made on another tick is made again.
CREATE TABLE IF NOT EXISTS apply_commit (
  tick INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,           -- milliseconds, rising: what meta.lastUpdated says
  last_rid INTEGER NOT NULL,
  last_term INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS apply_commit_by_time ON apply_commit (at);

-- Type and id of everything stored or referred to -> rid. The key is packed (see keys.py).
CREATE TABLE IF NOT EXISTS resource_name (key BLOB PRIMARY KEY, rid INTEGER NOT NULL) WITHOUT ROWID;

-- What messages made, one chunk or a few per message (see chunks.py). Never changed.
CREATE TABLE IF NOT EXISTS resource_body (piece INTEGER PRIMARY KEY, data BLOB NOT NULL);

-- The current version. A deleted resource has a negative type, so that no search walks over it, and no place.
CREATE TABLE IF NOT EXISTS resource (
  rid INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  version INTEGER NOT NULL,
  tick INTEGER NOT NULL,         -- of the commit that made this version
  seq INTEGER NOT NULL,          -- the message that made it
  at INTEGER,                    -- event time of the newest statement, microseconds; NULL: as its chunk says
  first INTEGER,                 -- the date that orders its type: first millisecond; NULL when nothing orders it
  span INTEGER,                  -- how many milliseconds it lasts; 0 when it has no such date
  chunk INTEGER,                 -- where its body lies; NULL: in the first chunk of `seq`
  place INTEGER                  -- and at which place in it
);
CREATE INDEX IF NOT EXISTS resource_by_commit ON resource (type, tick);
CREATE INDEX IF NOT EXISTS resource_by_date ON resource (type, first) WHERE first IS NOT NULL;

-- Superseded versions.
CREATE TABLE IF NOT EXISTS resource_history (
  rid INTEGER NOT NULL,
  version INTEGER NOT NULL,
  tick INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  chunk INTEGER,
  place INTEGER,
  PRIMARY KEY (rid, version)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS resource_history_by_commit ON resource_history (tick);

-- Codes of one parameter, units of a quantity (system is then ''), and with parameter 0 the systems of identifiers.
CREATE TABLE IF NOT EXISTS term (
  id INTEGER PRIMARY KEY,
  parameter INTEGER NOT NULL,
  code TEXT NOT NULL,
  system TEXT NOT NULL,
  UNIQUE (parameter, code, system)
);

-- What can be searched for: see formats/fhir/facts.py.
CREATE TABLE IF NOT EXISTS fact_token (term INTEGER NOT NULL, rid INTEGER NOT NULL, PRIMARY KEY (term, rid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact_label (
  parameter INTEGER NOT NULL,
  value TEXT NOT NULL,
  system INTEGER NOT NULL,       -- a term; 0: none
  rid INTEGER NOT NULL,
  PRIMARY KEY (parameter, value, system, rid)
) WITHOUT ROWID;
-- `first` and `span` are the resource's ordering date when the target is a Patient, so that one patient's resources are
-- found in order of time without touching them; else 0.
CREATE TABLE IF NOT EXISTS fact_reference (
  target INTEGER NOT NULL,
  parameter INTEGER NOT NULL,
  first INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  span INTEGER NOT NULL,
  PRIMARY KEY (target, parameter, first, rid)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact_date (
  parameter INTEGER NOT NULL,
  first INTEGER NOT NULL,
  rid INTEGER NOT NULL,
  span INTEGER NOT NULL,
  PRIMARY KEY (parameter, first, rid, span)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact_quantity (
  parameter INTEGER NOT NULL,
  value REAL NOT NULL,
  unit INTEGER NOT NULL,         -- a term
  rid INTEGER NOT NULL,
  PRIMARY KEY (parameter, value, unit, rid)
) WITHOUT ROWID;

-- What can be searched for by parameters of packages (see packaged.py): text and system, first and span of a date,
-- or a number as `first` with its unit as `system`.
CREATE TABLE IF NOT EXISTS package_fact (
  rid INTEGER NOT NULL,
  parameter TEXT NOT NULL,
  text TEXT NOT NULL,
  system TEXT NOT NULL,
  first INTEGER NOT NULL,
  span INTEGER NOT NULL,
  PRIMARY KEY (rid, parameter, text, system, first, span)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS package_fact_by_value ON package_fact (parameter, text, first, system, span, rid);
-- By type: which definitions they were read with, and up to which commit.
CREATE TABLE IF NOT EXISTS package_index (type INTEGER PRIMARY KEY, digest TEXT NOT NULL, tick INTEGER NOT NULL);

-- Which definitions the facts were taken with; others mean that they must be taken again.
CREATE TABLE IF NOT EXISTS fact_definition (digest TEXT NOT NULL);

-- Everything ever said about merging, and the links that follow from it (see links.py). Records are `Type/id`.
CREATE TABLE IF NOT EXISTS merge_op (
  seq INTEGER NOT NULL,
  ordinal INTEGER NOT NULL,
  at INTEGER NOT NULL,
  survivor TEXT NOT NULL,
  retired TEXT NOT NULL,
  undo INTEGER NOT NULL,
  PRIMARY KEY (seq, ordinal)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS merge_op_by_survivor ON merge_op (survivor);
CREATE INDEX IF NOT EXISTS merge_op_by_retired ON merge_op (retired);
CREATE TABLE IF NOT EXISTS merge_link (retired TEXT PRIMARY KEY, survivor TEXT NOT NULL) WITHOUT ROWID;

-- How far each partition has been read, and what became of each message.
CREATE TABLE IF NOT EXISTS reader_position (partition INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS outcome (
  seq INTEGER PRIMARY KEY,
  valued INTEGER NOT NULL,
  mapped INTEGER NOT NULL,
  ignored INTEGER NOT NULL,
  exceptions INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS hold (
  seq INTEGER PRIMARY KEY,
  partition INTEGER NOT NULL,
  key TEXT NOT NULL,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  location TEXT NOT NULL,
  owner TEXT NOT NULL,
  behind INTEGER NOT NULL,
  at INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  state TEXT NOT NULL,
  settled_at INTEGER NOT NULL DEFAULT 0,
  settled_by TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT '',
  other_key TEXT NOT NULL DEFAULT ''  -- the second key of a merge
);
CREATE INDEX IF NOT EXISTS hold_open ON hold (key, seq) WHERE state = 'open';
CREATE INDEX IF NOT EXISTS hold_open_merge ON hold (other_key, seq) WHERE state = 'open' AND other_key <> '';
CREATE INDEX IF NOT EXISTS hold_by_state ON hold (state, behind);
CREATE TABLE IF NOT EXISTS replay_request (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seq INTEGER NOT NULL UNIQUE,
  by TEXT NOT NULL,
  at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS exception_item (
  id INTEGER PRIMARY KEY,
  code TEXT NOT NULL,
  message TEXT NOT NULL,
  location TEXT NOT NULL,
  owner TEXT NOT NULL,
  "row" TEXT NOT NULL,
  "group" TEXT NOT NULL,
  count INTEGER NOT NULL,
  first_at INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  samples TEXT NOT NULL,         -- JSON array of seqs
  is_open INTEGER NOT NULL,
  settled_at INTEGER NOT NULL DEFAULT 0,
  settled_by TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT ''
);

-- What each sender was seen to do: `by` is a sender or `source NAME`, `thing` is `field PID-19`, `event ADT^A08`...
CREATE TABLE IF NOT EXISTS sighting (
  by TEXT NOT NULL,
  thing TEXT NOT NULL,
  seq INTEGER NOT NULL,          -- the first message
  at INTEGER NOT NULL,           -- microseconds
  PRIMARY KEY (by, thing)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS exception_item_by_group ON exception_item ("group") WHERE "group" <> '';
CREATE INDEX IF NOT EXISTS exception_item_open ON exception_item (id) WHERE is_open = 1;

-- `is_head` marks the oldest open delivery of its key (of a merge: of both its keys): the only one that may be sent.
CREATE TABLE IF NOT EXISTS outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  seq INTEGER NOT NULL,
  destination TEXT NOT NULL,
  key TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  content_type TEXT NOT NULL,
  payload BLOB NOT NULL,
  state TEXT NOT NULL,
  is_head INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  next_at INTEGER NOT NULL DEFAULT 0,
  code TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  reference TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '',
  UNIQUE (destination, idempotency_key)
);
DROP INDEX IF EXISTS outbox_open;  -- of version 4, which had no deliveries that are held
CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (destination, key, id) WHERE state IN ('due', 'claimed', 'held');
CREATE INDEX IF NOT EXISTS outbox_heads ON outbox (destination, next_at, id) WHERE state = 'due' AND is_head = 1;
CREATE INDEX IF NOT EXISTS outbox_by_state ON outbox (state, destination);
CREATE INDEX IF NOT EXISTS outbox_by_message ON outbox (seq);

-- The second key of the delivery of a merge.
CREATE TABLE IF NOT EXISTS outbox_pair (id INTEGER PRIMARY KEY, destination TEXT NOT NULL, key TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS outbox_pair_by_key ON outbox_pair (destination, key, id);
