import numpy as np
import pytest
import torch

from ieast.evaluation.agreement import encoder_agreement
from ieast.models.encoder import Encoder
from ieast.models.teacher import FULL_WIDTHS, Lifts, Teacher
from ieast.models.vgg19 import STYLE_TAPS


def fixed(taps_of):
    """Something that gives these taps for a picture."""
    return lambda picture: taps_of(float(picture.sum()))


@pytest.fixture
def networks(monkeypatch):
    """A student and a teacher whose taps are random, different from picture to picture."""
    teacher, student = Teacher(Encoder("vgg19"), None), Encoder("vgg19-compact")
    lifts = Lifts(student.widths)

    def taps(seed, shift):
        random = np.random.default_rng(int(seed * 1000) % 2**32)
        values = {tap: random.normal(size=(1, 4, 3, 3)) + 0.5 for tap in STYLE_TAPS}
        noise = {tap: random.normal(size=(1, 4, 3, 3)) for tap in STYLE_TAPS}
        return {tap: torch.from_numpy(values[tap] + shift * (noise[tap] + 1)) for tap in STYLE_TAPS}

    monkeypatch.setattr(teacher, "forward", fixed(lambda seed: taps(seed, 0.0)))
    monkeypatch.setattr(student, "forward", lambda picture: picture)
    monkeypatch.setattr(lifts, "forward", fixed(lambda seed: taps(seed, 0.4)))
    return student, lifts, teacher


def test_error_and_correlation_are_numpys(networks):
    student, lifts, teacher = networks
    pictures = [torch.full((1, 3, 2, 2), value) for value in (0.1, 0.2, 0.7)]
    table = encoder_agreement(student, lifts, teacher, pictures).set_index("tap")
    for tap in STYLE_TAPS:
        got, expected = (np.concatenate([f(p)[tap].numpy()[0].reshape(4, -1) for p in pictures], 1) for f in (lifts, teacher))
        error = np.linalg.norm(got - expected) / np.linalg.norm(expected)
        correlation = np.mean([np.corrcoef(got[c], expected[c])[0, 1] for c in range(4)])
        assert table.loc[tap, "relative_error"] == pytest.approx(error, rel=1e-9)
        assert table.loc[tap, "correlation"] == pytest.approx(correlation, rel=1e-9)


def test_lifts_have_the_full_widths():
    lifts = Lifts((16, 32, 64, 128, 128))
    taps = {tap: torch.rand(2, width, 3, 5) for tap, width in zip(STYLE_TAPS, (16, 32, 64, 128, 128), strict=True)}
    assert [tuple(lifted.shape) for lifted in lifts(taps).values()] == [(2, full, 3, 5) for full in FULL_WIDTHS]
