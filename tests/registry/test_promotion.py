import math

import pytest
from pydantic import ValidationError

from ieast.config import PromotionConfig, Threshold
from ieast.registry.promotion import Decision, decide

NO_WORSE = (Threshold(metric="style", better="lower", relative_to_champion=1.0),)
WITHOUT = "to go on without the comparison, type `ieast promote NAME VERSION --force --reason TEXT`"
DEFAULT = PromotionConfig().thresholds


@pytest.mark.parametrize(
    ("candidate", "champion", "thresholds", "promote", "reasons"),
    [
        pytest.param({"style": 1.0}, None, NO_WORSE, True, ["there is no champion yet"], id="first"),
        pytest.param(
            {"style": 0.5},
            {"style": 1.0},
            NO_WORSE,
            True,
            ["style 0.5, at most 1 x the champion's 1 asked: holds"],
            id="better",
        ),
        pytest.param(
            {"style": 1.01},
            {"style": 1.0},
            NO_WORSE,
            False,
            ["style 1.01, at most 1 x the champion's 1 asked: fails"],
            id="worse",
        ),
        pytest.param(
            {"style": 1.0},
            {"style": 1.0},
            NO_WORSE,
            False,
            [
                "style 1, at most 1 x the champion's 1 asked: holds",
                "no compared metric is better than the champion's, so the champion stays",
            ],
            id="tie",
        ),
        pytest.param(
            {"style": 1.04},
            {"style": 1.0},
            (Threshold(metric="style", better="lower", relative_to_champion=1.05),),
            False,
            [
                "style 1.04, at most 1.05 x the champion's 1 asked: holds",
                "no compared metric is better than the champion's, so the champion stays",
            ],
            id="within tolerance but better in nothing",
        ),
        pytest.param(
            {"style": 0.9, "content": 1.05},
            {"style": 1.0, "content": 1.0},
            (*NO_WORSE, Threshold(metric="content", better="lower", relative_to_champion=1.1)),
            True,
            [
                "style 0.9, at most 1 x the champion's 1 asked: holds",
                "content 1.05, at most 1.1 x the champion's 1 asked: holds",
            ],
            id="better in one and within tolerance in the other",
        ),
        pytest.param(
            {"style": 0.1, "content": 1.2},
            {"style": 1.0, "content": 1.0},
            (*NO_WORSE, Threshold(metric="content", better="lower", relative_to_champion=1.1)),
            False,
            [
                "style 0.1, at most 1 x the champion's 1 asked: holds",
                "content 1.2, at most 1.1 x the champion's 1 asked: fails",
            ],
            id="much better in one does not pay for the other",
        ),
        pytest.param(
            {"style": 0.96},
            {"style": 1.0},
            (Threshold(metric="style", better="lower", relative_to_champion=0.95),),
            False,
            ["style 0.96, at most 0.95 x the champion's 1 asked: fails"],
            id="an improvement is asked and missed",
        ),
        pytest.param(
            {"votes": 0.3},
            {"votes": 0.2},
            (Threshold(metric="votes", better="higher", relative_to_champion=1.0),),
            True,
            ["votes 0.3, at least 1 x the champion's 0.2 asked: holds"],
            id="higher is better",
        ),
        pytest.param(
            {"votes": 0.1},
            {"votes": 0.2},
            (Threshold(metric="votes", better="higher", relative_to_champion=0.9),),
            False,
            ["votes 0.1, at least 0.9 x the champion's 0.2 asked: fails"],
            id="lower where higher is better",
        ),
        pytest.param(
            {"style": 2.0},
            None,
            (Threshold(metric="style", better="lower", at_most=1.5),),
            False,
            ["style 2, at most 1.5 asked: fails", "there is no champion yet"],
            id="an absolute limit holds for the first model too",
        ),
        pytest.param(
            {"style": 1.5},
            None,
            (Threshold(metric="style", better="lower", at_most=1.5, at_least=1.5),),
            True,
            ["style 1.5, at most 1.5 asked: holds", "style 1.5, at least 1.5 asked: holds", "there is no champion yet"],
            id="limits are inclusive",
        ),
        pytest.param(
            {"style": 0.5},
            {"style": 1.0},
            (Threshold(metric="style", better="lower", at_most=0.4, relative_to_champion=1.0),),
            False,
            ["style 0.5, at most 0.4 asked: fails", "style 0.5, at most 1 x the champion's 1 asked: holds"],
            id="better than the champion but over the limit",
        ),
        pytest.param(
            {"style": 0.5},
            {"style": 1.0},
            (Threshold(metric="style", better="lower", at_least=0.6),),
            False,
            ["style 0.5, at least 0.6 asked: fails"],
            id="under a lower limit",
        ),
        pytest.param(
            {"style": 1.0},
            {"style": 1.0},
            (Threshold(metric="style", better="lower", at_most=2.0),),
            True,
            ["style 1, at most 2 asked: holds"],
            id="a tie matters only where the champion is compared",
        ),
    ],
)
def test_the_gate_decides_and_says_why(candidate, champion, thresholds, promote, reasons):
    assert decide(candidate, champion, thresholds) == Decision(promote=promote, reasons=tuple(reasons))


@pytest.mark.parametrize("champion", [None, {"style": 1.0}, {}])
@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("candidate", [{}, {"style": math.nan}, {"style": math.inf}, {"style": -math.inf}])
def test_a_candidates_missing_or_non_finite_metric_fails(candidate, champion, better):
    thresholds = (Threshold(metric="style", better=better, at_most=5.0, relative_to_champion=1.0),)
    decision = decide(candidate, champion, thresholds)
    assert not decision.promote
    said = f"value is {candidate['style']}, not a finite number" if candidate else "has no such score; there are none"
    assert decision.reasons[0] in (f"style: the candidate's {said}", f"style: the candidate {said}")


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("champion", [{}, {"style": math.nan}, {"style": math.inf}, {"style": -math.inf}])
def test_a_champions_missing_or_non_finite_metric_fails(champion, better):
    decision = decide({"style": 0.1}, champion, (Threshold(metric="style", better=better, relative_to_champion=1.0),))
    said = f"'s value is {champion['style']}, not a finite number" if champion else " has no such score; there are none"
    assert decision == Decision(promote=False, reasons=(f"style: the champion{said}; {WITHOUT}",))


def test_one_missing_metric_is_enough_to_fail():
    decision = decide({"style_mismatch": 0.1}, {"style_mismatch": 1.0, "content_distance": 1.0}, DEFAULT)
    assert decision.reasons == (
        "style_mismatch 0.1, at most 1 x the champion's 1 asked: holds",
        "content_distance: the candidate has no such score; there are style_mismatch",
    )
    assert not decision.promote


@pytest.mark.parametrize(
    ("candidate", "promote", "last_reason"),
    [
        # What the same model got in one process, the second time from the registry.
        (0.014147166162729263, False, "no compared metric is better than the champion's, so the champion stays"),
        (0.014147168, False, "no compared metric is better than the champion's, so the champion stays"),
        (0.0141469, True, "style_mismatch 0.01415, at most 1 x the champion's 0.01415 asked: holds"),
        (0.0141474, False, "style_mismatch 0.01415, at most 1 x the champion's 0.01415 asked: fails"),
    ],
)
def test_rounding_is_neither_a_gain_nor_a_loss(candidate, promote, last_reason):
    thresholds = [Threshold(metric="style_mismatch", relative_to_champion=1.0)]
    decision = decide({"style_mismatch": candidate}, {"style_mismatch": 0.014147167094051838}, thresholds)
    assert (decision.promote, decision.reasons[-1]) == (promote, last_reason)


def test_metrics_without_a_threshold_do_not_matter():
    candidate = {"style_mismatch": 0.9, "content_distance": 1.0, "other": math.nan}
    champion = {"style_mismatch": 1.0, "content_distance": 1.0, "other": 0.0}
    assert decide(candidate, champion, DEFAULT).promote


@pytest.mark.parametrize("champion", [0.0, 1e-300])
def test_a_champion_at_zero_can_only_be_tied(champion):
    assert not decide({"style": champion}, {"style": champion}, NO_WORSE).promote
    assert not decide({"style": 1.0}, {"style": champion}, NO_WORSE).promote


def test_a_threshold_on_a_score_that_nobody_computes_says_which_there_are():
    scores = {"style_distance": 0.1, "content_distance": 1.0}
    decision = decide(scores, scores, (Threshold(metric="style_distanse", at_most=1.0),))
    assert decision == Decision(
        promote=False,
        reasons=("style_distanse: the candidate has no such score; there are content_distance, style_distance",),
    )


@pytest.mark.parametrize(
    ("metric", "better", "worse"),
    [
        ("style_mismatch", 0.1, 0.3),
        ("colour_noise", 0.2, 0.7),
        ("detail", 4.0, 2.0),
        ("deception", 0.4, 0.1),
        ("deception_accuracy", 0.6, 1.0),
        ("preference", 0.7, 0.4),
    ],
)
def test_scores_of_noise_deception_and_preference_stand_in_thresholds_like_any_other(metric, better, worse):
    compared = (Threshold(metric=metric, relative_to_champion=1.0),)  # its direction is the table's
    bounded = (Threshold(metric=metric, **{"at_most" if better < worse else "at_least": (better + worse) / 2}),)
    assert decide({metric: better}, {metric: worse}, compared).promote
    assert not decide({metric: worse}, {metric: better}, compared).promote
    assert decide({metric: better}, None, bounded).promote
    assert not decide({metric: worse}, None, bounded).promote
    for unmeasured in ({}, {metric: math.nan}):  # too few pictures, no scorer
        assert not decide(unmeasured, {metric: worse}, compared).promote


@pytest.mark.parametrize("thresholds", [(), (Threshold(metric="style", better="lower", at_most=1.0),), NO_WORSE])
def test_a_champion_without_scores_stays_whatever_is_asked(thresholds):
    decision = decide({"style": 0.1}, None, thresholds, unusable="its file is damaged")
    assert not decision.promote
    assert decision.reasons[-1] == "its file is damaged"
    assert "there is no champion yet" not in decision.reasons


@pytest.mark.parametrize(
    ("better", "ratio", "champion", "limit"),
    [
        ("lower", 1.1, 2.0, 2.2),
        ("lower", 0.9, 2.0, 1.8),
        ("higher", 0.9, 2.0, 1.8),
        ("higher", 1.1, 2.0, 2.2),
        # The same shares of a champion below 0, where 10 % worse is 10 % of its size further down or up.
        ("lower", 1.1, -2.0, -1.8),
        ("lower", 0.9, -2.0, -2.2),
        ("higher", 0.9, -2.0, -2.2),
        ("higher", 1.1, -2.0, -1.8),
    ],
)
def test_a_ratio_means_the_same_share_on_both_sides_of_zero(better, ratio, champion, limit):
    threshold = (Threshold(metric="m", better=better, relative_to_champion=ratio),)
    sign = 1 if better == "higher" else -1

    def holds(value):
        return decide({"m": value}, {"m": champion}, threshold).reasons[0].endswith("holds")

    assert holds(limit + sign * 1e-4)
    assert not holds(limit - sign * 1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "threshold on style sets none of at_most, at_least, relative_to_champion"),
        ({"at_most": 1, "at_least": 2}, "threshold on style asks for at most 1 and at least 2; no value is both"),
        ({"relative_to_champion": 0, "better": "lower"}, "greater than 0"),
        ({"at_most": math.nan}, "finite"),
        ({"at_most": 1, "better": "smaller"}, "lower"),
        ({"relative_to_champion": 1}, "threshold on style, which is no score of this project, compares with the champion: say"),
    ],
)
def test_a_threshold_that_cannot_be_meant_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Threshold(metric="style", **values)


def test_the_direction_of_a_known_score_is_its_own():
    threshold = Threshold(metric="content_ssim", relative_to_champion=1.0)
    assert threshold.better == "higher"
    worse = decide({"content_ssim": 0.2}, {"content_ssim": 0.5}, (threshold,))
    assert not worse.promote
    assert worse.reasons == ("content_ssim 0.2, at least 1 x the champion's 0.5 asked: fails",)
    assert decide({"content_ssim": 0.6}, {"content_ssim": 0.5}, (threshold,)).promote


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"metric": "content_ssim", "better": "lower", "relative_to_champion": 1},
            "threshold on content_ssim says better: lower, but of this score higher values are better",
        ),
        (
            {"metric": "temporal_lpips_alex", "better": "higher", "at_most": 1},
            "threshold on temporal_lpips_alex says better: higher, but of this score lower values are better",
        ),
        (
            {"metric": "content_ssim", "at_most": 0.5},
            "threshold on content_ssim sets at_most alone, but of this score higher values are better: set at_least",
        ),
        (
            {"metric": "warping_error_10", "at_least": 0.5},
            "threshold on warping_error_10 sets at_least alone, but of this score lower values are better: set at_most",
        ),
    ],
)
def test_a_threshold_that_contradicts_its_score_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Threshold(**values)


def test_a_range_or_a_cap_beside_the_champion_contradicts_nothing():
    assert Threshold(metric="content_ssim", at_least=0.3, at_most=0.95).better == "higher"
    assert Threshold(metric="content_ssim", at_most=0.95, relative_to_champion=1).better == "higher"
