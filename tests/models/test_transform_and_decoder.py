import numpy as np
import pytest
import torch
from torch import nn

from ieast.checkpoint import _decoder_names
from ieast.layers.attention import StyleAttention, StyleAttentionTransform
from ieast.models.decoder import Decoder
from reference import plain as reference

COMPACT = (16, 32, 64, 128, 128)
FULL = (64, 128, 256, 512, 512)
SIZES = [((4, 6), (4, 6)), ((5, 3), (7, 2)), ((2, 9), (6, 6)), ((1, 4), (3, 1))]


def draw(*shape, seed=0, scale=1.0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def draw_taps(fine, seed, channels=8, batch=2):
    coarse = [-(-side // 2) for side in fine]
    return {
        "relu4_1": draw(batch, channels, *fine, seed=seed, scale=3),
        "relu5_1": draw(batch, channels, *coarse, seed=seed + 1, scale=2),
    }


# -- attention --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content_size", "style_size"), SIZES)
@torch.no_grad()
def test_attention_equals_the_written_out_softmax(content_size, style_size):
    block = reference.draw(StyleAttention(8), seed=1)
    content, style = draw(2, 8, *content_size, seed=2, scale=4), draw(2, 8, *style_size, seed=3, scale=4)
    actual = block(content, style)
    assert actual.shape == content.shape
    expected = reference.attention(content.double(), style.double(), block.double())
    torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_attention_scores_are_not_scaled_by_hand():
    # Two channels and positions. Content (0, 2) and style (0, 2) in both channels normalize to ∓1/√2 each, so that scores of
    # like positions are 1 and of unlike ones -1; the mixture at a position is 2·e/(e + 1/e) or 2·(1/e)/(e + 1/e).
    block = StyleAttention(2)
    for convolution in (block.f, block.g, block.h, block.out_conv):
        nn.init.dirac_(convolution.weight)
        nn.init.zeros_(convolution.bias)
    content = torch.tensor([0.0, 2.0]).expand(1, 2, 1, 2).contiguous()
    share = torch.e / (torch.e + 1 / torch.e)
    expected = torch.tensor([2 * (1 - share), 2 + 2 * share]).expand(1, 2, 1, 2)
    torch.testing.assert_close(block(content, content), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_attention_does_not_depend_on_where_the_styles_features_stand():
    block = reference.draw(StyleAttention(8), seed=1)
    content, style = draw(1, 8, 3, 4, seed=2), draw(1, 8, 4, 5, seed=3)
    moved = style.flatten(2)[..., torch.randperm(20)].reshape(style.shape)
    torch.testing.assert_close(block(content, moved), block(content, style), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_samples_of_a_batch_do_not_see_each_other():
    transform = reference.draw(StyleAttentionTransform(8), seed=1)
    content, style = draw_taps((4, 5), 2), draw_taps((6, 4), 4)
    together = transform(content, style)
    for k in range(2):
        one = transform(*({name: tap[k : k + 1] for name, tap in taps.items()} for taps in (content, style)))
        torch.testing.assert_close(together[k : k + 1], one, rtol=1e-4, atol=1e-5)


# -- transform --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("content_size", "style_size"), [((4, 6), (4, 6)), ((5, 3), (7, 4)), ((7, 7), (3, 9))])
@torch.no_grad()
def test_transform_equals_the_reference_at_odd_sizes_too(content_size, style_size):
    transform = reference.draw(StyleAttentionTransform(8), seed=1)
    content, style = draw_taps(content_size, 2), draw_taps(style_size, 4)
    actual = transform(content, style)
    assert actual.shape == content["relu4_1"].shape
    exact = ({name: tap.double() for name, tap in taps.items()} for taps in (content, style))
    expected = reference.transform(*exact, transform.double())
    torch.testing.assert_close(actual.double(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kept", [False, True])
@torch.no_grad()
def test_matched_statistics_are_those_of_the_style_in_its_own_style(kept):
    transform = reference.draw(StyleAttentionTransform(8, matches_statistics=True), seed=1).double()
    content, style = (
        {name: tap.double() for name, tap in taps.items()} for taps in (draw_taps((5, 7), 2), draw_taps((6, 4), 4))
    )

    def mixtures(taps, height, width):
        fine = reference.attention(taps["relu4_1"], style["relu4_1"], transform.sanet4_1)
        return fine + reference.upsampled_to(
            reference.attention(taps["relu5_1"], style["relu5_1"], transform.sanet5_1), height, width
        )

    own, features = mixtures(style, 6, 4).numpy(), mixtures(content, 5, 7).numpy()
    expected = np.empty_like(features)
    for sample, channel in np.ndindex(2, 8):
        values, goal = features[sample, channel], own[sample, channel]
        normalized = (values - values.mean()) / values.std(ddof=1)
        expected[sample, channel] = normalized * goal.std(ddof=1) + goal.mean()
    if kept:
        mean, std = transform.statistics_of(style)
        style = {**style, "mean": mean, "std": std}
    # 1e-5 is added to variances.
    np.testing.assert_allclose(transform.attend(content, style).numpy(), expected, rtol=1e-3, atol=1e-3)
    merged = reference.reflected_convolution(transform.attend(content, style), transform.merge_conv)
    torch.testing.assert_close(transform(content, style), merged, rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_matched_statistics_leave_a_style_in_its_own_style_as_it_is():
    matching, published = (reference.draw(StyleAttentionTransform(8, matches), seed=1) for matches in (True, False))
    style = draw_taps((6, 4), 4)
    torch.testing.assert_close(matching(style, style), published(style, style), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_transform_reads_the_published_state_dict():
    published = reference.draw(reference.PublishedTransform(8), seed=7)
    transform = StyleAttentionTransform(8)
    transform.load_state_dict(published.state_dict())
    content, style = draw_taps((5, 6), 2), draw_taps((4, 7), 4)
    torch.testing.assert_close(transform(content, style), published(content, style), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_identity_start_keeps_the_contents_features_where_coarse_and_fine_agree():
    # Each channel's coarse map is its fine map made smaller, as in smooth regions: half the sum of both is the content.
    torch.manual_seed(0)
    transform = StyleAttentionTransform(32)
    transform.start_as_identity()
    coarse = draw(1, 32, 5, 6, seed=1, scale=3)
    content = {"relu4_1": reference.upsampled_to(coarse, 10, 12), "relu5_1": coarse}
    black = {"relu4_1": torch.zeros(1, 32, 4, 4), "relu5_1": torch.zeros(1, 32, 2, 2)}
    torch.testing.assert_close(transform(content, black), content["relu4_1"], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_identity_start_is_close_to_the_content_and_leans_to_the_style():
    torch.manual_seed(0)
    transform = StyleAttentionTransform(32)
    random = transform(draw_taps((10, 12), 1, 32), draw_taps((8, 8), 5, 32))
    transform.start_as_identity()
    content, style = draw_taps((10, 12), 1, 32), draw_taps((8, 8), 5, 32)
    expected = content["relu4_1"].flatten()

    def likeness(features):
        return torch.corrcoef(torch.stack([features.flatten(), expected]))[0, 1].item()

    assert abs(likeness(random)) < 0.3
    assert likeness(transform(content, style)) > 0.6
    brighter = {name: tap + 1 for name, tap in style.items()}
    lift = (transform(content, brighter) - transform(content, style)).mean().item()
    assert lift == pytest.approx(0.5 * (1 + 0.01), rel=1e-3)  # half of h(s) from relu4_1, half of a hundredth from relu5_1


def test_identity_start_by_its_weights():
    transform = StyleAttentionTransform(4)
    transform.start_as_identity()
    eye = torch.eye(4)[:, :, None, None]
    for block, gain in ((transform.sanet4_1, 1), (transform.sanet5_1, 0.01)):
        assert torch.equal(block.f.weight, 0.35 * eye)
        assert torch.equal(block.g.weight, 0.35 * eye)
        assert torch.equal(block.h.weight, eye)
        assert torch.equal(block.out_conv.weight, gain * eye)
    assert torch.equal(transform.merge_conv.weight[:, :, 1, 1], 0.5 * torch.eye(4))
    assert transform.merge_conv.weight.sum() == 2
    assert all(p.abs().max() == 0 for name, p in transform.named_parameters() if name.endswith("bias"))
    assert all(p.requires_grad for p in transform.parameters())


# -- decoder ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("widths", "top"), [(COMPACT, 128), (FULL, 512)])
@pytest.mark.parametrize("size", [(2, 2), (3, 5)])
@torch.no_grad()
def test_decoder_makes_rgb_eight_times_the_size(widths, top, size):
    assert Decoder(widths)(torch.rand(1, top, *size)).shape == (1, 3, 8 * size[0], 8 * size[1])


@pytest.mark.parametrize("widths", [COMPACT, FULL])
def test_decoder_mirrors_the_encoder(widths):
    one, two, three, four, _ = widths
    actual = {name: (m.in_channels, m.out_channels) for name, m in Decoder(widths).named_modules() if isinstance(m, nn.Conv2d)}
    assert actual == {
        "conv4_1": (four, three),
        "conv3_4": (three, three),
        "conv3_3": (three, three),
        "conv3_2": (three, three),
        "conv3_1": (three, two),
        "conv2_2": (two, two),
        "conv2_1": (two, one),
        "conv1_2": (one, one),
        "conv1_1": (one, 3),
    }


def test_published_decoders_convolutions_stand_where_the_files_have_them():
    state = reference.published_decoder().state_dict()
    assert [int(name.split(".")[0]) for name in state if name.endswith("weight")] == [1, 5, 8, 11, 14, 18, 21, 25, 28]


@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
@torch.no_grad()
def test_published_decoder_gives_the_same_pictures_after_import(tmp_path, size):
    published = reference.draw(reference.published_decoder(COMPACT[:4]), seed=3)
    decoder = Decoder(COMPACT)
    decoder.load_state_dict(_decoder_names(published.state_dict(), tmp_path / "decoder.pth"))
    features = draw(2, 128, *size, seed=1, scale=2)
    expected = published(features)
    assert expected.min() < 0  # nothing cuts the output off
    torch.testing.assert_close(decoder(features), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("tap", "level"), [("relu1_1", 0), ("relu2_1", 1), ("relu3_1", 2), ("relu5_1", 4)])
@torch.no_grad()
def test_decoder_from_another_tap_mirrors_the_encoder_from_there(tap, level):
    decoder, whole = Decoder(COMPACT, tap), Decoder(COMPACT, "relu5_1")
    assert decoder(torch.rand(1, COMPACT[level], 3, 4)).shape == (1, 3, 3 * 2**level, 4 * 2**level)
    names = list(decoder.state_dict())
    assert names == list(whole.state_dict())[-len(names) :]
    assert names[0] == f"conv{tap.removeprefix('relu')}.weight"
