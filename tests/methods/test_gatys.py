import pytest
import torch
from helpers import measuring
from helpers.trainings import draw, small_config

from ieast.checkpoint import load_model
from ieast.errors import ConfigError
from ieast.methods import build
from ieast.models.vgg19 import STYLE_TAPS
from ieast.stylizer.style import Style
from ieast.training.fit import fit

CONTENT, STYLE = draw(1, 32, 40), draw(1, 36, 24, seed=1)


@pytest.fixture(scope="module")
def make(encoder):
    """Gatys with few iterations; keywords are options."""
    return lambda **options: build("gatys", encoder, {"iterations": 12, **options}).eval()


def losses_of(gatys, content=CONTENT, style=STYLE):
    seen = []
    gatys.optimize(content, gatys.encode_style(style).values, seen.append)
    return seen


# -- the loss ---------------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_loss_is_that_of_the_equations(make):
    gatys = make(content_weight=3.0, style_weight=70.0, variation_weight=2.0)
    picture, content = draw(1, 32, 40, seed=5), CONTENT
    target = gatys.encoder(content, ("conv4_2",))["conv4_2"]
    actual, reference_value = gatys.encoder(picture, (*STYLE_TAPS, "conv4_2")), gatys.encoder(STYLE)
    expected = 3 * ((actual["conv4_2"] - target) ** 2).sum() / target.numel()
    for name in STYLE_TAPS:
        of_made, of_style = (by_loops(taps[name][0]) for taps in (actual, reference_value))
        expected += 70 / 5 * ((of_made - of_style) ** 2).sum()
    across, down = picture[..., 1:] - picture[..., :-1], picture[:, :, 1:] - picture[:, :, :-1]
    expected += 2 * (across.abs().sum() / across.numel() + down.abs().sum() / down.numel())
    torch.testing.assert_close(gatys.loss(picture, target, gatys.encode_style(STYLE).values), expected, rtol=1e-4, atol=1e-6)


def by_loops(features):
    channels, height, width = features.shape
    rows = [features[i].flatten() for i in range(channels)]
    return torch.stack([torch.stack([(a * b).sum() for b in rows]) for a in rows]) / (channels * height * width)


@pytest.mark.parametrize("layer", ["conv4_2", "relu4_1"])
def test_the_content_itself_has_no_content_loss(make, layer):
    gatys = make(content_layer=layer, style_weight=0.0, variation_weight=0.0, iterations=1)
    assert losses_of(gatys) == [0.0]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls_in_the_mean(make, optimizer):
    losses = torch.tensor(losses_of(make(optimizer=optimizer, iterations=30)))
    means = losses.view(5, 6).mean(dim=1)
    assert (means.diff() < 0).all()
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_best_picture_is_kept(make, optimizer):
    gatys = make(optimizer=optimizer, learning_rate=0.5)  # Adam jumps about
    expected, seen = gatys.encode_style(STYLE).values, []
    best = gatys.optimize(CONTENT, expected, seen.append)
    target = gatys.encoder(CONTENT, ("conv4_2",))["conv4_2"]
    assert float(gatys.loss(best, target, expected)) == pytest.approx(min(seen), rel=1e-5)


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_is_looked_at_as_often_as_told(make, optimizer):
    assert len(losses_of(make(optimizer=optimizer, iterations=7))) == 7


# -- where it starts --------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_picture_and_another_another(make):
    first, again, other = (make(start="noise", seed=seed, iterations=4).stylize(CONTENT, STYLE) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=0.01)


def test_it_starts_with_the_content_unless_told(make):
    gatys = make(iterations=1)
    assert torch.equal(gatys.stylize(CONTENT, STYLE), CONTENT)


# -- use --------------------------------------------------------------------------------------------------------------------


def test_gradients_need_not_be_on_and_what_comes_back_has_none(make):
    gatys = make(iterations=4)
    expected = gatys.stylize(CONTENT, STYLE)
    with torch.no_grad():
        assert torch.equal(gatys.stylize(CONTENT, STYLE), expected)
    with torch.inference_mode():  # whose tensors cannot have gradients
        content, style = CONTENT.clone(), STYLE.clone()
        assert torch.equal(gatys.stylize(content, style), expected)
        assert torch.equal(gatys.stylize(content, gatys.encode_style(style)), expected)
    assert not expected.requires_grad
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in gatys.parameters())


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_autocast_changes_nothing(make, optimizer):
    gatys = make(optimizer=optimizer, iterations=4)
    expected = gatys.stylize(CONTENT, STYLE)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(gatys.stylize(CONTENT, STYLE), expected)
        encoded = gatys.encode_style(STYLE)
        assert torch.equal(gatys.stylize(CONTENT, encoded), expected)
    assert {gram.dtype for gram in encoded.values.values()} == {torch.float32}
    assert not torch.allclose(expected, CONTENT, atol=1e-3)


def test_an_encoded_style_is_its_gram_matrices(make):
    encoded = make().encode_style(STYLE)
    assert {name: tuple(gram.shape) for name, gram in encoded.values.items()} == {
        name: (1, width, width) for name, width in zip(STYLE_TAPS, (16, 32, 64, 128, 128), strict=True)
    }


def test_several_styles_have_the_gradient_of_their_weighted_losses(make):
    gatys, others = make(content_weight=0.0, variation_weight=0.0), (STYLE, draw(1, 40, 40, seed=2))
    a, b = (gatys.encode_style(style).values for style in others)
    both = {name: 0.75 * a[name] + 0.25 * b[name] for name in a}
    target = gatys.encoder(CONTENT, ("conv4_2",))["conv4_2"]

    def gradient(reference_value):
        picture = CONTENT.clone().requires_grad_()
        return torch.autograd.grad(gatys.loss(picture, target, reference_value), picture)[0]

    torch.testing.assert_close(gradient(both), 0.75 * gradient(a) + 0.25 * gradient(b), rtol=1e-3, atol=1e-5)
    stylized = gatys.stylize(CONTENT, [Style(others[0], weight=3), Style(others[1], weight=1)])
    expected = gatys.optimize(CONTENT, both).clamp(0, 1)
    torch.testing.assert_close(stylized, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("content", [torch.full((1, 3, 40, 40), 0.5), torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 1, 1)])
@pytest.mark.parametrize("style", [torch.full((1, 3, 40, 40), 0.5), torch.ones(1, 3, 1, 1)])
def test_degenerate_pictures_give_finite_ones_with_adam_too(make, content, style):
    stylized = make(optimizer="adam").stylize(content, style)
    assert stylized.shape == content.shape
    assert stylized.isfinite().all()


@pytest.mark.parametrize("options", [{"iterations": 0}, {"optimizer": "sgd"}, {"style_weight": -1}, {"strength": 2}])
def test_wrong_options_are_refused_before_anything_starts(options):
    with pytest.raises(ConfigError, match=rf"model\.options of gatys is not a valid configuration:\n  {next(iter(options))}: "):
        small_config("gatys", model={"options": options}, training={"reconstruction_iterations": 0})


def test_its_training_is_an_export(prepared, tmp_path):
    config = small_config("gatys", model={"options": {"iterations": 3}}, training={"reconstruction_iterations": 0})
    result = fit(config, prepared, tmp_path)
    assert (result.iterations, result.checkpoint) == (0, None)
    stylizer, card = load_model(result.model_folder)
    assert (card.method, card.options["iterations"]) == ("gatys", 3)
    again = build("gatys", stylizer.encoder, {"iterations": 3}).eval()
    assert torch.equal(stylizer.stylize(CONTENT, STYLE), again.stylize(CONTENT, STYLE))


# -- memory -----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not measuring.HAS_PEAK, reason="the peak is read from Linux's /proc")
@pytest.mark.parametrize("options", [{"iterations": 14}, {"iterations": 2, "optimizer": "adam"}])
def test_the_estimate_bounds_the_measured_peak_and_is_no_wild_guess(options):
    peak, estimate = measuring.peak_and_estimate("gatys", (300, 420), options=options, batch=2)
    assert peak <= estimate <= 4 * peak
