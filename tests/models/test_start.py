import numpy as np
import pytest
import torch

from ieast.config import ModelConfig
from ieast.layers.attention import StyleAttentionTransform
from ieast.layers.statistics import EPSILON
from ieast.methods import new_model
from ieast.models.start import RIDGE, start_near_adain


def pictures(count: int, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    colour = torch.rand(count, 2, 1, 3, 1, 1, generator=generator)
    noise = torch.rand(count, 2, 1, 3, 64, 48, generator=generator)
    return [tuple(pair) for pair in 0.5 * colour + 0.5 * noise]


def adain(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Eq. 8 of Huang and Belongie, on (C, H, W); an epsilon for channels that never fire."""

    def std(features):
        return np.sqrt(features.var((1, 2), ddof=1, keepdims=True) + EPSILON)

    return (content - content.mean((1, 2), keepdims=True)) / std(content) * std(style) + style.mean((1, 2), keepdims=True)


def explained(transform, encoder, pairs) -> float:
    """The share of the variance of AdaIN's features, by hand."""
    with torch.no_grad():
        got = [transform(encoder(c), encoder(s))[0].double().numpy() for c, s in pairs]
        expected = [adain(*(encoder(x)["relu4_1"][0].double().numpy() for x in pair)) for pair in pairs]
    got, expected = (np.concatenate([x.reshape(len(x), -1) for x in side], axis=1) for side in (got, expected))
    return 1 - ((got - expected) ** 2).sum() / ((expected - expected.mean(1, keepdims=True)) ** 2).sum()


@pytest.fixture(scope="module")
def transform(encoder) -> StyleAttentionTransform:
    torch.manual_seed(0)
    return StyleAttentionTransform(128)


def test_the_start_comes_near_adain_on_pictures_it_was_fitted_on_and_says_how_near(transform, encoder):
    pairs = pictures(20, seed=0)
    transform.start_as_identity()
    before = explained(transform, encoder, pairs)
    said = start_near_adain(transform, encoder, pairs)
    after = explained(transform, encoder, pairs)
    assert said == pytest.approx(after, abs=1e-3)
    assert after > max(0.7, before + 0.1)


def test_the_merge_is_the_ridge_regression_of_numpy(transform, encoder):
    pairs = pictures(3, seed=1)
    start_near_adain(transform, encoder, pairs)
    rows, goals = [], []
    with torch.no_grad():
        for content, style in pairs:
            inputs = transform.attend(encoder(content), encoder(style))[0].double().numpy()
            padded = np.pad(inputs, ((0, 0), (1, 1), (1, 1)), mode="reflect")
            height, width = inputs.shape[1:]
            for y in range(height):
                for x in range(width):
                    rows.append(np.append(padded[:, y : y + 3, x : x + 3].ravel(), 1.0))
            goal = adain(*(encoder(image)["relu4_1"][0].double().numpy() for image in (content, style)))
            goals.append(goal.reshape(len(goal), -1).T)
    a, b = np.array(rows), np.concatenate(goals)
    damping = np.sqrt(RIDGE * (a**2).sum(0).mean()) * np.eye(a.shape[1])
    solution = np.linalg.lstsq(np.vstack([a, damping]), np.vstack([b, np.zeros((len(damping), b.shape[1]))]), rcond=None)[0]
    weight = transform.merge_conv.weight.detach().double().numpy().reshape(128, -1)
    fitted, ours = a @ solution, a[:, :-1] @ weight.T + transform.merge_conv.bias.detach().double().numpy()
    np.testing.assert_allclose(ours, fitted, atol=2e-3 * np.abs(fitted).max())


def test_without_pictures_there_is_no_start(transform, encoder):
    with pytest.raises(ValueError, match="there is no pair of pictures"):
        start_near_adain(transform, encoder, [])
    with pytest.raises(ValueError, match="give pairs"):
        new_model("ieast", encoder, ModelConfig(attention_start="adain"))


def test_a_stylizer_is_built_with_it(encoder):
    stylizer = new_model("ieast", encoder, ModelConfig(attention_start="adain"), lambda: pictures(6, seed=2))
    assert explained(stylizer.transform, encoder, pictures(6, seed=2)) > 0.7
