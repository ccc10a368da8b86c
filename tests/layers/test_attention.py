import pytest
import torch

from ieast.layers import attention
from ieast.layers.attention import StyleAttentionTransform
from reference import plain as reference

CHANNELS = 8


@pytest.fixture
def transform():
    return reference.draw(StyleAttentionTransform(CHANNELS), seed=1)


def taps(batch, height, width, seed):
    """relu4_1 of this size, and relu5_1 of half of it, rounded up as the encoder's pooling does."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {"relu4_1": (height, width), "relu5_1": (-(-height // 2), -(-width // 2))}
    return {name: torch.randn(batch, CHANNELS, *size, generator=generator) for name, size in sizes.items()}


@pytest.mark.parametrize("tokens", [1, 50, 130])
@pytest.mark.parametrize("size", [(12, 18), (18, 6), (13, 9), (11, 10)])
def test_bands_give_what_the_whole_gives_and_its_gradients(transform, monkeypatch, tokens, size):
    content, style = taps(2, *size, seed=2), taps(2, 8, 10, seed=3)
    whole = transform(content, style)
    expected = torch.autograd.grad(whole.square().mean(), list(transform.parameters()))
    monkeypatch.setattr(attention, "BAND_TOKENS", tokens)
    actual = transform(content, style)
    torch.testing.assert_close(actual, whole, rtol=1e-4, atol=1e-4)
    gradients = torch.autograd.grad(actual.square().mean(), list(transform.parameters()))
    torch.testing.assert_close(gradients, expected, rtol=1e-3, atol=1e-4)


def test_one_style_serves_all_contents(transform):
    content, style = taps(3, 6, 8, seed=2), taps(1, 4, 6, seed=3)
    each = {name: tap.expand(3, -1, -1, -1) for name, tap in style.items()}
    torch.testing.assert_close(transform(content, style), transform(content, each), rtol=1e-5, atol=1e-5)
