-- What a danubefile reports about its job: annotations, and tests with their history.

CREATE TABLE annotations (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    level      TEXT NOT NULL CHECK (level IN ('info', 'warning', 'error')),
    markdown   TEXT NOT NULL,
    file       TEXT NOT NULL,
    line       INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (job_id, key)
);

-- One row is one call of tests.junit. Its id is the order of time for the history of a test.
CREATE TABLE test_reports (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id        TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    pipeline_id   TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    key           TEXT NOT NULL,
    name          TEXT NOT NULL,
    step          INTEGER,
    baseline      TEXT,
    files         INTEGER NOT NULL,
    total         INTEGER NOT NULL,
    passed        INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    skipped       INTEGER NOT NULL,
    newly_failing INTEGER NOT NULL,
    flaky         INTEGER NOT NULL,
    stored        INTEGER NOT NULL,
    millis        INTEGER NOT NULL,
    notes         TEXT NOT NULL,
    created_at    INTEGER NOT NULL,
    UNIQUE (job_id, key),
    UNIQUE (job_id, name)
);
CREATE INDEX test_reports_by_pipeline ON test_reports (pipeline_id, id);
CREATE INDEX test_reports_by_name ON test_reports (pipeline_id, name, id);

-- A test is its place and name within the reports of one name; it goes when its last result goes.
CREATE TABLE test_cases (
    id          INTEGER PRIMARY KEY,
    pipeline_id TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    report      TEXT NOT NULL,
    suite       TEXT NOT NULL,
    name        TEXT NOT NULL,
    last_report INTEGER NOT NULL,
    last_failed INTEGER,
    last_flaky  INTEGER,
    UNIQUE (pipeline_id, report, suite, name)
);
CREATE INDEX test_cases_by_pipeline ON test_cases (pipeline_id, id);
CREATE INDEX test_cases_failed ON test_cases (pipeline_id, last_failed) WHERE last_failed IS NOT NULL;
CREATE INDEX test_cases_flaky ON test_cases (pipeline_id, last_flaky) WHERE last_flaky IS NOT NULL;

-- Clustered by test, so that the history of one is read in one place.
CREATE TABLE test_results (
    case_id       INTEGER NOT NULL REFERENCES test_cases (id) ON DELETE CASCADE,
    report_id     INTEGER NOT NULL REFERENCES test_reports (id) ON DELETE CASCADE,
    -- 0 newly failing, 1 failing, 2 passed but flaky, 3 skipped, 4 passed: the order of a report.
    place         INTEGER NOT NULL CHECK (place BETWEEN 0 AND 4),
    status        TEXT NOT NULL CHECK (status IN ('passed', 'failed', 'error', 'skipped')),
    flaky         INTEGER NOT NULL CHECK (flaky IN (0, 1)),
    runs          INTEGER NOT NULL CHECK (runs > 0),
    millis        INTEGER NOT NULL,
    message       TEXT,
    PRIMARY KEY (case_id, report_id)
) WITHOUT ROWID;
CREATE INDEX test_results_by_place ON test_results (report_id, place, case_id);
CREATE INDEX test_results_by_time ON test_results (report_id, millis);

CREATE TRIGGER test_cases_without_results AFTER DELETE ON test_results
WHEN NOT EXISTS (SELECT 1 FROM test_results WHERE case_id = OLD.case_id)
BEGIN DELETE FROM test_cases WHERE id = OLD.case_id; END;

UPDATE meta SET schema = 2;
