import pytest
import torch
import torch.nn.functional as F
from helpers.encoders import COMPACT, FULL, WITH_CONTENT, draw_pictures, make_compact

from ieast.errors import WeightsError
from ieast.models.encoder import Encoder, weights_digest
from ieast.models.vgg19 import CONVOLUTIONS, STYLE_TAPS, WIDTHS

# -- the network ------------------------------------------------------------------------------------------------------------


def test_taps_are_the_five_of_the_paper_in_order():
    assert STYLE_TAPS == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
    assert tuple(make_compact()(draw_pictures())) == STYLE_TAPS


@pytest.mark.parametrize(("name", "widths"), [("vgg19", FULL), ("vgg19-normalised", FULL), ("vgg19-compact", COMPACT)])
def test_widths(name, widths):
    assert WIDTHS[name] == widths
    assert tuple(tap.shape[1] for tap in Encoder(name)(draw_pictures(17, 17, batch=1)).values()) == widths


@pytest.mark.parametrize("size", [(32, 48), (17, 17), (33, 50), (63, 31), (19, 100)])
def test_each_tap_halves_the_one_before_rounding_up(size):
    height, width = size
    for tap, channels in zip(make_compact()(draw_pictures(height, width)).values(), COMPACT, strict=True):
        assert tap.shape == (2, channels, height, width)
        height, width = -(-height // 2), -(-width // 2)


def test_conv4_2_comes_on_request_before_its_relu_and_changes_nothing_else():
    encoder, pictures = make_compact(), draw_pictures()
    plain, more = encoder(pictures), encoder(pictures, WITH_CONTENT)
    assert set(more) == {*STYLE_TAPS, "conv4_2"}
    assert more["conv4_2"].shape == more["relu4_1"].shape
    assert (more["conv4_2"] < 0).any()
    for tap in STYLE_TAPS:
        assert torch.equal(plain[tap], more[tap])
        assert (plain[tap] >= 0).all()


def test_borders_are_mirrored():
    encoder, pictures = make_compact(), draw_pictures(20, 24)
    x = F.conv2d(pictures, encoder.conv0.weight, encoder.conv0.bias)
    first, second = encoder.get_submodule("conv1_1"), encoder.get_submodule("conv1_2")
    relu1_1 = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), first.weight, first.bias))
    relu1_2 = F.relu(F.conv2d(F.pad(relu1_1, (1, 1, 1, 1), mode="reflect"), second.weight, second.bias))
    third = encoder.get_submodule("conv2_1")
    pooled = F.max_pool2d(relu1_2, 2, ceil_mode=True)
    relu2_1 = F.relu(F.conv2d(F.pad(pooled, (1, 1, 1, 1), mode="reflect"), third.weight, third.bias))
    taps = encoder(pictures)
    torch.testing.assert_close(taps["relu1_1"], relu1_1)
    torch.testing.assert_close(taps["relu2_1"], relu2_1, rtol=1e-4, atol=1e-5)


def test_a_corner_pixel_by_hand():
    # One 3x3 kernel that picks the upper left neighbour: at the upper left corner the mirror image of pixel (1, 1).
    encoder = make_compact()
    with torch.no_grad():
        encoder.conv0.weight.copy_(torch.eye(3)[:, :, None, None])
        encoder.conv0.bias.zero_()
        first = encoder.get_submodule("conv1_1")
        first.weight.zero_()
        first.bias.zero_()
        first.weight[0, 0, 0, 0] = 1
    pictures = draw_pictures(17, 17)
    actual = encoder(pictures)["relu1_1"][:, 0]
    assert torch.equal(actual[:, 0, 0], pictures[:, 0, 1, 1])
    assert torch.equal(actual[:, 1:, 1:], pictures[:, 0, :-1, :-1])


def test_nothing_learns_even_in_training_mode():
    assert not any(p.requires_grad for p in make_compact().train().parameters())


def test_gradients_pass_through_to_the_pictures():
    pictures = draw_pictures().requires_grad_()
    make_compact()(pictures)["relu5_1"].sum().backward()
    assert pictures.grad.abs().sum() > 0


@pytest.mark.parametrize("deepest", [*STYLE_TAPS, "conv4_2", "relu3_4"])
def test_what_lies_beyond_the_deepest_layer_is_not_computed(deepest, monkeypatch):
    encoder, images = Encoder("vgg19-compact"), torch.rand(1, 3, 32, 32)
    every = encoder(images, [*WITH_CONTENT, "relu3_4"])
    computed = []
    for layer in CONVOLUTIONS:
        encoder.convolution(layer).register_forward_hook(lambda *_, layer=layer: computed.append(layer))
    (actual,) = encoder(images, (deepest,)).values()
    assert computed[-1] == deepest[4:]
    assert torch.equal(actual, every[deepest])


def test_layers_come_by_name_in_the_order_of_the_network():
    actual = Encoder("vgg19-compact")(torch.rand(1, 3, 32, 32), ("conv4_2", "relu4_2", "relu2_2", "relu2_2"))
    assert list(actual) == ["relu2_2", "conv4_2", "relu4_2"]
    assert torch.equal(actual["relu4_2"], actual["conv4_2"].clamp(min=0))


@pytest.mark.parametrize("name", ["relu5_2", "conv0", "relu4", "pool"])
def test_a_layer_that_is_not_there_is_an_error(name):
    with pytest.raises(ValueError, match=rf"^the encoder has no layer {name}; the last is relu5_1$"):
        Encoder("vgg19-compact")(torch.rand(1, 3, 32, 32), ("relu1_1", name))


# -- unit mean taps ---------------------------------------------------------------------------------------------------------


def test_normalized_taps_have_mean_one_and_are_proportional_to_what_they_were():
    encoder = make_compact(seed=6)
    batches = [draw_pictures(32, 40, seed=1), draw_pictures(48, 33, batch=3, seed=2), draw_pictures(24, 24, batch=1, seed=3)]
    before = [encoder(pictures, WITH_CONTENT) for pictures in batches]
    means = encoder.normalize_taps(iter(batches))
    after = [encoder(pictures, WITH_CONTENT) for pictures in batches]
    for tap in STYLE_TAPS:
        of_pictures = torch.cat([taps[tap].mean(dim=(1, 2, 3)) for taps in after])
        assert of_pictures.mean().item() == pytest.approx(1, abs=1e-4)
        assert means[tap.removeprefix("relu")] == pytest.approx(
            torch.cat([taps[tap].mean(dim=(1, 2, 3)) for taps in before]).mean().item(), rel=1e-4
        )
    for tap in (*STYLE_TAPS, "conv4_2"):
        scale = means[tap.removeprefix("relu").removeprefix("conv")]
        for old, new in zip(before, after, strict=True):
            torch.testing.assert_close(new[tap] * scale, old[tap], rtol=1e-4, atol=1e-4 * scale)
    assert tuple(means) == CONVOLUTIONS


def test_normalizing_twice_changes_nothing():
    encoder, pictures = make_compact(seed=6), draw_pictures()
    encoder.normalize_taps([pictures])
    means = encoder.normalize_taps([pictures])
    assert list(means.values()) == pytest.approx([1] * len(CONVOLUTIONS), abs=1e-4)


def test_normalizing_leaves_no_hook_and_no_gradient_behind():
    encoder = make_compact()
    encoder.normalize_taps([draw_pictures()])
    assert not any(module._forward_hooks for module in encoder.modules())
    assert not any(p.requires_grad for p in encoder.parameters())


@pytest.mark.parametrize(("value", "printed"), [(0.0, r"0\.0"), (float("nan"), "nan"), (float("inf"), "inf|nan")])
def test_a_dead_or_broken_layer_is_named(value, printed):
    encoder = make_compact()
    with torch.no_grad():
        for parameter in encoder.get_submodule("conv3_2").parameters():
            parameter.fill_(value)
    with pytest.raises(WeightsError, match=rf"vgg19-compact: the mean activation of conv3_2 is ({printed}); .* unusable"):
        encoder.normalize_taps([draw_pictures()])


# -- the digest -------------------------------------------------------------------------------------------------------------


def test_digest_sees_values_names_and_shapes_but_not_order():
    state = {"a": torch.arange(6.0), "b": torch.ones(2)}
    digest = weights_digest(state)
    assert weights_digest(dict(reversed(state.items()))) == digest
    assert weights_digest({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2)}) != digest
    assert weights_digest({"x": state["a"], "b": state["b"]}) != digest
    changed = state["a"].clone()
    changed[5] = torch.nextafter(changed[5], torch.tensor(9.0))
    assert weights_digest({"a": changed, "b": state["b"]}) != digest
