import math
import sqlite3

import numpy as np
import pandas as pd
import pytest
from helpers.studies import METHODS, draw_benchmark
from scipy.stats import beta

from ieast.errors import StudyError
from ieast.evaluation.published import ARTWORKS, TABLE_1
from ieast.study.build import build_study
from ieast.study.plan import Plan
from ieast.study.score import FEW, score_study, write_scores
from ieast.study.store import Store


def shown(study, participant, number):
    """What each place of a question holds, from the database itself."""
    with sqlite3.connect(study / "study.db") as db:
        return db.execute(
            "SELECT kind, name FROM choice JOIN picture ON id = picture WHERE participant = ? AND number = ? ORDER BY place",
            (participant, number),
        ).fetchall()


def vote(study, participant, choose, until=99):
    """One more person answers: `choose(names)` gives the method preferred, or whether one picture is taken for human."""
    store = Store(study, haste=0)
    token = store.claim(f"{participant:032x}")
    while (asked := store.show(token)) and asked.number <= until:
        pictures = shown(study, participant, asked.number)
        names = [ARTWORKS if kind == "artwork" else name for kind, name in pictures]
        chosen = choose(names)
        store.vote(token, asked.number, names.index(chosen) + 1 if asked.kind == "preference" else int(chosen))


def by_method(table):
    return table.set_index("method")


def test_scores_by_hand(study):
    # The first takes artworks and ieast for human-made, the second artworks only; both prefer ieast. The third says yes to
    # everything, prefers sanet, and gives up after the second preference question.
    vote(study, 1, lambda names: "ieast" if len(names) > 1 else names[0] in (ARTWORKS, "ieast"))
    vote(study, 2, lambda names: "ieast" if len(names) > 1 else names[0] == ARTWORKS)
    vote(study, 3, lambda names: "sanet" if len(names) > 1 else True, until=11)
    scores = score_study(study)
    preference, deception = by_method(scores.preference), by_method(scores.deception)
    assert list(preference.index) == ["ieast", "sanet", "adain+el+cl"]
    assert preference["votes"].to_dict() == {"ieast": 8, "sanet": 2, "adain+el+cl": 0}
    assert (preference["asked"] == 10).all()
    assert preference["score"].to_dict() == pytest.approx({"ieast": 0.8, "sanet": 0.2, "adain+el+cl": 0})
    assert preference["score"].sum() == pytest.approx(1)
    assert list(deception.index) == [ARTWORKS, "ieast", "adain+el+cl", "sanet"]
    assert deception["asked"].to_dict() == {ARTWORKS: 9, "ieast": 6, "adain+el+cl": 6, "sanet": 6}
    assert deception["score"].to_dict() == pytest.approx({ARTWORKS: 1, "ieast": 4 / 6, "adain+el+cl": 2 / 6, "sanet": 2 / 6})
    assert (scores.begun, scores.finished, scores.answers) == (3, 2, 13 + 13 + 11)
    # Resamples of three people hold the third between never and three times, which is 0 of 4k to all of 2k votes.
    assert (preference.loc["sanet", "low"], preference.loc["sanet", "high"]) == (0, 1)
    assert (deception.loc[ARTWORKS, "low"], deception.loc[ARTWORKS, "high"]) == (1, 1)


def test_the_papers_scores_stand_beside_those_of_its_methods(study):
    vote(study, 1, lambda names: "ieast" if len(names) > 1 else True)
    scores = score_study(study)
    preference, deception = by_method(scores.preference), by_method(scores.deception)
    assert preference["published"].dropna().to_dict() == {"ieast": 0.267, "sanet": 0.161}
    assert deception["published"].dropna().to_dict() == {ARTWORKS: 0.875, "ieast": 0.624, "sanet": 0.394}


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """40 people, each with a taste of their own; each answers 18 deception and 8 preference questions."""
    folder = tmp_path_factory.mktemp("crowd")
    draw_benchmark(folder / "benchmark", artworks=6)
    build_study(folder / "benchmark", folder / "study", Plan(participants=40, pairs=8, per_method=4, real=6))
    random = np.random.default_rng(0)
    for participant in range(1, 41):
        taste, gullible = random.dirichlet([2, 1, 1]), random.beta(2, 2)
        vote(
            folder / "study",
            participant,
            lambda names, p=taste, q=gullible: random.choice(METHODS, p=p) if len(names) > 1 else random.random() < q,
        )
    return folder / "study"


def test_intervals_are_those_of_resampled_people(crowd):
    scores = score_study(crowd)
    random = np.random.default_rng(1)
    for kind, table in (("preference", scores.preference), ("deception", scores.deception)):
        for row in table.to_dict("records"):
            mine = scores.votes[(scores.votes["kind"] == kind) & (scores.votes["method"] == row["method"])]
            shares = mine.groupby("participant")["vote"].mean().to_numpy()
            assert row["score"] == pytest.approx(shares.mean())  # everybody answered equally many
            means = random.choice(shares, size=(20_000, len(shares))).mean(axis=1)
            assert (row["low"], row["high"]) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), abs=0.01)


def test_intervals_are_wider_than_if_all_votes_were_of_different_people(crowd):
    # Clopper & Pearson's interval takes votes for independent, and the votes of one person are not.
    scores = by_method(score_study(crowd).deception)
    row = scores.loc["ieast"]
    exact = beta.ppf(
        [0.025, 0.975], [row["votes"], row["votes"] + 1], [row["asked"] - row["votes"] + 1, row["asked"] - row["votes"]]
    )
    assert row["low"] < exact[0]
    assert row["high"] > exact[1]


def test_votes_of_independent_people_agree_with_the_exact_interval(tmp_path):
    draw_benchmark(tmp_path / "benchmark")
    build_study(tmp_path / "benchmark", tmp_path / "study", Plan(participants=120, pairs=1, per_method=0, real=0))
    for participant in range(1, 121):
        vote(tmp_path / "study", participant, lambda names, first=participant <= 48: "ieast" if first else "sanet")
    row = by_method(score_study(tmp_path / "study").preference).loc["ieast"]
    exact = beta.ppf([0.025, 0.975], [48, 49], [73, 72])
    assert row["score"] == 0.4
    assert (row["low"], row["high"]) == pytest.approx(tuple(exact), abs=0.02)


def test_the_seed_decides_the_intervals(crowd):
    assert score_study(crowd, 1).preference.equals(score_study(crowd, 1).preference)
    assert not score_study(crowd, 1).preference.equals(score_study(crowd, 2).preference)


def test_votes_are_a_tidy_table(study, tmp_path):
    vote(study, 1, lambda names: "sanet" if len(names) > 1 else True)
    scores = score_study(study)
    paths = write_scores(scores, tmp_path / "out")
    assert [path.name for path in paths] == ["preference.csv", "deception.csv", "votes.csv"]
    votes = pd.read_csv(tmp_path / "out" / "votes.csv", dtype={"picture": str})
    assert list(votes.columns) == ["participant", "question", "kind", "place", "method", "picture", "vote", "seconds"]
    assert len(votes) == 9 + 4 * 3
    judged = votes[votes["kind"] == "deception"]
    assert judged["method"].value_counts().to_dict() == {ARTWORKS: 3, **dict.fromkeys(METHODS, 2)}
    assert judged[judged["method"] == ARTWORKS]["picture"].str.fullmatch(r"a[0-3]\.png").all()
    assert votes[votes["method"] != ARTWORKS]["picture"].str.fullmatch("00[0-8]").all()
    chosen = votes[(votes["kind"] == "preference") & (votes["vote"] == 1)]
    assert list(chosen["method"]) == ["sanet"] * 4
    assert (votes["seconds"] >= 0).all()
    table = pd.read_csv(tmp_path / "out" / "preference.csv")
    pd.testing.assert_frame_equal(table, scores.preference)


def test_few_and_unfinished_participants_are_said(study, crowd):
    vote(study, 1, lambda names: True, until=5)
    actual = " | ".join(score_study(study).warnings)
    assert f"only 1 participants: intervals are too narrow below about {FEW}" in actual
    assert "1 of 1 participants have not finished; their votes are counted" in actual
    assert "nobody has answered a preference question yet" in actual
    preference = score_study(study).preference
    assert preference["score"].isna().all()
    assert score_study(crowd).warnings == ()


def test_median_times(study, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("ieast.study.store.time.time", lambda: now[0])

    def think(names):
        now[0] += 10 if len(names) > 1 else 3
        return names[0] if len(names) > 1 else True

    vote(study, 1, think)
    assert score_study(study).seconds == {"deception": 3, "preference": 10}


def test_without_a_vote_there_is_nothing_to_score(study):
    with pytest.raises(StudyError, match=r"nobody has voted yet\. Let people vote with `ieast study serve"):
        score_study(study)


def test_the_papers_preferences_add_up():
    assert math.isclose(sum(entry.preference or 0 for entry in TABLE_1.values()), 1)
