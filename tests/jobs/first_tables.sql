-- The tables that the first version with a database made.
CREATE TABLE batch (
  id VARCHAR(64) NOT NULL,
  created FLOAT NOT NULL,
  requester VARCHAR(200) NOT NULL,
  size INTEGER NOT NULL,
  CONSTRAINT pk_batch PRIMARY KEY (id)
);
CREATE TABLE job (
  id VARCHAR(80) NOT NULL,
  batch VARCHAR(64) NOT NULL,
  number INTEGER NOT NULL,
  status VARCHAR(16) NOT NULL,
  waiting VARCHAR(40),
  due FLOAT NOT NULL,
  created FLOAT NOT NULL,
  started FLOAT,
  finished FLOAT,
  title VARCHAR(200) NOT NULL,
  incident TEXT NOT NULL,
  options TEXT NOT NULL,
  cause VARCHAR(80),
  outcome VARCHAR(20),
  fingerprint VARCHAR(64),
  progress INTEGER NOT NULL,
  error TEXT,
  owner VARCHAR(200),
  lease FLOAT,
  fence INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  version INTEGER NOT NULL,
  CONSTRAINT pk_job PRIMARY KEY (id)
);
CREATE INDEX ix_job_batch ON job (batch, number);
CREATE INDEX ix_job_created ON job (created);
CREATE INDEX ix_job_queue ON job (status, due);
CREATE TABLE journal (
  id INTEGER NOT NULL,
  job VARCHAR(80) NOT NULL,
  "key" VARCHAR(200) NOT NULL,
  value TEXT NOT NULL,
  at FLOAT NOT NULL,
  CONSTRAINT pk_journal PRIMARY KEY (id),
  CONSTRAINT uq_journal_job_key UNIQUE (job, "key")
);
