"""A study on disk: its questions, who takes part, and votes, in one SQLite file.

Many threads and processes may use one study at a time. Each call opens the file anew and is one transaction, so a vote is
either on disk or was never cast. The file must lie on a local disk: SQLite's write-ahead log does not work over a network.
"""

import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ieast.errors import StudyError
from ieast.study.plan import Kind
from ieast.study.schema import FORMAT

DATABASE, PICTURES = "study.db", "pictures"
PATIENCE = 30.0
"""Seconds to wait for another writer."""

HASTE = 0.5
"""Seconds after a question was shown within which an answer is no answer, but the second click of a double click: the first has
already brought the next question, with its buttons in the same place."""

ABANDONED = 30 * 60.0
"""Seconds after which a place whose holder has not answered anything goes to somebody else, once there are no others."""

_NEXT = (
    "SELECT min(number) FROM question WHERE participant = ? AND number NOT IN (SELECT number FROM vote WHERE participant = ?)"
)


class UnknownLinkError(StudyError):
    """A personal link belongs to nobody, or no longer."""


class AnswerError(StudyError):
    """An answer is none of those offered."""


@dataclass(frozen=True)
class PictureFile:
    """A picture as a browser may know it: a file of opaque name, and its size in pixels."""

    file: str
    width: int
    height: int


@dataclass(frozen=True)
class Asked:
    """A question as a browser may know it; nothing here tells a method, or an artwork from a stylization.

    Attributes:
        number: From 1.
        total: Of this participant's questions.
        kind: Which question it is.
        pictures: In order.
        content: With a preference question, what was stylized.
        style: And in which style.
    """

    number: int
    total: int
    kind: Kind
    pictures: tuple[PictureFile, ...]
    content: PictureFile | None
    style: PictureFile | None


class Store:
    """A study's questions, participants and votes.

    Args:
        folder: What `ieast study build` wrote.
        haste: See `HASTE`.

    Raises:
        StudyError: It is not a study, or of another version of this program.
    """

    def __init__(self, folder: Path, haste: float = HASTE) -> None:
        self.folder, self.haste = folder, haste
        path = folder / DATABASE
        if not path.is_file():
            raise StudyError(f"{folder}: is not a study, it has no {DATABASE}. Make one with `ieast study build`")
        try:
            with self.reading() as db:
                version = db.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise StudyError(
                f"{path}: cannot be read ({error}). Is it a study on a local disk that you may write to?"
            ) from None
        if version != FORMAT:
            raise StudyError(f"{path}: has format {version}, and this program knows {FORMAT}. Use the version that built it")

    def claim(self, visit: str) -> str | None:
        """Give a new visitor the next free place.

        Args:
            visit: Secret of the page they began from. The same one gets the same place, so a double click takes one place.

        Returns:
            The token of their personal link; None if all places are taken.
        """
        with self._writing() as db:
            held = db.execute("SELECT token FROM participant WHERE visit = ?", (visit,)).fetchone()
            if held:
                return str(held[0])
            free = _free(db)
            if free is None:
                return None
            token = secrets.token_hex(16)
            db.execute(
                "UPDATE participant SET token = ?, visit = ?, begun = ?, shown = NULL, shown_at = NULL WHERE id = ?",
                (token, visit, time.time(), free),
            )
            return token

    def has_room(self) -> bool:
        """Whether a place is free."""
        with self.reading() as db:
            return _free(db) is not None

    def counts(self) -> dict[Kind, int]:
        """How many questions of each kind a participant is asked."""
        with self.reading() as db:
            query = "SELECT kind, count(*) FROM question WHERE participant = 1 GROUP BY kind"
            return dict(db.execute(query).fetchall())

    def progress(self, token: str) -> tuple[int, int]:
        """How many questions the holder of `token` has answered, and of how many.

        Raises:
            UnknownLinkError: Nobody holds this token.
        """
        with self.reading() as db:
            participant = _holder(db, token)
            query = (
                "SELECT (SELECT count(*) FROM vote WHERE participant = :who), count(*) FROM question WHERE participant = :who"
            )
            answered, total = db.execute(query, {"who": participant}).fetchone()
            return answered, total

    def show(self, token: str) -> Asked | None:
        """The question that the holder of `token` has to answer next, and start its clock; None when they are through.

        Raises:
            UnknownLinkError: Nobody holds this token.
        """
        with self._writing() as db:
            participant = _holder(db, token)
            number = db.execute(_NEXT, (participant, participant)).fetchone()[0]
            if number is None:
                return None
            now = time.time()
            # Not again after a hasty answer: who clicks on and on would never be heard.
            db.execute(
                "UPDATE participant SET shown = ?, shown_at = ? "
                "WHERE id = ? AND (shown IS NOT ? OR shown_at < ? OR shown_at > ?)",
                (number, now, participant, number, now - self.haste, now),
            )
            total = db.execute("SELECT count(*) FROM question WHERE participant = ?", (participant,)).fetchone()[0]
            kind, content, style = db.execute(
                "SELECT kind, content, style FROM question WHERE participant = ? AND number = ?", (participant, number)
            ).fetchone()
            context = [_picture(db, key) if key else None for key in (content, style)]
            choices = db.execute(
                "SELECT picture FROM choice WHERE participant = ? AND number = ? ORDER BY place", (participant, number)
            )
            return Asked(number, total, kind, tuple(_picture(db, key) for (key,) in choices.fetchall()), *context)

    def vote(self, token: str, number: int, answer: int) -> bool:
        """Record an answer to the question that comes next; one to any other, or a hasty one, changes nothing.

        Args:
            token: Of the participant's link.
            number: Of the question that was answered.
            answer: As `ieast.study.schema` says.

        Returns:
            Whether it was recorded.

        Raises:
            UnknownLinkError: Nobody holds this token.
            AnswerError: The answer is none of those offered.
        """
        with self._writing() as db:
            participant = _holder(db, token)
            if db.execute(_NEXT, (participant, participant)).fetchone()[0] != number:
                return False
            kind, choices = db.execute(
                "SELECT kind, count(*) FROM question JOIN choice USING (participant, number) "
                "WHERE participant = ? AND number = ?",
                (participant, number),
            ).fetchone()
            if answer not in (range(1, choices + 1) if kind == "preference" else range(2)):
                raise AnswerError(f"{answer} is none of the answers to question {number}")
            shown, shown_at = db.execute("SELECT shown, shown_at FROM participant WHERE id = ?", (participant,)).fetchone()
            now = time.time()
            # Unknown where the clock was put back meanwhile.
            seconds = now - shown_at if shown == number and now >= shown_at else None
            if seconds is not None and seconds < self.haste:
                return False
            db.execute("INSERT INTO vote VALUES (?, ?, ?, ?, ?)", (participant, number, answer, seconds, now))
            return True

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for queries; sees a state of the study that was whole, and waits for nobody."""
        # `rw` and not the default, which would make an empty file where a study has been moved away.
        uri = f"{(self.folder / DATABASE).absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)) as db:
            db.execute("PRAGMA foreign_keys = ON")
            yield db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self.reading() as db:
            # Immediate: taking the lock at the first write instead could fail, for what was read before may have changed.
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")


def _holder(db: sqlite3.Connection, token: str) -> int:
    row = db.execute("SELECT id FROM participant WHERE token = ?", (token,)).fetchone()
    if row is None:
        raise UnknownLinkError("this link belongs to nobody in this study")
    return int(row[0])


def _free(db: sqlite3.Connection) -> int | None:
    row = db.execute("SELECT id FROM participant WHERE token IS NULL ORDER BY id LIMIT 1").fetchone()
    if row is None:
        unused = (
            "SELECT id FROM participant WHERE begun < ? AND id NOT IN (SELECT participant FROM vote) ORDER BY begun LIMIT 1"
        )
        row = db.execute(unused, (time.time() - ABANDONED,)).fetchone()
    return None if row is None else int(row[0])


def _picture(db: sqlite3.Connection, key: int) -> PictureFile:
    return PictureFile(*db.execute("SELECT file, width, height FROM picture WHERE id = ?", (key,)).fetchone())
