-- Version 1 of birdnet_nl's own database of detections. Times of the station are local, as it writes them
-- (2026-11-30T06:12:08); times of this program are seconds since 1970 (UTC).

CREATE TABLE stations (
    name TEXT PRIMARY KEY,
    position TEXT NOT NULL DEFAULT '',          -- where to continue reading; only the station's reader understands it
    settings TEXT NOT NULL DEFAULT '{}'         -- JSON that the page needs: kind, clip folder or URL; never a password
) WITHOUT ROWID;

CREATE TABLE detections (
    id INTEGER PRIMARY KEY,                     -- our own; never a row number of the station
    station TEXT NOT NULL REFERENCES stations (name),
    key TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    day TEXT GENERATED ALWAYS AS (substr(recorded_at, 1, 10)) VIRTUAL,
    scientific_name TEXT NOT NULL,
    common_name TEXT NOT NULL,
    species TEXT NOT NULL DEFAULT '',           -- slug of our table, empty for none
    confidence REAL NOT NULL,
    clip TEXT NOT NULL,
    source TEXT NOT NULL DEFAULT '',
    window_start_s REAL,
    window_end_s REAL,
    malformed TEXT NOT NULL DEFAULT '',         -- why it can never be classified; its state is `failed`
    state TEXT NOT NULL,                        -- a value of stations.detection.State
    reason TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,        -- to get its clip
    crashes INTEGER NOT NULL DEFAULT 0,         -- how often the program ended while it was predicted
    next_try REAL NOT NULL DEFAULT 0,
    result INTEGER REFERENCES results (id),     -- the latest
    noticed_at REAL NOT NULL,
    changed_at REAL NOT NULL,
    deleted_at REAL,                            -- when the station was found to have deleted it
    UNIQUE (station, key)
);
CREATE INDEX detections_day ON detections (day, species);
CREATE INDEX detections_recorded ON detections (recorded_at DESC);
CREATE INDEX detections_species ON detections (species, recorded_at);
CREATE INDEX detections_pending ON detections (station, recorded_at DESC, next_try)
    WHERE state IN ('new', 'waiting for audio');
CREATE INDEX detections_state ON detections (station, state, species);

CREATE TABLE results (                          -- one for each detection and model; kept when another model follows
    id INTEGER PRIMARY KEY,
    detection INTEGER NOT NULL REFERENCES detections (id),
    type TEXT NOT NULL,                         -- the most probable
    probability REAL NOT NULL,
    probabilities TEXT NOT NULL,                -- JSON object: type -> probability
    is_uncertain INTEGER NOT NULL,
    model TEXT NOT NULL,                        -- name and version
    fingerprint TEXT NOT NULL,                  -- of weights and metadata
    sha256 TEXT NOT NULL DEFAULT '',            -- of the model's file
    start_s REAL NOT NULL,                      -- the part of the clip that was predicted
    end_s REAL NOT NULL,
    warning TEXT NOT NULL DEFAULT '',
    computing_s REAL NOT NULL,
    predicted_at REAL NOT NULL
);
CREATE UNIQUE INDEX results_of_detection ON results (detection, fingerprint);

CREATE TABLE corrections (                      -- every one is kept; the latest of a detection counts
    id INTEGER PRIMARY KEY,
    detection INTEGER NOT NULL REFERENCES detections (id),
    result INTEGER REFERENCES results (id),     -- what was shown
    type TEXT NOT NULL,                         -- song, call, …; empty: withdrawn; 'wrong': not this species, or no bird
    person TEXT NOT NULL,
    comment TEXT NOT NULL DEFAULT '',
    corrected_at REAL NOT NULL
);
CREATE INDEX corrections_of_detection ON corrections (detection, id);

CREATE TABLE outbox (                           -- messages that are to be delivered; deleted when they are
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,                      -- mqtt, webhook, station
    detection INTEGER NOT NULL REFERENCES detections (id),
    result INTEGER NOT NULL REFERENCES results (id),
    created_at REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try REAL NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '',
    UNIQUE (channel, result)
);
CREATE INDEX outbox_due ON outbox (channel, next_try);

CREATE TABLE changes (                          -- what the station changed afterwards: renamed, identified again, deleted
    id INTEGER PRIMARY KEY,
    detection INTEGER NOT NULL REFERENCES detections (id),
    kind TEXT NOT NULL,
    old TEXT NOT NULL DEFAULT '',
    new TEXT NOT NULL DEFAULT '',
    noticed_at REAL NOT NULL
);
CREATE INDEX changes_of_detection ON changes (detection);
