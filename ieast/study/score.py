"""Votes as the two scores of the paper's Table 1.

Intervals are of other participants: people are resampled with all their votes, for the votes of one person hang together. The
pictures stay as they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ieast.errors import StudyError
from ieast.evaluation.published import ARTWORKS, TABLE_1
from ieast.evaluation.statistics import ratio_interval
from ieast.io.files import atomic_write
from ieast.study.store import Store

FEW = 20
"""Participants below which intervals come out too narrow: a percentile bootstrap knows only those it has seen."""

_VOTES = """
SELECT participant, number AS question, question.kind, place, picture.kind AS source, picture.name, picture.pair, answer,
    seconds
FROM vote JOIN question USING (participant, number) JOIN choice USING (participant, number) JOIN picture ON picture = picture.id
ORDER BY participant, number, place
"""


@dataclass(frozen=True)
class Scores:
    """What a study has found so far.

    Attributes:
        preference: A row a method: `method`, `votes` for it of `asked`, their share `score` with its 95 % interval `low` to
            `high`, and the share `published`; the best first.
        deception: The same columns; `votes` say that a human painted it. The first row, `artworks`, are real ones.
        votes: A row a picture shown and answered: `participant`, `question`, `kind`, `place`, `method` (or `artworks`),
            `picture` (its pair, or the artwork's name), `vote` (1 if chosen, or taken for human), `seconds` until the answer.
        begun: Participants who have answered something.
        finished: Those who have answered everything.
    """

    preference: pd.DataFrame
    deception: pd.DataFrame
    votes: pd.DataFrame
    begun: int
    finished: int

    @property
    def answers(self) -> int:
        """Questions answered by all participants together."""
        return len(_questions(self.votes))

    @property
    def seconds(self) -> dict[str, float]:
        """Median time to an answer, by kind of question; without those whose page was not seen to be shown."""
        medians = _questions(self.votes).groupby("kind")["seconds"].median().dropna()
        return {str(kind): float(seconds) for kind, seconds in medians.items()}

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to keep in mind."""
        messages = []
        if self.begun < FEW:
            messages.append(f"only {self.begun} participants: intervals are too narrow below about {FEW}, and no use below 5")
        if self.finished < self.begun:
            messages.append(
                f"{self.begun - self.finished} of {self.begun} participants have not finished; their votes are counted"
            )
        for kind, table in (("preference", self.preference), ("deception", self.deception)):
            if not table["asked"].sum():
                messages.append(f"nobody has answered a {kind} question yet")
        return tuple(messages)


def score_study(folder: Path, seed: int = 0) -> Scores:
    """Count the votes of a study, which may go on meanwhile.

    Args:
        folder: What `ieast study build` wrote.
        seed: Of the resampling.

    Raises:
        StudyError: It is not a study, or nobody has voted.
    """
    with Store(folder).reading() as db:
        db.execute("BEGIN")  # all queries see the same votes
        rows = pd.read_sql_query(_VOTES, db)
        methods = [name for (name,) in db.execute("SELECT DISTINCT name FROM picture WHERE kind = 'stylized' ORDER BY name")]
        asked = dict(db.execute("SELECT participant, count(*) FROM question GROUP BY participant").fetchall())
    if rows.empty:
        raise StudyError(f"{folder}: nobody has voted yet. Let people vote with `ieast study serve {folder}`")
    votes = _tidy(rows)
    answered = _questions(votes).groupby("participant").size()
    preference = _score(votes, "preference", methods, seed).sort_values("score", ascending=False, kind="stable")
    deception = _score(votes, "deception", methods, seed).sort_values("score", ascending=False, kind="stable")
    artworks = _score(votes, "deception", [ARTWORKS], seed)
    return Scores(
        preference=preference.reset_index(drop=True),
        deception=pd.concat([artworks[artworks["asked"] > 0], deception], ignore_index=True),
        votes=votes,
        begun=len(answered),
        finished=sum(count == asked[participant] for participant, count in answered.items()),
    )


def write_scores(scores: Scores, folder: Path) -> list[Path]:
    """Write `preference.csv`, `deception.csv` and `votes.csv`; numbers in full precision.

    Raises:
        DiskFullError: No space was left.
    """
    paths = []
    for name in ("preference", "deception", "votes"):
        paths.append(folder / f"{name}.csv")
        with atomic_write(paths[-1]) as temporary:
            getattr(scores, name).to_csv(temporary, index=False)
    return paths


def _tidy(rows: pd.DataFrame) -> pd.DataFrame:
    is_artwork = rows["source"] == "artwork"
    chosen = rows["answer"] == rows["place"].where(rows["kind"] == "preference", 1)
    return pd.DataFrame(
        {
            "participant": rows["participant"],
            "question": rows["question"],
            "kind": rows["kind"],
            "place": rows["place"],
            "method": rows["name"].mask(is_artwork, ARTWORKS),
            "picture": rows["pair"].mask(is_artwork, rows["name"]),
            "vote": chosen.astype(int),
            "seconds": rows["seconds"].astype(float),
        }
    )


def _questions(votes: pd.DataFrame) -> pd.DataFrame:
    """One row a question answered."""
    return votes.drop_duplicates(["participant", "question"])


def _score(votes: pd.DataFrame, kind: str, methods: Iterable[str], seed: int) -> pd.DataFrame:
    asked = votes[votes["kind"] == kind]
    rows = []
    for method in methods:
        people = asked[asked["method"] == method].groupby("participant")["vote"].agg(["sum", "count"])
        interval = ratio_interval(people["sum"], people["count"], seed)
        paper = TABLE_1.get(method)
        rows.append(
            {
                "method": method,
                "votes": int(people["sum"].sum()),
                "asked": int(people["count"].sum()),
                "score": interval.mean,
                "low": interval.low,
                "high": interval.high,
                "published": None if paper is None else getattr(paper, kind),
            }
        )
    return pd.DataFrame(rows).astype({"published": float})
