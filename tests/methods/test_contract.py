"""What every method answers alike, whatever it computes: a new file in `ieast/methods` is tested here without a line more."""

import pytest
import torch
from helpers.datasets import draw_picture
from helpers.trainings import draw

import ieast.stylizer.memory
from ieast.errors import MemoryLimitError
from ieast.io.images import to_tensor
from ieast.layers.colour import luminance
from ieast.layers.precision import has_bf16
from ieast.methods import build, find, names
from ieast.models.decoder import Decoder
from ieast.models.encoder import Encoder
from ieast.stylizer.style import Style

SIZES = [(1, 1), (7, 300), (16, 16), (17, 33), (15, 64), (64, 64), (18, 97)]
CONSTANT = [torch.full((1, 3, 40, 40), 0.5), torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 1, 1)]
OPTIONS = {"gatys": {"iterations": 4}, "johnson": {"styles": ["0", "1", "2"], "width": 4}, "lst": {"channels": 8}}
CONTENT = draw(1, 40, 56)
ROUNDING = {"wct": 0.7}
"""What rounding may change of a picture, as a share of what stylizing does: the untrained decoders of WCT, five in a row, make
half as much of half a grey level in the content."""

having = {
    feature: [name for name in names() if getattr(find(name), feature)]
    for feature in ("any_style", "has_alpha", "has_masks", "blends")
}
lacking = {feature: sorted({*names()} - {*has}) for feature, has in having.items()}


class Subject:
    """A method with random weights, whose pictures have contrast, and styles that it can stylize in."""

    def __init__(self, name, encoder, folder):
        paths = [folder / f"{number}.png" for number in range(3)]
        pictures = [draw_picture(number, 70, 66) for number in range(3)]
        for path, picture in zip(paths, pictures, strict=True):
            picture.save(path)
        self.styles = torch.cat([to_tensor(picture) for picture in pictures])
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.model = build(name, encoder, OPTIONS.get(name)).eval()
        self.model.choose_styles(paths, paths)
        for module in self.model.modules():
            if isinstance(module, Decoder):
                self._bring_into_range(module)
        self.stylize = self.model.stylize

    @torch.no_grad()
    def _bring_into_range(self, decoder):
        # Mostly inside [0, 1], so that cutting off hides nothing.
        seen = []
        handle = decoder.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
        self.model.stylize(CONTENT, self.styles[:1])
        handle.remove()
        factor, last = 0.2 / seen[0].std(), decoder.get_submodule("conv1_1")
        last.bias.copy_((last.bias - seen[0].mean(dim=(0, 2, 3))) * factor + 0.5)
        last.weight.mul_(factor)


@pytest.fixture(scope="module")
def subject(request, encoder, tmp_path_factory):
    return Subject(request.param, encoder, tmp_path_factory.mktemp(request.param))


def for_each(methods):
    return pytest.mark.parametrize("subject", methods, indirect=True, scope="module")


def is_picture_like(actual, content):
    return actual.shape == content.shape and actual.isfinite().all() and actual.min() >= 0 and actual.max() <= 1


# -- what goes in and comes out ---------------------------------------------------------------------------------------------


@for_each(names())
@pytest.mark.parametrize("size", SIZES)
def test_a_content_of_any_size_gives_a_picture_of_its_size_again_and_again(subject, size):
    content = draw(1, *size)
    stylized = subject.stylize(content, subject.styles[:1])
    assert is_picture_like(stylized, content)
    assert torch.equal(stylized, subject.stylize(content, subject.styles[:1]))


@for_each(having["any_style"])
@pytest.mark.parametrize("size", SIZES)
def test_a_style_of_any_size_serves(subject, size):
    assert is_picture_like(subject.stylize(CONTENT, draw(1, *size, seed=1)), CONTENT)


@for_each(names())
@pytest.mark.parametrize("content", CONSTANT)
def test_a_content_of_one_colour_gives_a_finite_picture(subject, content):
    assert is_picture_like(subject.stylize(content, subject.styles[:1]), content)


@for_each(having["any_style"])
@pytest.mark.parametrize("style", CONSTANT)
def test_so_does_a_style_of_one_colour(subject, style):
    for content in (CONTENT, style):
        assert is_picture_like(subject.stylize(content, style), content)


@for_each(names())
def test_styles_differ_what_goes_in_stays_and_no_gradient_is_kept(subject):
    content, style = CONTENT.clone(), subject.styles[:1].clone()
    stylized = subject.stylize(content, style)
    assert not torch.allclose(stylized, subject.stylize(content, subject.styles[1:2]), atol=1e-3)
    assert not stylized.requires_grad
    assert torch.equal(content, CONTENT)
    assert torch.equal(style, subject.styles[:1])


@for_each(names())
@pytest.mark.skipif(not has_bf16("cpu"), reason="emulated, it is slow")
def test_in_bf16_a_picture_is_near_that_in_fp32(subject):
    exact = subject.stylize(CONTENT, subject.styles[:1])
    with torch.autocast("cpu", torch.bfloat16):
        rounded = subject.stylize(CONTENT, subject.styles[:1]).float()
    allowed = ROUNDING.get(subject.model.name, 0.15) * (exact - CONTENT).abs().mean()
    assert (rounded - exact).abs().mean() < allowed


# -- many at once -----------------------------------------------------------------------------------------------------------


@for_each(names())
@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_equals_one_by_one(subject, count):
    contents, styles = draw(3, 40, 56), subject.styles[:count]
    together = subject.stylize(contents, styles)
    for k in range(3):
        alone = subject.stylize(contents[k : k + 1], styles[k % count][None])
        torch.testing.assert_close(together[k : k + 1], alone, rtol=0, atol=1e-3)  # a quarter of a grey level of 8 bits


@for_each(names())
def test_an_encoded_style_serves_as_its_picture_does(subject):
    contents = draw(3, 40, 56)
    for styles in (subject.styles, subject.styles[:1]):
        encoded = subject.model.encode_style(styles)
        assert len(encoded) == len(styles)
        torch.testing.assert_close(subject.stylize(contents, encoded), subject.stylize(contents, styles), rtol=0, atol=1e-4)


# -- controls ---------------------------------------------------------------------------------------------------------------


@for_each(having["has_alpha"])
def test_alpha_0_5_differs_from_both_ends(subject):
    half, none, full = (subject.stylize(CONTENT, subject.styles[:1], alpha) for alpha in (0.5, 0.0, 1.0))
    assert torch.equal(full, subject.stylize(CONTENT, subject.styles[:1]))
    assert not torch.allclose(half, none, atol=1e-3)
    assert not torch.allclose(half, full, atol=1e-3)


@for_each(having["blends"])
def test_a_style_twice_is_the_style_once_and_one_of_weight_0_is_not_there(subject):
    first, second = subject.styles[:1], subject.styles[1:2]
    alone = subject.stylize(CONTENT, first)
    twice = subject.stylize(CONTENT, [Style(first, 0.3), Style(first, 2)])
    torch.testing.assert_close(twice, alone, rtol=0, atol=1e-3)
    assert torch.equal(subject.stylize(CONTENT, [Style(first), Style(second, 0)]), alone)


@for_each(having["blends"])
def test_the_heavier_a_style_the_nearer_to_it(subject):
    first, second = subject.styles[:1], subject.styles[1:2]
    alone = subject.stylize(CONTENT, first)
    near, far = (subject.stylize(CONTENT, [Style(first, weight), Style(second)]) for weight in (100.0, 1.0))
    assert (near - alone).abs().mean() < (far - alone).abs().mean()


@for_each(having["has_masks"])
def test_a_full_mask_changes_nothing_and_under_an_empty_one_no_style_shows(subject):
    first, second = subject.styles[:1], subject.styles[1:2]
    full, empty = torch.ones(1, 1, 40, 56), torch.zeros(1, 1, 40, 56)
    whole = subject.stylize(CONTENT, first)
    torch.testing.assert_close(subject.stylize(CONTENT, Style(first, mask=full)), whole, rtol=0, atol=1e-4)
    both = subject.stylize(CONTENT, [Style(first, 3.0, full), Style(second, 2.0, empty)])
    torch.testing.assert_close(both, whole, rtol=0, atol=1e-4)
    kept, also_kept = (subject.stylize(CONTENT, Style(style, mask=empty)) for style in (first, second))
    torch.testing.assert_close(kept, also_kept, rtol=0, atol=1e-4)
    assert not torch.allclose(kept, whole, atol=1e-3)


@for_each(names())
def test_kept_luminance_is_that_of_the_picture(subject):
    plain, kept = (subject.stylize(CONTENT, subject.styles[:1], preserve_colour=way) for way in ("none", "luminance"))
    torch.testing.assert_close(luminance(kept), luminance(plain), rtol=0, atol=1e-4)
    assert not torch.allclose(kept, plain, atol=0.01)


@for_each(having["any_style"])
def test_coral_changes_the_style(subject):
    plain, coral = (subject.stylize(CONTENT, subject.styles[:1], preserve_colour=way) for way in ("none", "coral"))
    assert not torch.allclose(plain, coral, atol=1e-4)


@for_each(lacking["has_alpha"])
def test_an_alpha_that_the_method_lacks_is_refused(subject):
    with pytest.raises(
        ValueError, match=f"^{subject.model.name} has no alpha: its strength is set by training or optimization"
    ):
        subject.stylize(CONTENT, subject.styles[:1], 0.5)


@for_each(lacking["blends"])
def test_so_are_several_styles(subject):
    with pytest.raises(ValueError, match=f"^{subject.model.name} does not blend styles"):
        subject.stylize(CONTENT, [Style(subject.styles[:1]), Style(subject.styles[1:2])])


@for_each(lacking["has_masks"])
def test_so_are_masks(subject):
    with pytest.raises(ValueError, match=f"^{subject.model.name} takes no masks"):
        subject.stylize(CONTENT, Style(subject.styles[:1], mask=torch.ones(1, 1, 40, 56)))


# -- memory -----------------------------------------------------------------------------------------------------------------


@for_each(names())
def test_what_needs_more_memory_than_there_is_is_refused_before_work_begins(subject, monkeypatch):
    encoded = subject.model.encode_style(subject.styles[:1])
    monkeypatch.setattr(ieast.stylizer.memory, "available_bytes", lambda device: 1 << 20)
    monkeypatch.setattr(Encoder, "forward", lambda *_: pytest.fail("work began"))
    for style in (encoded, subject.styles[:1]):
        with pytest.raises(MemoryLimitError, match="stylizing 1 x 2000x1000 pixels"):
            subject.stylize(torch.zeros(1, 3, 1000, 2000), style)
    with pytest.raises(MemoryLimitError, match="encoding a style of 2000x1000 pixels"):
        subject.model.encode_style(torch.zeros(1, 3, 1000, 2000))
