-- The store of cases. Everything but decisions can be made again from repro files, statistics and replay results.
CREATE TABLE campaigns (
  id TEXT PRIMARY KEY,
  dir TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  target TEXT NOT NULL DEFAULT '',
  version TEXT NOT NULL DEFAULT '',
  kernel TEXT NOT NULL DEFAULT '',
  seed INTEGER NOT NULL DEFAULT 0,
  stats TEXT NOT NULL DEFAULT '{}',
  stats_stamp TEXT NOT NULL DEFAULT '',
  changed INTEGER NOT NULL DEFAULT 0,
  unreadable INTEGER NOT NULL DEFAULT 0
);
-- How a campaign went: one row a time its statistics were looked at.
CREATE TABLE points (
  campaign TEXT NOT NULL REFERENCES campaigns(id),
  seconds REAL NOT NULL,
  programs INTEGER NOT NULL,
  corpus INTEGER NOT NULL,
  cases INTEGER NOT NULL,
  rate REAL NOT NULL,
  PRIMARY KEY (campaign, seconds)
) WITHOUT ROWID;
CREATE TABLE coverage (
  campaign TEXT NOT NULL REFERENCES campaigns(id),
  call TEXT NOT NULL,
  runs INTEGER NOT NULL,
  ok INTEGER NOT NULL,
  blocked INTEGER NOT NULL,
  known INTEGER NOT NULL,
  unsupported INTEGER NOT NULL,
  PRIMARY KEY (campaign, call)
) WITHOUT ROWID;
CREATE TABLE buckets (
  row INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  target TEXT NOT NULL,
  signature TEXT NOT NULL,
  oracle TEXT NOT NULL DEFAULT '',
  area TEXT NOT NULL DEFAULT '',
  call TEXT NOT NULL DEFAULT '',
  field TEXT NOT NULL DEFAULT '',
  kind TEXT NOT NULL DEFAULT '',
  cause TEXT NOT NULL DEFAULT '',
  class TEXT NOT NULL DEFAULT '',
  severity INTEGER NOT NULL DEFAULT 0,
  why TEXT NOT NULL DEFAULT '',
  sentence TEXT NOT NULL DEFAULT '',
  calls INTEGER NOT NULL DEFAULT 0,
  shape TEXT NOT NULL DEFAULT '',
  state TEXT NOT NULL DEFAULT 'new',
  reason TEXT NOT NULL DEFAULT '',
  changed INTEGER NOT NULL,
  first_seen INTEGER NOT NULL,
  last_seen INTEGER NOT NULL,
  first_import INTEGER NOT NULL,
  k INTEGER NOT NULL DEFAULT 0,
  n INTEGER NOT NULL DEFAULT 0,
  versions TEXT NOT NULL DEFAULT '',
  merged INTEGER REFERENCES buckets(row)
);
CREATE INDEX buckets_list ON buckets (severity, area, call, row);
-- Counts of the overview, the newest, and what may be the same bug, without reading the buckets themselves.
CREATE INDEX buckets_state ON buckets (state, severity, area) WHERE merged IS NULL;
CREATE INDEX buckets_import ON buckets (first_import DESC, severity, row) WHERE merged IS NULL;
CREATE INDEX buckets_matrix ON buckets (target, severity, signature) WHERE merged IS NULL;
CREATE INDEX buckets_output ON buckets (target, call, field);
CREATE INDEX buckets_shape ON buckets (target, shape);
CREATE INDEX buckets_merged ON buckets (merged) WHERE merged IS NOT NULL;
CREATE TABLE cases (
  row INTEGER PRIMARY KEY,
  bucket INTEGER NOT NULL REFERENCES buckets(row),
  campaign TEXT NOT NULL REFERENCES campaigns(id),
  -- The repro file's: one a target and signature.
  id TEXT NOT NULL,
  signature TEXT NOT NULL,
  -- Ids of buckets that it belongs into rather, the first that there is.
  explained TEXT NOT NULL DEFAULT '[]',
  severity INTEGER NOT NULL,
  why TEXT NOT NULL,
  -- It lay where what is expected lies.
  expected INTEGER NOT NULL DEFAULT 0,
  digest TEXT NOT NULL,
  version TEXT NOT NULL,
  kernel TEXT NOT NULL,
  created INTEGER NOT NULL,
  k INTEGER NOT NULL,
  n INTEGER NOT NULL,
  calls INTEGER NOT NULL,
  repro BLOB NOT NULL,
  UNIQUE (campaign, digest)
);
CREATE INDEX cases_bucket ON cases (bucket, calls, row);
-- The matrix asks for all of these, and must not read the repros for it.
CREATE INDEX cases_version ON cases (bucket, version, id, created, k, n);
CREATE INDEX cases_explained ON cases (bucket) WHERE explained <> '[]';
CREATE INDEX cases_id ON cases (id, bucket);
CREATE INDEX cases_campaign ON cases (campaign, created);
-- What each version of a target did with a case: one row a replay.
CREATE TABLE runs (
  row INTEGER PRIMARY KEY,
  bucket INTEGER NOT NULL REFERENCES buckets(row),
  id TEXT NOT NULL,
  target TEXT NOT NULL,
  version TEXT NOT NULL,
  at INTEGER NOT NULL,
  verdict TEXT NOT NULL,
  k INTEGER NOT NULL,
  n INTEGER NOT NULL,
  detail TEXT NOT NULL,
  source TEXT NOT NULL,
  UNIQUE (id, source)
);
CREATE INDEX runs_bucket ON runs (bucket, version, at);
CREATE TABLE history (
  row INTEGER PRIMARY KEY,
  bucket INTEGER NOT NULL REFERENCES buckets(row),
  at INTEGER NOT NULL,
  what TEXT NOT NULL,
  was TEXT NOT NULL,
  now TEXT NOT NULL,
  text TEXT NOT NULL,
  by TEXT NOT NULL
);
CREATE INDEX history_bucket ON history (bucket, at, row);
CREATE TABLE files (
  path TEXT PRIMARY KEY,
  stamp TEXT NOT NULL,
  error TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5 (
  target, signature, sentence, program, notes,
  tokenize = "unicode61 tokenchars '_'"
);
PRAGMA user_version = 3;
