"""A preference scorer from a study: from its votes, or from its pictures and worse ones until people have voted.

Of an answer that chooses one of k pictures, the chosen one is preferred to each of the k - 1 others, and each of these
comparisons counts as 1 / (k - 1) answers. Without votes enough, three things are taken for granted: a real artwork, its
context aside, is preferred to a stylization in its style, and both to themselves blurred, speckled, rippled or fringed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
from torch import Tensor

from ieast.errors import StudyError
from ieast.evaluation.degradations import DEGRADATIONS
from ieast.evaluation.features import Array, Remembering
from ieast.evaluation.preference import (
    Preference,
    PreferenceScorer,
    ScorerCard,
    held_out_agreement,
    scorer_features,
    train_scorer,
)
from ieast.io.images import read_image, to_tensor
from ieast.io.progress import progress_bar
from ieast.models.encoder import Encoder
from ieast.study.store import PICTURES, Store

FEWEST_ANSWERS = 30
"""Preference answers from which a scorer learns people's taste; with fewer it learns from worse pictures."""

MOST_PAIRS = 100
"""Pairs of a content and a style that are made worse, each as one method stylized it."""

VOTES, DEGRADED = "votes", "degraded pictures"

_CHOICES = """
SELECT participant, number, place, answer, picture.pair, picture.file, c.name AS content, s.name AS style,
    c.file AS content_file, s.file AS style_file
FROM question JOIN choice USING (participant, number) JOIN picture ON choice.picture = picture.id
    JOIN picture AS c ON question.content = c.id JOIN picture AS s ON question.style = s.id
    LEFT JOIN vote USING (participant, number)
WHERE question.kind = 'preference'
ORDER BY participant, number, place
"""


def make_scorer(study: Path, encoder: Encoder, source: str, seed: int = 0) -> PreferenceScorer:
    """Train a scorer on a study, and measure on held-out pairs how often it agrees.

    Args:
        study: What `ieast study build` wrote, with preference questions.
        encoder: Whose features the scorer reads.
        source: Where the encoder's weights are from, for people.
        seed: Of folds and bootstrap.

    Returns:
        With its card.

    Raises:
        StudyError: It is not a study, or has no preference questions.
        ImageError: A picture is damaged.
    """
    with Store(study).reading() as db:
        choices = pd.read_sql_query(_CHOICES, db)
    if choices.empty:
        raise StudyError(f"{study}: has no preference questions to learn from. Build one with --pairs")
    voted = choices[choices["answer"].notna()]
    answers = len(voted.drop_duplicates(["participant", "number"]))
    learnt = answers >= FEWEST_ANSWERS
    pictures = study / PICTURES
    comparisons = list(_from_votes(voted, pictures, encoder) if learnt else _from_degradations(choices, pictures, encoder))
    agreement = held_out_agreement(comparisons, seed)
    card = ScorerCard(
        encoder=encoder.digest(),
        encoder_name=f"{encoder.name}, {source}",
        source=VOTES if learnt else DEGRADED,
        comparisons=len(comparisons),
        votes=sum(each.votes for each in comparisons) if learnt else 0,
        agreement=agreement.mean,
        low=agreement.low,
        high=agreement.high,
        pairs=agreement.count,
    )
    return replace(train_scorer(comparisons), card=card)


def _from_votes(voted: pd.DataFrame, pictures: Path, encoder: Encoder) -> Iterator[Preference]:
    """A comparison for each two pictures of a pair of which one was ever preferred to the other."""
    for (content, style), rows in progress_bar(voted.groupby(["content", "style"]), desc="pairs", unit="pair"):
        wins: Counter[tuple[str, str]] = Counter()
        for _, asked in rows.groupby(["participant", "number"]):
            chosen = asked["place"] == asked["answer"]
            for other in asked.loc[~chosen, "file"]:
                wins[asked.loc[chosen, "file"].iloc[0], other] += 1
        shown = len(asked) - 1
        seen = Remembering(encoder)
        context = [_read(pictures / rows[f"{side}_file"].iloc[0]) for side in ("style", "content")]
        features = {file: scorer_features(seen, _read(pictures / file), *context) for file in rows["file"].unique()}
        for (better, worse), count in wins.items():
            yield Preference(features[better], features[worse], str(content), str(style), count / shown)


def _from_degradations(choices: pd.DataFrame, pictures: Path, encoder: Encoder) -> Iterator[Preference]:
    """Real over stylized, and each of them over what is made worse of it."""
    shown = choices.drop_duplicates(["content", "style", "file"])
    pairs = [rows for _, rows in shown.groupby(["content", "style"])]
    ways = tuple(DEGRADATIONS.values())
    reals: dict[str, list[Array]] = {}  # by file: of a style as it is, and made worse in each way
    for number, rows in enumerate(progress_bar(pairs[:: -(-len(pairs) // MOST_PAIRS)], desc="pairs", unit="pair")):
        row = rows.sort_values("file").iloc[number % len(rows)]  # names are random, so each method has its turns
        stylized, style, content = (_read(pictures / row[name]) for name in ("file", "style_file", "content_file"))
        seen = Remembering(encoder)
        alone, beside = scorer_features(seen, stylized), scorer_features(seen, stylized, style, content)
        if row["style_file"] not in reals:
            reals[row["style_file"]] = [scorer_features(encoder, each) for each in (style, *(worsen(style) for worsen in ways))]
        real, *worse_real = reals[row["style_file"]]
        worse_stylized = [scorer_features(seen, worsen(stylized), style, content) for worsen in ways]
        for better, others in ((real, [alone, *worse_real]), (beside, worse_stylized)):
            for worse in others:
                yield Preference(better, worse, str(row["content"]), str(row["style"]))


def _read(path: Path) -> Tensor:
    return to_tensor(read_image(path))
