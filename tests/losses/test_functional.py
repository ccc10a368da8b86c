import math
from functools import partial

import pytest
import torch
from helpers.features import draw_taps, exact, row

from ieast.losses import functional
from reference import plain as reference

DISTANCES = ("l2", "mse")
FORMS = ("log", "least-squares")


def draw_scores(seed, batch=3):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 1, side, side + 1, generator=generator) * 2 for side in (6, 3, 2)]


# -- Eq. 1, 3, 4 ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", DISTANCES)
def test_style_loss_equals_the_reference(distance):
    a, b = draw_taps(2), draw_taps(3, offset=0.5)
    actual = functional.style_loss(a, b, distance)
    assert actual.shape == ()
    assert actual.item() == pytest.approx(reference.style(exact(a), exact(b), distance).item(), rel=1e-5)


@pytest.mark.parametrize(("distance", "expected"), [("l2", 3 + math.sqrt(2)), ("mse", 9 + 2)])
def test_style_loss_by_hand(distance, expected):
    # μ: 2 against 5, apart by 3. σ: √2 of (1, 3) against √8 of (3, 7), apart by √2.
    assert functional.style_loss([row(1, 3)], [row(3, 7)], distance).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_style_loss_ignores_where_things_are(distance):
    taps = draw_taps(4)
    moved = [tap.flip(-1).roll(1, -2) for tap in taps]
    assert functional.style_loss(moved, taps, distance).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_style_loss_works_on_maps_of_different_sizes(distance):
    a, b = draw_taps(2)[:1], [torch.rand(3, 4, 2, 9, generator=torch.Generator().manual_seed(1))]
    expected = reference.style(exact(a), exact(b), distance).item()
    assert functional.style_loss(a, b, distance).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("layers", ["conv4_2", "normalised-relu4_1-relu5_1"])
def test_content_loss_equals_the_reference(distance, layers):
    names = ("conv4_2",) if layers == "conv4_2" else ("relu4_1", "relu5_1")
    a, b = dict(zip(names, draw_taps(5), strict=False)), dict(zip(names, draw_taps(6, offset=1), strict=False))
    actual = functional.content_loss(list(a.values()), list(b.values()), distance, normalize=layers != "conv4_2")
    assert actual.item() == pytest.approx(reference.content(exact(a), exact(b), distance, layers).item(), rel=1e-5)


@pytest.mark.parametrize(("distance", "expected"), [("l2", (5 + 13) / 2), ("mse", (9 + 16 + 25 + 144) / 4)])
def test_content_loss_by_hand(distance, expected):
    # The first sample differs by (3, 4), whose norm is 5; the second by (5, 12), whose norm is 13.
    a, b = torch.cat([row(3, 4), row(6, 12)]), torch.cat([row(0, 0), row(1, 0)])
    assert functional.content_loss([a], [b], distance, normalize=False).item() == pytest.approx(expected)


@pytest.mark.parametrize(("distance", "expected"), [("l2", 2), ("mse", 2)])
def test_normalized_content_loss_by_hand(distance, expected):
    # (1, 3) and (9, 1) become (-1, 1)/√2 and (1, -1)/√2: apart by √2 in both positions.
    actual = functional.content_loss([row(1, 3)], [row(9, 1)], distance, normalize=True)
    assert actual.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("distance", DISTANCES)
def test_identity_loss_equals_the_reference(distance):
    generator = torch.Generator().manual_seed(7)
    actual, target = torch.rand(2, 3, 3, 4, 4, generator=generator)
    made_taps, wanted_taps = draw_taps(8), draw_taps(9)
    pixels, taps = functional.identity_loss(actual, target, made_taps, wanted_taps, distance)
    assert pixels.item() == pytest.approx(reference.distance(exact(actual), exact(target), distance).item(), rel=1e-5)
    expected = sum(reference.distance(exact(a), exact(b), distance).item() for a, b in zip(made_taps, wanted_taps, strict=True))
    assert taps.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("distance", "in_pixels", "in_taps"), [("l2", 5, 1 + 13), ("mse", 12.5, 0.5 + 84.5)])
def test_identity_loss_by_hand(distance, in_pixels, in_taps):
    # Pixels differ by (3, 4); the first tap by (0, 1), the second by (5, 12).
    pixels, taps = functional.identity_loss(row(3, 4), row(0, 0), [row(1, 1), row(5, 12)], [row(1, 0), row(0, 0)], distance)
    assert (pixels.item(), taps.item()) == (in_pixels, in_taps)


@pytest.mark.parametrize("loss", [functional.style_loss, partial(functional.content_loss, normalize=False)])
def test_lists_of_different_lengths_are_refused(loss):
    taps = draw_taps(0)
    with pytest.raises(ValueError, match="shorter"):
        loss(taps, taps[:2], distance="mse")


# -- Eq. 2 ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_discriminator_loss_equals_the_reference(form):
    real, fake = draw_scores(0), draw_scores(1)
    expected = reference.discriminator_loss(exact(real), exact(fake), form).item()
    assert functional.discriminator_loss(real, fake, form).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_generator_adversarial_loss_equals_the_reference(form):
    fake = draw_scores(2)
    expected = reference.generator_adversarial_loss(exact(fake), form).item()
    assert functional.generator_adversarial_loss(fake, form).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("form", "of_discriminator", "of_generator"),
    # D's logits are 0 for real and log 3 for fake, so D(real) = 1/2 and D(fake) = 3/4, at each of two scales.
    [
        ("log", 2 * (math.log(2) + math.log(4)), 2 * math.log(4 / 3)),
        ("least-squares", 2 * (1 + math.log(3) ** 2), 2 * (math.log(3) - 1) ** 2),
    ],
)
def test_adversarial_losses_by_hand(form, of_discriminator, of_generator):
    real = [torch.zeros(2, 1, 4, 4), torch.zeros(2, 1, 2, 2)]
    fake = [score + math.log(3) for score in real]
    assert functional.discriminator_loss(real, fake, form).item() == pytest.approx(of_discriminator, rel=1e-6)
    assert functional.generator_adversarial_loss(fake, form).item() == pytest.approx(of_generator, rel=1e-6)


def test_log_form_stays_finite_where_the_discriminator_is_sure():
    sure = [torch.full((1, 1, 2, 2), 200.0)]
    assert functional.discriminator_loss([-sure[0]], sure, "log").item() == pytest.approx(400)
    scores = [torch.full((1, 1, 2, 2), -200.0, requires_grad=True)]
    functional.generator_adversarial_loss(scores, "log").backward()
    assert scores[0].grad.sum().item() == pytest.approx(-1)  # it does not saturate


# -- Eq. 5, 6 ---------------------------------------------------------------------------------------------------------------


def masks(b, factor):
    pictures = reference.arrangement(b)
    positive = torch.zeros(b, b, dtype=torch.bool)
    negative = torch.zeros(b, b, dtype=torch.bool)
    for a, (i, j) in enumerate(pictures):
        for p, (m, n) in enumerate(pictures):
            same_style, same_content = m == i, n == j
            positive[a, p] = same_style != same_content and (same_style if factor == "style" else same_content)
            negative[a, p] = not same_style and not same_content
    return positive, negative


@pytest.mark.parametrize("b", [6, 8, 12])
@pytest.mark.parametrize("factor", ["style", "content"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_contrastive_loss_equals_the_reference(b, factor, reduction):
    embeddings = torch.nn.functional.normalize(torch.randn(b, 16, generator=torch.Generator().manual_seed(b)), dim=1)
    actual = functional.contrastive_loss(embeddings, *masks(b, factor), 0.2, reduction)
    expected = reference.contrastive(exact(embeddings), reference.arrangement(b), factor, 0.2, reduction).item()
    assert actual.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("reduction", "anchors"), [("mean", 1), ("sum", 6)])
def test_contrastive_loss_of_equal_embeddings_by_hand(reduction, anchors):
    # One positive and b - 3 = 3 negatives, all alike: -log(1/4).
    embeddings = torch.nn.functional.normalize(torch.ones(6, 5), dim=1)
    actual = functional.contrastive_loss(embeddings, *masks(6, "content"), 0.2, reduction)
    assert actual.item() == pytest.approx(anchors * math.log(4), rel=1e-6)


def test_contrastive_loss_of_perfect_style_embeddings_by_hand():
    # Likeness 1 to the positive and 0 to each of 3 negatives, τ = 0.2: -log(e⁵ / (e⁵ + 3)) = log(1 + 3 e⁻⁵).
    embeddings = torch.eye(3)[[0, 1, 2, 0, 1, 2]]
    actual = functional.contrastive_loss(embeddings, *masks(6, "style"), 0.2, "mean")
    assert actual.item() == pytest.approx(math.log(1 + 3 * math.exp(-5)), rel=1e-4)


def test_contrastive_gradient_is_finite_and_equals_the_references():
    start = torch.randn(6, 4, generator=torch.Generator().manual_seed(3))
    actual = torch.nn.functional.normalize(start, dim=1).requires_grad_()
    expected = actual.detach().clone().requires_grad_()
    functional.contrastive_loss(actual, *masks(6, "style"), 0.2, "sum").backward()
    reference.contrastive(expected, reference.arrangement(6), "style", 0.2, "sum").backward()
    torch.testing.assert_close(actual.grad, expected.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_round_the_contrastive_loss(dtype):
    embeddings = torch.nn.functional.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(8)), dim=1)
    expected = functional.contrastive_loss(embeddings, *masks(8, "style"), 0.2, "mean")
    with torch.autocast("cpu", dtype):
        actual = functional.contrastive_loss(embeddings, *masks(8, "style"), 0.2, "mean")
    assert torch.equal(actual, expected)


@pytest.mark.parametrize("distance", DISTANCES)
def test_in_the_pictures_units_the_style_loss_is_the_reference_on_taps_over_their_mean(distance):
    a, b = draw_taps(2), draw_taps(3, offset=0.5)
    units = [tap.mean(dim=(1, 2, 3), keepdim=True) for tap in b]
    a_in_units, b_in_units = ([tap / unit for tap, unit in zip(taps, units, strict=True)] for taps in (a, b))
    expected = reference.style(exact(a_in_units), exact(b_in_units), distance)
    assert functional.style_loss(a, b, distance, "picture").item() == pytest.approx(expected.item(), rel=1e-3)


@pytest.mark.parametrize("distance", DISTANCES)
def test_in_the_pictures_units_loud_styles_count_as_much_as_quiet_ones(distance):
    a, b = [tap.abs() for tap in draw_taps(2)], [tap.abs() for tap in draw_taps(3)]
    image = torch.rand(a[0].shape[0], 3, 8, 8)
    loud = [[50 * tap for tap in taps] for taps in (a, b)]
    for unit, ratio in (("picture", 1.0), ("layer", {"l2": 50, "mse": 2500}[distance])):
        quiet = functional.style_loss(a, b, distance, unit), functional.identity_loss(image, image, a, b, distance, unit)[1]
        louder = functional.style_loss(*loud, distance, unit), functional.identity_loss(image, image, *loud, distance, unit)[1]
        for before, after in zip(quiet, louder, strict=True):
            assert after.item() / before.item() == pytest.approx(ratio, rel=0.02)


def test_relative_squared_error_by_hand():
    student, teacher = row(1, 2), row(3, 4)
    assert functional.relative_squared_error(student, teacher).item() == pytest.approx((4 + 4) / (9 + 16))


# -- statistics of other methods ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("statistics", ["gram", "mean-gram"])
@pytest.mark.parametrize("distance", ["l2", "mse"])
def test_style_loss_can_compare_gram_matrices(statistics, distance):
    generator = torch.Generator().manual_seed(1)
    picture, target = ([torch.rand(2, c, 4, 4, generator=generator) for c in (3, 5)] for _ in range(2))
    actual = functional.style_loss(picture, target, distance, statistics=statistics)
    expected = 0.0
    for a, b in zip(picture, target, strict=True):
        pairs = [(torch.einsum("bchw,bdhw->bcd", t, t) / t[0].numel() for t in (a, b))]
        if statistics == "mean-gram":
            pairs.append(t.mean(dim=(2, 3)) for t in (a, b))
        for x, y in pairs:
            difference = (x - y).flatten(1)
            expected += float((difference**2).mean() if distance == "mse" else (difference**2).sum(1).sqrt().mean())
    assert actual.item() == pytest.approx(expected, rel=1e-5)
    assert functional.style_loss(target, target, distance, statistics=statistics).item() < 1e-15


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_does_not_round_a_style_loss_of_gram_matrices(dtype):
    picture, target = ([5 * tap.abs() for tap in draw_taps(seed)] for seed in (2, 3))
    expected = functional.style_loss(picture, target, "mse", statistics="gram")
    with torch.autocast("cpu", dtype):
        actual = functional.style_loss(picture, target, "mse", statistics="gram")
    assert torch.equal(actual, expected)


def test_the_gradient_penalty_of_linear_scores_by_hand():
    images = torch.rand(2, 3, 4, 6, requires_grad=True)
    slopes = torch.tensor([1.0, -2.0, 3.0])[:, None, None]
    fine = (images * slopes).sum(dim=1, keepdim=True)  # each pixel's slope is that of its channel, over 24 positions
    coarse = images[:, :1, ::2, ::2] * 5  # 6 positions of the first channel
    gradient = (slopes / 24).expand(3, 4, 6).clone()
    gradient[0, ::2, ::2] += 5 / 6
    penalty = functional.gradient_penalty([fine, coarse], images)
    assert penalty.item() == pytest.approx(gradient.square().sum().item() / 2, rel=1e-5)
