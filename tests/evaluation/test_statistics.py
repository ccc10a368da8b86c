import math

import numpy as np
import pandas as pd
import pytest

from ieast.errors import DataError
from ieast.evaluation.statistics import compare, mean_interval, ratio_interval, summarize


def test_the_interval_is_the_percentiles_of_means_of_resamples():
    values = np.random.default_rng(0).gamma(2, size=18)
    random = np.random.default_rng(1)
    means = [random.choice(values, size=len(values)).mean() for _ in range(20_000)]
    actual = mean_interval(values)
    assert actual.mean == pytest.approx(values.mean())
    assert (actual.low, actual.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])), rel=0.02)
    assert actual.count == 18


def test_two_values_by_hand():
    # Means of resamples are 0, 1/2, 1/2 and 1 with equal probability, so 2.5 % lie well within the outermost quarters.
    actual = mean_interval([0.0, 1.0])
    assert (actual.mean, actual.low, actual.high) == (0.5, 0.0, 1.0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    random = np.random.default_rng(0)
    actual = [mean_interval(random.normal(3, 1, size=40)) for _ in range(100)]
    covered = sum(each.low <= 3 <= each.high for each in actual)
    assert 88 <= covered <= 99


def test_the_seed_decides_the_interval():
    values = np.random.default_rng(0).random(9)
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_equal_values_have_an_interval_of_no_width():
    actual = mean_interval([0.25] * 5)
    assert (actual.mean, actual.low, actual.high) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(("values", "mean"), [([0.5], 0.5), ([], math.nan), ([0.5, math.nan, 1.0], math.nan)])
def test_one_value_and_unusable_values_have_no_interval(values, mean):
    actual = mean_interval(values)
    assert actual.mean == pytest.approx(mean, nan_ok=True)
    assert math.isnan(actual.low)
    assert math.isnan(actual.high)
    assert actual.count == len(values)


@pytest.fixture
def scores() -> pd.DataFrame:
    """Two variants, three seeds, six clips of very different difficulty."""
    random = np.random.default_rng(0)
    hard = np.linspace(1, 10, 6)
    rows = [
        {
            "variant": variant,
            "seed": seed,
            "clip": f"clip{k}",
            "flicker": hard[k] + shift + random.normal(0, 0.02),
            "content_ssim": 0.5 - shift,
        }
        for variant, shift in (("full", 0.0), ("no-cl", 0.1))
        for seed in range(3)
        for k in range(6)
    ]
    return pd.DataFrame(rows)


def test_seeds_are_averaged_on_each_unit_before_units_are_resampled(scores):
    actual = summarize(scores, ["flicker"], ["clip"]).set_index("variant").loc["full"]
    per_clip = [scores[(scores["variant"] == "full") & (scores["clip"] == f"clip{k}")]["flicker"].mean() for k in range(6)]
    expected = mean_interval(per_clip)
    assert (actual["mean"], actual["low"], actual["high"], actual["units"]) == pytest.approx(
        (expected.mean, expected.low, expected.high, 6)
    )


def test_a_comparison_is_paired(scores):
    table = compare(scores, "full", ["flicker", "content_ssim"], ["clip"])
    assert list(table) == ["variant", "baseline", "metric", "difference", "low", "high", "wins", "units"]
    flicker, ssim = (row for _, row in table.iterrows())
    differences = []
    for k in range(6):
        clip = scores[scores["clip"] == f"clip{k}"].groupby("variant")["flicker"].mean()
        differences.append(clip["no-cl"] - clip["full"])
    expected = mean_interval(differences)
    assert (flicker["variant"], flicker["baseline"], flicker["metric"]) == ("no-cl", "full", "flicker")
    assert (flicker["difference"], flicker["low"], flicker["high"]) == pytest.approx(
        (expected.mean, expected.low, expected.high)
    )
    # Clips differ far more than variants do; only pairing shows the difference.
    means = summarize(scores, ["flicker"], ["clip"]).set_index("variant")
    assert means.loc["full", "high"] > means.loc["no-cl", "low"]
    assert flicker["low"] > 0.05
    assert flicker["wins"] == 0
    assert ssim["difference"] == pytest.approx(-0.1)
    assert ssim["wins"] == 0  # of this score the higher is better


def test_wins_are_the_share_of_units_on_which_a_variant_is_better_and_a_tie_is_half():
    table = pd.DataFrame(
        {"variant": ["a"] * 4 + ["b"] * 4, "clip": list("wxyz") * 2, "flicker": [1.0, 2, 3, 4, 0.5, 1.5, 3, 5]}
    )
    assert compare(table, "a", ["flicker"], ["clip"])["wins"].tolist() == [(2 + 0.5) / 4]
    higher = table.rename(columns={"flicker": "content_ssim"})
    assert compare(higher, "a", ["content_ssim"], ["clip"])["wins"].tolist() == [(1 + 0.5) / 4]


def test_units_may_need_several_columns():
    table = pd.DataFrame(
        {"variant": ["a", "a", "b", "b"], "content": ["c"] * 4, "style": ["s", "t"] * 2, "cfsd": [1.0, 2, 2, 4]}
    )
    assert compare(table, "a", ["cfsd"], ["content", "style"])["difference"].tolist() == [1.5]


def test_units_that_no_variant_was_measured_on_are_left_out(scores):
    scores.loc[scores["clip"] == "clip0", "flicker"] = math.nan
    actual = compare(scores, "full", ["flicker"], ["clip"])
    assert actual["units"].tolist() == [5]
    assert actual["difference"].notna().all()
    assert summarize(scores, ["flicker"], ["clip"])["units"].tolist() == [5, 5]


def test_a_failure_of_one_variant_or_seed_is_not_passed_over(scores):
    scores.loc[(scores["variant"] == "no-cl") & (scores["seed"] == 1) & (scores["clip"] == "clip0"), "flicker"] = math.nan
    actual = compare(scores, "full", ["flicker"], ["clip"]).iloc[0]
    assert math.isnan(actual["difference"])
    assert math.isnan(actual["wins"])
    means = summarize(scores, ["flicker"], ["clip"]).set_index("variant")["mean"]
    assert math.isfinite(means["full"])
    assert math.isnan(means["no-cl"])


@pytest.mark.parametrize("function", [summarize, lambda table, *rest: compare(table, "full", *rest)])
def test_variants_scored_on_different_units_are_refused(scores, function):
    lacking = scores[(scores["variant"] == "full") | (scores["clip"] != "clip3")]
    message = (
        "variant no-cl, seed 0 was not scored on clip clip3, on which variant full, seed 0 was; paired comparisons need the "
        "same units everywhere: score them on the same data"
    )
    with pytest.raises(DataError, match=f"^{message}$"):
        function(lacking, ["flicker"], ["clip"])


def test_a_seed_scored_on_fewer_units_is_refused(scores):
    lacking = scores[~((scores["variant"] == "full") & (scores["seed"] == 2) & (scores["clip"] == "clip0"))]
    with pytest.raises(
        DataError, match=r"^variant full, seed 2 was not scored on clip clip0, on which variant full, seed 0 was;"
    ):
        compare(lacking, "full", ["flicker"], ["clip"])


def test_a_missing_column_or_baseline_is_named(scores):
    with pytest.raises(DataError, match=r"^the table of scores has no column 'warping'; it has "):
        summarize(scores, ["warping"], ["clip"])
    with pytest.raises(DataError, match=r"^there is no variant 'sanet' to compare with; the table has \['full', 'no-cl'\]$"):
        compare(scores, "sanet", ["flicker"], ["clip"])
    with pytest.raises(DataError, match=r"^the table of scores is empty$"):
        summarize(scores.head(0), ["flicker"], ["clip"])


def test_a_ratio_weighs_units_by_their_wholes():
    # By hand: (1 + 6) / (2 + 8); resamples of two units give 1/2, 7/10 twice, and 6/8.
    actual = ratio_interval([1, 6], [2, 8])
    assert (actual.mean, actual.low, actual.high, actual.count) == (0.7, 0.5, 0.75, 2)


def test_the_interval_of_a_ratio_is_that_of_resampled_units():
    random = np.random.default_rng(0)
    wholes = random.integers(1, 30, size=25)
    parts = random.binomial(wholes, random.beta(2, 3, size=25))
    picks = random.integers(25, size=(20_000, 25))
    ratios = parts[picks].sum(1) / wholes[picks].sum(1)
    actual = ratio_interval(parts, wholes)
    assert actual.mean == pytest.approx(parts.sum() / wholes.sum())
    assert (actual.low, actual.high) == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])), rel=0.02)


def test_a_ratio_of_one_unit_has_no_interval_and_of_none_no_value():
    one, none = ratio_interval([1], [4]), ratio_interval([], [])
    assert one.mean == 0.25
    assert math.isnan(one.low)
    assert math.isnan(none.mean)
    assert none.count == 0
