import numpy as np
import pytest

from ieast.evaluation.deception import FEWEST, FOLDS, Stylizations, deception, judge, splits
from ieast.evaluation.statistics import ratio_interval

STYLES, CONTENTS, ARTWORKS, WIDTH = 40, 25, 80, 12


def drawn(seed=0, shift=0.0, each=2):
    """Features of artworks and of stylizations, `each` a style, that differ by `shift` deviations in one feature."""
    random = np.random.default_rng(seed)
    real = random.normal(size=(ARTWORKS, WIDTH))
    stylized = random.normal(size=(STYLES * each, WIDTH))
    stylized[:, 0] += shift
    styles = [f"a{k % STYLES}" for k in range(STYLES * each)]
    contents = [f"c{number}" for number in random.integers(0, CONTENTS, STYLES * each)]
    return real, [f"a{k}" for k in range(ARTWORKS)], Stylizations(stylized, styles, contents)


def test_what_nothing_tells_apart_is_taken_for_real_half_the_time():
    actual = [deception(*drawn(seed)) for seed in range(8)]
    assert np.mean([each.score for each in actual]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([each.accuracy for each in actual]) == pytest.approx(0.5, abs=0.05)
    assert sum(each.low <= 0.5 <= each.high for each in actual) >= 6
    assert all(each.low < each.score < each.high for each in actual)


def test_what_is_told_apart_is_never_taken_for_real():
    actual = deception(*drawn(shift=25.0))
    assert (actual.score, actual.low, actual.high, actual.accuracy) == (0, 0, 0, 1)


def test_the_score_falls_with_the_difference():
    actual = [deception(*drawn(shift=shift)) for shift in (0.0, 1.0, 2.0, 4.0)]
    assert [each.score for each in actual] == sorted((each.score for each in actual), reverse=True)
    assert [each.accuracy for each in actual] == sorted(each.accuracy for each in actual)


def test_the_accuracy_is_that_of_the_best_rule_where_that_is_known():
    # Two normal distributions 2 deviations apart: a threshold halfway tells 84 % rightly. What is learnt comes near.
    actual = np.mean([deception(*drawn(seed, shift=2.0, each=4)).accuracy for seed in range(3)])
    assert actual == pytest.approx(0.841, abs=0.05)


def test_the_interval_is_over_styles():
    real, names, picture = drawn(shift=1.0)
    actual = deception(real, names, picture, seed=3)
    assert actual.score == pytest.approx(np.mean(actual.taken))
    styles = np.array(picture.styles)
    taken = {name: np.array(actual.taken)[styles == name] for name in sorted(set(picture.styles))}
    expected = ratio_interval([each.sum() for each in taken.values()], [each.size for each in taken.values()], seed=3)
    assert (actual.low, actual.high) == (expected.low, expected.high)


def test_no_picture_is_on_both_sides_and_each_is_judged_once():
    _, names, picture = drawn()
    is_real = np.arange(ARTWORKS + len(picture.styles)) < ARTWORKS
    styles = np.array([*names, *picture.styles], dtype=object)
    contents = np.array([None] * ARTWORKS + list(picture.contents), dtype=object)
    judged = np.zeros(len(styles), dtype=int)
    actual = splits(is_real, styles, contents, seed=0)
    assert len(actual) == FOLDS
    for test, train in actual:
        judged += test
        assert not set(styles[test]) & set(styles[train])
        assert not (set(contents[test]) & set(contents[train])) - {None}
        assert (test & ~is_real).sum() == len(picture.styles) / FOLDS
    assert (judged == 1).all()


def test_a_classifier_that_only_knows_pictures_again_learns_nothing():
    # Each style and each content has a mark of its own, and nothing else tells artworks from stylizations.
    _, names, stylized = drawn()
    random = np.random.default_rng(9)
    marks = {name: random.normal(size=60) for name in (*names, *stylized.contents)}
    wide = np.stack([np.concatenate([marks[s], marks[c]]) for s, c in zip(stylized.styles, stylized.contents, strict=True)])
    alone = np.stack([np.concatenate([marks[name], random.normal(size=60)]) for name in names])
    divided = Stylizations(wide, stylized.styles, stylized.contents)
    assert deception(alone, names, divided).accuracy == pytest.approx(0.5, abs=0.15)


def test_it_is_the_same_every_time():
    assert deception(*drawn(), seed=1) == deception(*drawn(), seed=1)


def test_with_too_few_pictures_nothing_is_measured_and_it_is_said():
    real, names, stylized = drawn()
    few = [k for k, style in enumerate(stylized.styles) if int(style[1:]) < FEWEST - 1]
    rare = Stylizations(stylized.features[few], [stylized.styles[k] for k in few], [stylized.contents[k] for k in few])
    for arguments, why in (
        ((real, names, rare), f"it takes stylizations in {FEWEST} styles, and there are {FEWEST - 1}"),
        ((real[:3], names[:3], stylized), f"it takes {FEWEST} real artworks that were not enlarged, and there are 3"),
        (
            (real, names, Stylizations(stylized.features, stylized.styles, ["c0"] * len(stylized.styles))),
            "with 1 contents there is a fold whose stylizations leave none to learn from",
        ),
        (
            (real, names, Stylizations(np.full_like(stylized.features, np.nan), stylized.styles, stylized.contents)),
            "there are stylizations that are not finite",
        ),
    ):
        actual = deception(*arguments)
        assert actual.skipped == why
        assert all(np.isnan(value) for value in (actual.score, actual.low, actual.high, actual.accuracy))


def test_both_classes_weigh_alike_however_many_there_are():
    random = np.random.default_rng(0)
    features = random.normal(size=(220, 4))
    is_real = np.arange(220) < 200
    assert 0.3 < judge(features, is_real, random.normal(size=(400, 4))).mean() < 0.7
