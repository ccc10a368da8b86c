import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.optimize import minimize

from ieast.errors import WeightsError
from ieast.evaluation.features import pooled_features
from ieast.evaluation.noise import fine_structure
from ieast.evaluation.preference import (
    RIDGE,
    Preference,
    PreferenceScorer,
    ScorerCard,
    held_out_agreement,
    read_scorer,
    save_scorer,
    scorer_features,
    train_scorer,
)

CARD = ScorerCard("digest", "an encoder", "votes", 12, 40.0, 0.7, 0.6, 0.8, 9)


def picture(seed: int, height: int = 40, width: int = 48) -> torch.Tensor:
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def drawn(seed=0, noise=0.0, width=5, sides=6) -> list[Preference]:
    """Comparisons by a taste w that is known, some of them turned round."""
    random = np.random.default_rng(seed)
    taste = random.normal(size=width)
    actual = []
    for content in range(sides):
        for style in range(sides):
            a, b = random.normal(size=(2, width))
            better, worse = (a, b) if (a @ taste > b @ taste) == (random.random() >= noise) else (b, a)
            actual.append(Preference(better, worse, f"c{content}", f"s{style}", float(random.integers(1, 4))))
    return actual


def test_a_scorer_is_bradley_and_terrys_optimum_with_the_ridge():
    comparisons = drawn(noise=0.2)
    scorer = train_scorer(comparisons)
    both = np.array([side for each in comparisons for side in (each.better, each.worse)])
    spread = both.std(axis=0) * np.sqrt(both.shape[1])

    def loss(w):
        total = votes = 0.0
        for each in comparisons:
            chance = 1 / (1 + np.exp(w @ (each.worse / spread) - w @ (each.better / spread)))
            total, votes = total - each.votes * np.log(chance), votes + each.votes
        return total / votes + RIDGE * (w @ w) / 2

    expected = minimize(loss, np.zeros(both.shape[1]), method="BFGS", options={"gtol": 1e-9}).x
    assert scorer.weights == pytest.approx(expected, abs=1e-3)
    assert scorer.score(both.mean(axis=0)) == pytest.approx(0)
    assert scorer.score(both[0]) == pytest.approx(expected @ ((both[0] - both.mean(axis=0)) / spread), abs=1e-3)


def test_agreement_is_near_one_where_taste_is_plain_and_a_coins_where_there_is_none():
    plain = held_out_agreement(drawn(sides=10))
    assert plain.mean > 0.85
    assert plain.low < plain.mean < plain.high
    assert plain.count == 100
    assert np.mean([held_out_agreement(drawn(seed, noise=0.5)).mean for seed in range(8)]) == pytest.approx(0.5, abs=0.1)


def test_what_is_held_out_shares_neither_content_nor_style_with_what_is_learnt():
    # Every content has a feature of its own that decides within it, and so has every style: known again, nothing is left.
    random = np.random.default_rng(0)
    sides, actual = 6, []
    signs = random.choice([-1.0, 1.0], size=2 * sides)
    for content in range(sides):
        for style in range(sides):
            better = np.zeros(2 * sides)
            better[content], better[sides + style] = signs[content], signs[sides + style]
            actual.append(Preference(better, -better, f"c{content}", f"s{style}"))
    scorer = train_scorer(actual)
    assert all(scorer.score(each.better) > scorer.score(each.worse) for each in actual)
    assert held_out_agreement(actual).mean == 0.5  # ties, which count half


def test_with_one_content_nothing_can_be_held_out():
    actual = held_out_agreement([each for each in drawn() if each.content == "c0"])
    assert np.isnan(actual.mean)
    assert actual.count == 0


def test_features_are_logarithms_of_statistics_and_of_fine_structure(encoder):
    actual = picture(0)
    features = pooled_features(encoder, actual)
    channels = [c.double().numpy() for tap in encoder(actual).values() for c in tap[0]]
    assert len(features) == 2 * len(channels) + 2
    first = encoder(actual)["relu1_1"][0].double().numpy().reshape(-1, 40 * 48)
    assert features[: len(first)] == pytest.approx(np.log(first.mean(axis=1) + 1e-3), rel=1e-3)
    deviations = features[len(first) : 2 * len(first)]
    assert deviations == pytest.approx(np.log(np.sqrt(first.var(axis=1, ddof=1) + 1e-5) + 1e-3), rel=1e-3)
    fine = fine_structure(actual)
    assert features[-2:] == pytest.approx(np.log(np.array([fine.detail, fine.noise]) + 1e-3))


def test_a_crop_is_the_middle_square_in_eight_bits(encoder):
    actual = picture(1)
    middle = (actual[..., 10:30, 14:34] * 255).round() / 255
    assert pooled_features(encoder, actual, crop=20) == pytest.approx(pooled_features(encoder, middle), rel=1e-6)
    assert np.array_equal(pooled_features(encoder, actual, crop=99), pooled_features(encoder, actual, crop=40))
    assert np.isnan(pooled_features(encoder, actual * float("nan"), crop=20)).all()


def test_features_hold_the_picture_and_how_far_it_is_from_style_and_content(encoder):
    actual, style, content = picture(0), picture(1, 36, 60), picture(2)
    own, away, moved = np.split(scorer_features(encoder, actual, style, content), 3)
    assert np.array_equal(own, pooled_features(encoder, actual))
    assert np.array_equal(away, np.abs(own - pooled_features(encoder, style)))
    assert np.array_equal(moved, np.abs(own - pooled_features(encoder, content)))
    assert not np.split(scorer_features(encoder, actual), 3)[1].any()


def test_a_scorer_survives_its_file(tmp_path):
    random = np.random.default_rng(0)
    scorer = PreferenceScorer(*random.normal(size=(3, 7)), card=CARD)
    save_scorer(scorer, tmp_path / "scorer.safetensors")
    actual = read_scorer(tmp_path / "scorer.safetensors")
    assert actual.card == CARD
    for name in ("weights", "centre", "spread"):
        assert np.array_equal(getattr(actual, name), getattr(scorer, name))


def test_files_that_are_no_scorers_are_refused(tmp_path):
    missing, torn, other, older = (tmp_path / name for name in ("missing", "torn", "other", "older"))
    torn.write_bytes(b"no tensors")
    save_file({"weights": torch.zeros(2)}, other)
    tensors = {name: torch.zeros(2, dtype=torch.float64) for name in ("weights", "centre", "spread")}
    save_file(tensors, older, metadata={"preference_scorer": json.dumps({"format": 0})})
    for path, said in (
        (missing, "there is no such file. Make one with `ieast study scorer STUDY -o"),
        (torn, "cannot be read as a preference scorer"),
        (other, "holds no preference scorer"),
        (older, "has format 0, and this program knows 1. Make it again"),
    ):
        with pytest.raises(WeightsError) as caught:
            read_scorer(path)
        assert str(path) in str(caught.value)
        assert said in str(caught.value)


def test_a_scorer_knows_the_encoder_whose_features_it_reads():
    scorer = PreferenceScorer(*np.ones((3, 2)), card=CARD)
    assert scorer.misfit("digest") is None
    assert "made with the features of encoder an encoder digest, and models are scored here by another" in scorer.misfit(
        "another"
    )
