import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import ArrayLike
from PIL import Image

from ieast.errors import DataError
from ieast.evaluation.comparison import Comparison, Figure, Report, Scored, Table, compare_scored, report_page
from ieast.evaluation.figures import difference_figures, plot_differences
from ieast.evaluation.references import CONTENT, STYLE

NAN = float("nan")


def scored(variant: str, seed: int, shift: float, pairs: int = 12, clips: int = 5) -> Scored:
    random = np.random.default_rng(7)  # the same pictures, so the same difficulty, for all
    values = random.uniform(1, 2, pairs)
    return Scored(
        variant=variant,
        seed=seed,
        run_id=f"run-{variant}-{seed}",
        code="abc",
        pairs=pd.DataFrame(
            {
                "content": [f"c{n}" for n in range(pairs)],
                "style": [f"s{n % 3}" for n in range(pairs)],
                "style_distance": values + shift,
                "content_ssim": 1 - values / 4,
            }
        ),
        clips=pd.DataFrame(
            {
                "clip": [f"k{n}" for n in range(clips)],
                "style": "s0",
                "frames": 4,
                "temporal_x": random.uniform(0, 1, clips),
                "temporal_x_inputs": random.uniform(0, 0.1, clips),
            }
        ),
    )


@pytest.fixture(scope="module")
def comparison():
    # Seeds shift `full` by 0 and 0.2, and `neither` by 0.4 and 0.6: apart by 0.4 on every pair.
    return compare_scored(
        [scored("full", 0, 0.0), scored("full", 1, 0.2), scored("neither", 0, 0.4), scored("neither", 1, 0.6)], "full"
    )


def row_of(table: pd.DataFrame, **where: object) -> pd.Series:
    for column, value in where.items():
        table = table[table[column] == value]
    (row,) = (row for _, row in table.iterrows())
    return row


def test_scores_are_means_over_units_and_seeds_with_intervals_over_units(comparison):
    values = np.random.default_rng(7).uniform(1, 2, 12)
    row = row_of(comparison.scores, variant="full", metric="style_distance")
    assert row["mean"] == pytest.approx((values + 0.1).mean())
    assert row["low"] < row["mean"] < row["high"]
    assert row["units"] == 12
    assert row_of(comparison.scores, variant="neither", metric="temporal_x")["units"] == 5
    assert set(comparison.scores["metric"]) == {"style_distance", "content_ssim", "temporal_x"}


def test_differences_are_paired(comparison):
    # Pairs differ widely, the variants by the same on each: an unpaired interval would be wide, a paired one has no width.
    row = row_of(comparison.differences, variant="neither", metric="style_distance")
    assert (row["difference"], row["low"], row["high"]) == pytest.approx((0.4, 0.4, 0.4))
    assert row["wins"] == 0
    assert row_of(comparison.differences, variant="neither", metric="content_ssim")["wins"] == 0.5  # all ties


def test_the_clips_themselves_are_a_column_of_their_own(comparison):
    floor = row_of(comparison.scores, variant="inputs", metric="temporal_x")
    assert floor["mean"] == pytest.approx(scored("full", 0, 0).clips["temporal_x_inputs"].mean())
    assert list(comparison.scores["variant"].unique()) == ["full", "neither", "inputs"]
    for table in (comparison.differences, comparison.seeds):
        assert "inputs" not in set(table["variant"])
        assert "temporal_x_inputs" not in set(table["metric"])


def test_each_seed_has_its_own_row(comparison):
    values = np.random.default_rng(7).uniform(1, 2, 12)
    row = row_of(comparison.seeds, variant="full", seed=1, metric="style_distance")
    assert row["mean"] == pytest.approx(values.mean() + 0.2)


def with_pairs(each: Scored, **changes: dict[int, float]) -> Scored:
    """`each` with other scores on some of its pairs, by their place."""
    pairs = each.pairs.copy()
    for metric, values in changes.items():
        pairs.loc[list(values), metric] = list(values.values())
    return replace(each, pairs=pairs)


def test_a_seed_that_failed_on_a_pair_has_no_mean_and_a_pair_that_nothing_has_a_score_on_is_left_out():
    unmeasured = [with_pairs(scored(*run, 0.0), style_distance={5: NAN}) for run in (("full", 0), ("full", 1), ("neither", 0))]
    failed = with_pairs(unmeasured[0], style_distance={3: NAN})
    actual = compare_scored([failed, *unmeasured[1:]], "full")
    seeds = actual.seeds.set_index(["metric", "variant", "seed"])["mean"]
    mean = np.delete(np.random.default_rng(7).uniform(1, 2, 12), 5).mean()
    expected = {("full", 0): NAN, ("full", 1): mean, ("neither", 0): mean}
    assert seeds["style_distance"].to_dict() == pytest.approx(expected, nan_ok=True)
    assert seeds["content_ssim"].notna().all()
    scores = actual.scores.set_index(["metric", "variant"])["mean"]  # which say the same
    assert scores["style_distance"].to_dict() == pytest.approx({"full": NAN, "neither": mean}, nan_ok=True)


def test_a_score_that_no_pair_has_is_nan_for_each_seed():
    nothing = dict.fromkeys(range(12), NAN)
    tables = [with_pairs(scored(name, 0, 0.0), content_ssim=nothing) for name in ("full", "neither")]
    means = compare_scored(tables, "full").seeds.set_index(["metric", "variant"])["mean"]
    assert means["content_ssim"].isna().all()
    assert means["style_distance"].notna().all()


def test_variants_scored_on_other_pictures_are_refused():
    with pytest.raises(DataError, match="was not scored on"):
        compare_scored([scored("full", 0, 0, pairs=12), scored("neither", 0, 0, pairs=11)], "full")


def test_one_variant_and_no_clips_still_make_tables():
    alone = scored("full", 0, 0)
    actual = compare_scored([Scored("full", 0, "r", "abc", alone.pairs, pd.DataFrame())], "full")
    assert set(actual.scores["metric"]) == {"style_distance", "content_ssim"}
    assert actual.differences.empty


def with_references(each: Scored) -> Scored:
    rows = [
        {"reference": name, "content": f"c{n}", "style": f"s{n}", "style_distance": value + n, "content_ssim": 1.0}
        for name, value in ((CONTENT, 5.0), (STYLE, 0.0))
        for n in range(3)
    ]
    return replace(each, references=pd.DataFrame(rows))


def test_contents_and_styles_as_they_are_are_the_last_columns_and_nothing_is_compared_with_them():
    actual = compare_scored([with_references(scored(name, 0, 0.0)) for name in ("full", "neither")], "full")
    assert list(actual.scores["variant"].unique()) == ["full", "neither", "inputs", CONTENT, STYLE]
    assert row_of(actual.scores, variant=CONTENT, metric="style_distance")["mean"] == pytest.approx(6.0)
    assert row_of(actual.scores, variant=STYLE, metric="style_distance")["units"] == 3
    for table in (actual.differences, actual.seeds):
        assert not set(table["variant"]) & {CONTENT, STYLE}
    page = page_of(actual)
    assert f"<th>{CONTENT}</th>" in page
    assert f"<th>{STYLE}</th>" in page


def page_of(comparison, **changes):
    runs = pd.DataFrame([{"variant": "full", "MLflow run": "run-full-0"}])
    values = {"title": "T", "facts": {"data": "m5"}, "comparison": comparison, "baseline": "full", "runs": runs} | changes
    return report_page(Report(**values))


def test_the_page_shows_every_number_with_its_interval(comparison):
    page = page_of(comparison)
    row = row_of(comparison.scores, variant="neither", metric="style_distance")
    assert f"{row['mean']:.4f}\n[{row['low']:.4f},\N{NO-BREAK SPACE}{row['high']:.4f}]" in page
    assert "+0.4000\n[+0.4000,\N{NO-BREAK SPACE}+0.4000]\nbetter on 0%" in page
    assert "neither, seed 1" in page
    assert "run-full-0" in page


def test_the_page_holds_its_pictures_and_loads_nothing(comparison):
    figure = Figure("Pictures", "A note.", Image.new("RGB", (8, 8), "red"))
    page = page_of(comparison, figures=[figure])
    assert "data:image/jpeg;base64," in page
    assert not re.search(r"(src|href)=\"(?!data:)", page)


def test_what_came_from_outside_is_escaped_and_warnings_stand_out(comparison):
    page = page_of(comparison, facts={"data": "<script>"}, warnings=["no-el, seed 2 failed: <b>"])
    assert "<script>" not in page
    assert '<p class="warning">no-el, seed 2 failed: &lt;b&gt;</p>' in page


def test_without_any_finished_variant_the_page_says_what_failed():
    page = page_of(None, warnings=["full, seed 0 failed: x"])
    assert "full, seed 0 failed: x" in page
    assert "<h2>Scores" not in page


def test_variants_stand_in_the_order_they_were_given_in_and_the_clips_as_they_are_last():
    actual = compare_scored([scored(name, 0, 0.0) for name in ("wct", "adain", "gatys")], "adain")
    assert list(actual.scores["variant"].unique()) == ["wct", "adain", "gatys", "inputs"]
    assert list(actual.differences["variant"].unique()) == ["wct", "gatys"]


def test_a_table_of_its_own_is_shown_with_four_digits(comparison):
    values = pd.DataFrame({"seconds": [1.23456, float("nan")], "note": ["", "<i>"]}, index=pd.Index(["a", "b"], name="method"))
    page = page_of(comparison, tables=[Table("Speed", "How fast.", values)])
    assert "<h2>Speed</h2>" in page
    assert "<td>1.235</td>" in page
    assert "nan" not in page
    assert "&lt;i&gt;" in page


def test_the_figure_of_differences_shows_them_in_percent_of_the_baseline(comparison):
    axes = plot_differences(comparison, "full").axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["temporal_x", "content_ssim ↑", "style_distance ↓"]  # from below
    points, *seeds = axes.get_lines()[:4]
    place = labels.index("style_distance ↓")
    expected = 100 * 0.4 / row_of(comparison.scores, variant="full", metric="style_distance")["mean"]
    assert points.get_xdata()[place] == pytest.approx(expected)
    assert list(seeds[place].get_xdata()) == pytest.approx([expected, expected])  # each seed is apart by as much


def test_metrics_of_which_the_baseline_has_none_are_not_in_the_figure():
    full, other = scored("full", 0, 0.0), scored("neither", 0, 0.4)
    tables = [replace(full, pairs=full.pairs.assign(deception=0.0)), replace(other, pairs=other.pairs.assign(deception=0.5))]
    actual = compare_scored(tables, "full")
    assert row_of(actual.differences, metric="deception")["difference"] == 0.5
    labels = [label.get_text() for label in plot_differences(actual, "full").axes[0].get_yticklabels()]
    assert labels == ["temporal_x", "content_ssim ↑", "style_distance ↓"]


def weaving(of_full: ArrayLike, of_other: ArrayLike) -> Comparison:
    """`full` and `neither` with a score that may be negative."""
    full, other = scored("full", 0, 0.0), scored("neither", 0, 0.4)
    tables = [replace(each, pairs=each.pairs.assign(weave=of)) for each, of in ((full, of_full), (other, of_other))]
    return compare_scored(tables, "full")


@pytest.mark.parametrize("of_full", [-0.01, 0.0, NAN, np.tile([-0.1, 0.11], 6)])  # the last is about 0 in the mean
def test_a_score_whose_mean_is_not_surely_above_0_is_named_below_the_figure_instead(of_full):
    actual = weaving(of_full, 0.3)
    labels = [label.get_text() for label in plot_differences(actual, "full").axes[0].get_yticklabels()]
    assert labels == ["temporal_x", "content_ssim ↑", "style_distance ↓"]
    (figure,) = difference_figures(actual, "full")
    assert figure.note.endswith("is not surely above 0 and nothing is a percentage of it: weave.")
    assert "weave" in set(actual.differences["metric"])


def test_other_scores_are_in_the_figure_of_one_pair_too():
    assert "Not shown" not in difference_figures(weaving(0.01, -0.3), "full")[0].note
    of_one = [replace(scored(name, 0, 0.1, pairs=1), clips=pd.DataFrame()) for name in ("full", "neither")]
    assert "Not shown" not in difference_figures(compare_scored(of_one, "full"), "full")[0].note


def test_with_nothing_that_has_percentages_there_is_no_figure():
    actual = weaving(-0.1, -0.2)
    only = replace(actual, differences=actual.differences[actual.differences["metric"] == "weave"])
    assert difference_figures(only, "full") == []


def test_with_nothing_to_compare_with_there_is_no_figure_of_differences(comparison):
    assert difference_figures(None, "") == []
    assert difference_figures(compare_scored([scored("full", 0, 0.0)], "full"), "full") == []
    (figure,) = difference_figures(comparison, "full")
    assert figure.title == "Differences to full"
