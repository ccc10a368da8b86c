import sqlite3

import numpy as np
import pytest
from helpers.datasets import draw_picture
from helpers.studies import METHODS, draw_benchmark, save

from ieast.errors import StudyError
from ieast.evaluation.degradations import DEGRADATIONS
from ieast.evaluation.preference import read_scorer, save_scorer
from ieast.io.images import to_image, to_tensor
from ieast.study.build import build_study
from ieast.study.plan import Plan
from ieast.study.scorer import DEGRADED, FEWEST_ANSWERS, VOTES, make_scorer
from ieast.study.store import Store

CONTENTS = STYLES = 4


@pytest.fixture(scope="module")
def drawn_study(tmp_path_factory):
    """16 pairs of drawn pictures by three methods: each content as it is, a little paler, and speckled."""
    folder = draw_benchmark(tmp_path_factory.mktemp("drawn"), contents=CONTENTS, styles=STYLES)
    speckle = DEGRADATIONS["speckled"]
    for number in range(CONTENTS * STYLES):
        picture = draw_picture(300 + number, 64, 56)
        pale = to_image(to_tensor(picture) * 0.8 + 0.2)
        for method, image in zip(METHODS, (picture, pale, to_image(speckle(to_tensor(picture)))), strict=True):
            save(image, folder / "methods" / method / f"{number:03d}.png")
    build_study(folder, folder / "study", Plan(participants=8, pairs=6, per_method=0, real=0))
    return folder / "study"


@pytest.fixture
def voted(drawn_study):
    """People have answered as `vote` says; afterwards nobody has."""

    def vote(liked, people):
        store = Store(drawn_study, haste=0)
        for person in range(people):
            token = store.claim(f"{person + 1:032x}")
            while asked := store.show(token):
                with sqlite3.connect(drawn_study / "study.db") as db:
                    names = [
                        name
                        for (name,) in db.execute(
                            "SELECT name FROM choice JOIN picture ON id = picture WHERE participant = ? AND number = ? "
                            "ORDER BY place",
                            (person + 1, asked.number),
                        )
                    ]
                store.vote(token, asked.number, names.index(liked) + 1)

    yield vote
    with sqlite3.connect(drawn_study / "study.db") as db:
        db.execute("DELETE FROM vote")
        db.execute("UPDATE participant SET token = NULL, visit = NULL, begun = NULL, shown = NULL, shown_at = NULL")


def test_without_votes_the_scorer_learns_from_worse_pictures(drawn_study, encoder):
    scorer = make_scorer(drawn_study, encoder, "untrained")
    card = scorer.card
    pairs, worse = CONTENTS * STYLES, len(DEGRADATIONS)
    assert (card.source, card.votes) == (DEGRADED, 0)
    assert card.comparisons == pairs * (1 + 2 * worse)  # real over stylized, and both over what is worse
    assert (card.encoder, card.encoder_name) == (encoder.digest(), "vgg19-compact, untrained")
    assert card.pairs == pairs
    assert 0.5 < card.low <= card.agreement <= card.high  # better than a coin, on pictures as small as these


def test_a_scorer_from_votes_sides_with_the_voters(drawn_study, encoder, voted):
    voted(METHODS[2], people=8)  # they like speckle, which nothing but their votes can tell
    scorer = make_scorer(drawn_study, encoder, "untrained")
    assert scorer.card.source == VOTES
    assert scorer.card.votes == pytest.approx(8 * 6)
    assert scorer.card.agreement > 0.9
    picture = to_tensor(draw_picture(900, 64, 56))
    speckled = DEGRADATIONS["speckled"](picture)
    assert scorer.score_picture(encoder, speckled) > scorer.score_picture(encoder, picture)


def test_a_few_votes_are_not_learnt_from(drawn_study, encoder, voted):
    voted(METHODS[2], people=2)
    assert FEWEST_ANSWERS > 12
    assert make_scorer(drawn_study, encoder, "untrained").card.source == DEGRADED


def test_a_scorer_is_the_same_every_time_and_survives_its_file(drawn_study, encoder, tmp_path):
    scorer, again = (make_scorer(drawn_study, encoder, "untrained", seed=1) for _ in range(2))
    assert scorer.card == again.card
    assert np.array_equal(scorer.weights, again.weights)
    save_scorer(scorer, tmp_path / "scorer.safetensors")
    loaded = read_scorer(tmp_path / "scorer.safetensors")
    assert loaded.card == scorer.card
    picture = to_tensor(draw_picture(901, 64, 56))
    assert loaded.score_picture(encoder, picture) == scorer.score_picture(encoder, picture)


def test_a_study_without_preference_questions_teaches_nothing(benchmark_folder, encoder, tmp_path):
    build_study(benchmark_folder, tmp_path / "study", Plan(participants=2, pairs=0, per_method=1, real=1))
    with pytest.raises(StudyError, match="has no preference questions to learn from"):
        make_scorer(tmp_path / "study", encoder, "untrained")
