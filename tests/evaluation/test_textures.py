import numpy as np
import pytest
import torch

from ieast.evaluation.textures import autocorrelation, repetition, seam_ratio


def noise(*size, seed=0):
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


def test_autocorrelation_is_the_sum_over_what_overlaps():
    values = np.random.default_rng(0).normal(size=(7, 6))
    actual = autocorrelation(values)
    for y in range(-4, 5):
        for x in range(-3, 4):
            a = [values[r, c] for r in range(7) for c in range(6) if 0 <= r + y < 7 and 0 <= c + x < 6]
            b = [values[r + y, c + x] for r in range(7) for c in range(6) if 0 <= r + y < 7 and 0 <= c + x < 6]
            expected = np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b))
            assert actual[y, x] == pytest.approx(expected, abs=1e-9), (y, x)


def test_equal_pieces_repeat_and_noise_does_not():
    piece = noise(48, 40)
    tiled = piece.repeat(1, 1, 4, 4)
    assert repetition(tiled) == pytest.approx(1, abs=0.02)
    assert repetition(noise(192, 160)) < 0.15
    half = 0.5 * tiled + 0.5 * noise(192, 160, seed=1)
    assert 0.4 < repetition(half) < 0.6  # as much of it repeats as is shared


def test_what_is_coarse_or_near_is_no_repetition():
    y, x = torch.meshgrid(torch.linspace(0, 1, 160), torch.linspace(0, 1, 160), indexing="ij")
    slope = (x + y).expand(1, 3, 160, 160) / 2
    assert repetition(0.9 * slope + 0.1 * noise(160, 160)) < 0.2
    broad = noise(160, 160)
    broad[..., 1::2] = broad[..., ::2]  # neighbours are alike
    assert repetition(broad) < 0.15
    assert repetition(torch.full((1, 3, 96, 96), 0.4)) == pytest.approx(0, abs=1e-6)


def test_a_period_has_no_seam_and_a_cut_has():
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing="ij")
    wave = (0.5 + 0.2 * torch.sin(2 * torch.pi * x / 32) + 0.2 * torch.sin(2 * torch.pi * y / 16)).expand(1, 3, 64, 96)
    assert 0.7 < seam_ratio(wave) < 1.6
    assert seam_ratio(torch.roll(wave, (5, 7), (2, 3))) < 1.6  # wherever the period is cut
    assert seam_ratio(wave[..., :52, :]) > 3
    assert seam_ratio(wave[..., :, :72]) > 3


def test_the_seam_is_worked_out_by_hand():
    rows = torch.tensor([0.0, 0.1, 0.2, 0.6]).reshape(1, 1, 4, 1).expand(1, 3, 4, 5)
    assert seam_ratio(rows) == pytest.approx(0.6 / 0.2)  # columns are all equal, and differ by nothing
