"""The tables of a study.

A vote's answer is, in a preference question, the place chosen, counted from 1; in one of deception 1 for painted by a human,
and 0 for not.
"""

FORMAT = 1
"""Of the database; a study of another one is refused."""

SCHEMA = f"""
PRAGMA journal_mode = WAL;
PRAGMA user_version = {FORMAT};
CREATE TABLE picture (
    id INTEGER PRIMARY KEY, file TEXT NOT NULL UNIQUE, width INTEGER NOT NULL, height INTEGER NOT NULL,
    kind TEXT NOT NULL, name TEXT NOT NULL, pair TEXT NOT NULL, UNIQUE (kind, name, pair)
);
CREATE TABLE participant (
    id INTEGER PRIMARY KEY, token TEXT UNIQUE, visit TEXT UNIQUE, begun REAL, shown INTEGER, shown_at REAL
);
CREATE TABLE question (
    participant INTEGER NOT NULL REFERENCES participant, number INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('deception', 'preference')),
    content INTEGER REFERENCES picture, style INTEGER REFERENCES picture,
    PRIMARY KEY (participant, number)
) WITHOUT ROWID;
CREATE TABLE choice (
    participant INTEGER NOT NULL, number INTEGER NOT NULL, place INTEGER NOT NULL, picture INTEGER NOT NULL REFERENCES picture,
    PRIMARY KEY (participant, number, place),
    FOREIGN KEY (participant, number) REFERENCES question (participant, number)
) WITHOUT ROWID;
CREATE TABLE vote (
    participant INTEGER NOT NULL, number INTEGER NOT NULL, answer INTEGER NOT NULL, seconds REAL, at REAL NOT NULL,
    PRIMARY KEY (participant, number),
    FOREIGN KEY (participant, number) REFERENCES question (participant, number)
) WITHOUT ROWID;
"""
