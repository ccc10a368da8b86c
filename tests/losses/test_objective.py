import copy

import numpy as np
import pytest
import torch

from ieast.config import ObjectiveConfig
from ieast.experiment import ExperimentConfig
from ieast.layers.warping import lands_inside, warp
from ieast.losses.coherence import draw_anchors
from ieast.losses.motion import draw_flow, moved
from ieast.losses.objective import Objective
from ieast.losses.pyramid import band_loss
from ieast.methods import new_model
from ieast.models.encoder import Encoder
from ieast.models.vgg19 import STYLE_TAPS
from ieast.training.module import StyleTransferModule
from reference import plain as reference

DISTINCT, SIDE = 3, 32  # the least that leaves a discriminator of one scale a 2x2 map before its head
TERMS = {
    "style",
    "content",
    "identity_pixels",
    "identity_taps",
    "adversarial",
    "style_contrastive",
    "content_contrastive",
}


INDEX = torch.arange(DISTINCT)  # of the styles, which this method does not look at


def make_module(scales=1, loss_network=None, training=None, **objective):
    config = ExperimentConfig.parse(
        {
            "encoder": {"name": "vgg19-compact", "weights": "untrained"},
            "model": {"discriminator_scales": scales, "discriminator_width": 4, "style_head": [12, 8], "content_head": [10, 8]},
            "objective": objective,
            "training": {"batch_size": 2 * DISTINCT, "crop": 128} | (training or {}),
        }
    )
    torch.manual_seed(0)
    stylizer = new_model("ieast", reference.draw(Encoder("vgg19-compact"), seed=1).eval(), config.model)
    reference.draw(stylizer.decoder, seed=2)
    module = StyleTransferModule(stylizer, config, loss_network)
    steps = []
    module.optimizers = lambda: ["generator", "discriminator"] if config.objective.external_learning else "generator"
    module._step = lambda optimizer, loss: steps.append((optimizer, loss))
    return module, steps


def draw_batch(side=SIDE):
    generator = torch.Generator().manual_seed(5)
    content, style = torch.rand(2, DISTINCT, 3, side, side, generator=generator)
    # Pictures that differ in brightness and contrast, so that mistaking one for another shows.
    scale = torch.tensor([0.3, 0.6, 1.0])[:, None, None, None]
    return content * scale, 1 - style * scale.flip(0)


def compute_reference(module, content, style):
    """Every term on the batch of section 3.2 in full, by the module's own networks."""
    stylizer, settings = module.stylizer, module.config.objective
    networks = reference.Networks(
        encode=lambda images: stylizer.encoder(images, (*STYLE_TAPS, "conv4_2")),
        transform=stylizer.transform,
        decode=stylizer.decoder,
        discriminate=module.discriminator,
        style_head=module.style_head,
        content_head=module.content_head,
    )
    batch = reference.FullBatch.of(content, style, networks)
    terms = reference.generators_terms(batch, networks, settings)
    return {"discriminator": reference.discriminators_term(batch, networks, settings), **terms}


VARIANTS = [
    {},
    {"distance": "mse", "adversarial": "least-squares", "content_layers": "normalised-relu4_1-relu5_1"},
    {"distance": "l2", "adversarial": "least-squares", "contrastive_reduction": "sum"},
    {"distance": "mse", "adversarial": "log", "contrastive_reduction": "sum", "temperature": 0.5},
    {"distance": "l2", "content_layers": "normalised-relu4_1-relu5_1", "contrastive_reduction": "sum"},
]


@pytest.mark.parametrize("objective", VARIANTS, ids=str)
def test_an_iterations_terms_and_gradients_equal_the_full_duplicated_batchs(objective):
    module, steps = make_module(**objective)
    content, style = draw_batch()
    trained = {**dict(module.stylizer.transform.named_parameters()), **dict(module.stylizer.decoder.named_parameters())}

    terms = module._stylize(content, style, INDEX)
    expected = compute_reference(module, content, style)
    for name in expected:
        assert terms[name].item() == pytest.approx(expected[name].item(), rel=1e-4), name
    assert terms["total"].item() == pytest.approx(reference.weighted_sum(expected).item(), rel=1e-4)

    (_, of_discriminator), (_, of_generator) = steps
    assert [optimizer for optimizer, _ in steps] == ["discriminator", "generator"]
    assert of_discriminator is terms["discriminator"]
    assert of_generator is terms["total"]
    actual = torch.autograd.grad(of_generator, trained.values())
    target = torch.autograd.grad(reference.weighted_sum(expected), trained.values())
    largest = max(gradient.norm() for gradient in target)
    for name, a, b in zip(trained, actual, target, strict=True):
        assert (a - b).norm() <= 1e-4 * b.norm() + 1e-6 * largest, name


@pytest.mark.parametrize("objective", VARIANTS[:2], ids=str)
def test_each_terms_gradient_equals_the_full_duplicated_batchs(objective):
    # Each by itself, because a term with a small gradient would not show in the sum.
    module, _ = make_module(**objective)
    content, style = draw_batch()
    trained = list(module.stylizer.transform.parameters()) + list(module.stylizer.decoder.parameters())
    terms, expected = module._stylize(content, style, INDEX), compute_reference(module, content, style)
    for name in sorted(TERMS):
        actual = torch.autograd.grad(terms[name], trained, retain_graph=True)
        target = torch.autograd.grad(expected[name], trained, retain_graph=True)
        actual, target = (torch.cat([gradient.flatten() for gradient in gradients]) for gradients in (actual, target))
        assert target.norm() > 0, name
        assert (actual - target).norm() <= 1e-3 * target.norm(), name


def test_losses_compare_the_features_of_the_network_that_is_given():
    # The generator goes on seeing by its own encoder, so pictures are those of a module without such a network.
    network = reference.draw(Encoder("vgg19-compact"), seed=7).eval().requires_grad_(False)
    module, _ = make_module(loss_network=network, content_layers="normalised-relu4_1-relu5_1")
    content, style = draw_batch()
    plain = make_module()[0]._generate(content, style, INDEX, has_identity=True)
    batch = module._generate(content, style, INDEX, has_identity=True)
    torch.testing.assert_close(batch.stylized, plain.stylized)
    terms = module._stylize(content, style, INDEX)
    pictures = reference.arrangement(2 * DISTINCT)
    c, s = (torch.stack([side[pair[k] - 1] for pair in pictures]) for side, k in ((content, 1), (style, 0)))
    picture, of_c, of_s = network(batch.stylized), network(c), network(s)
    of_style = reference.style([picture[tap] for tap in reference.RELU_TAPS], [of_s[tap] for tap in reference.RELU_TAPS], "l2")
    assert terms["style"].item() == pytest.approx(of_style.item(), rel=1e-4)
    of_content = reference.content(picture, of_c, "l2", "normalised-relu4_1-relu5_1")
    assert terms["content"].item() == pytest.approx(of_content.item(), rel=1e-4)
    identities = (batch.identity.content, content), (batch.identity.style, style)
    of_taps = sum(reference.identity(a, b, network(a), network(b), "l2")[1] for a, b in identities)
    assert terms["identity_taps"].item() == pytest.approx(of_taps.item(), rel=1e-4)
    embeddings = module.style_head(picture["relu3_1"])
    contrast = reference.contrastive(embeddings, pictures, "style", 0.2, "mean")
    assert terms["style_contrastive"].item() == pytest.approx(contrast.item(), rel=1e-4)


def test_reconstruction_compares_the_features_of_the_network_that_is_given():
    network = reference.draw(Encoder("vgg19-compact"), seed=7).eval().requires_grad_(False)
    module, _ = make_module(loss_network=network)
    images = torch.cat(draw_batch())
    terms = module._reconstruct(images)
    decoded = module.stylizer.decoder(module.stylizer.encoder(images)["relu4_1"])
    _, taps = reference.identity(decoded, images, network(decoded), network(images), "l2")
    assert terms["reconstruction_taps"].item() == pytest.approx(taps.item(), rel=1e-4)


def test_identity_terms_that_come_rarely_weigh_as_much_more():
    module, steps = make_module(training={"identity_every": 3}, external_learning=False)
    content, style = draw_batch()
    every, _ = make_module(external_learning=False)
    terms = every._stylize(content, style, INDEX)
    identity = 50 * terms["identity_pixels"] + terms["identity_taps"]
    for finished in range(6):
        module.finished = finished
        rare = module._stylize(content, style, INDEX)
        has = finished % 3 == 0
        assert ("identity_taps" in rare) == has
        expected = terms["total"] + (2 if has else -1) * identity
        assert rare["total"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert len(steps) == 6


def test_the_discriminators_step_leaves_the_generator_alone():
    module, steps = make_module()
    module._stylize(*draw_batch(), INDEX)
    steps[0][1].backward()
    assert all(p.grad is None for p in module.stylizer.parameters())


def test_discriminators_gradient_equals_the_full_duplicated_batchs_and_reaches_nothing_else():
    module, steps = make_module(scales=2)
    content, style = draw_batch(side=2 * SIDE)
    stylized = module._generate(content, style, INDEX, has_identity=True).stylized
    module._train_discriminator("discriminator", real=style, fake=stylized.detach())
    i_s = torch.cat([style, style])  # the full batch's real artworks
    expected = reference.discriminator_loss(module.discriminator(i_s), module.discriminator(stylized.detach()), "log")
    parameters = list(module.discriminator.parameters())
    target = torch.autograd.grad(expected, parameters)
    steps[0][1].backward()
    for parameter, gradient in zip(parameters, target, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)
    assert all(p.grad is None for p in module.stylizer.parameters())


def test_the_loss_on_bands_compares_each_picture_with_its_own_style():
    module, _ = make_module(weights={"bands": 2.0}, external_learning=False)
    content, style = draw_batch()
    terms = module._stylize(content, style, INDEX)
    stylized = module._generate(content, style, INDEX, has_identity=False).stylized
    chosen = torch.tensor([i - 1 for i, _ in reference.arrangement(2 * DISTINCT)])
    assert terms["bands"].item() == pytest.approx(band_loss(stylized, style, chosen).item(), rel=1e-4)
    plain = make_module(external_learning=False)[0]._stylize(content, style, INDEX)
    assert terms["total"].item() == pytest.approx((plain["total"] + 2 * terms["bands"]).item(), rel=1e-4)


def coherence_by_loops(stylized, content, mlp, anchors):
    """Of one layer of one picture: features (C, h, w) of what it became and of its content."""
    vectors = {"stylized": [], "content": []}
    for y, x in anchors:
        for v, u in [(y + down, x + right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0)]:
            for side, features in (("stylized", stylized), ("content", content)):
                projected = mlp(features[:, y, x] - features[:, v, u])
                vectors[side].append(projected / projected.norm())
    scores = [[torch.exp(a @ b / 0.07) for b in vectors["content"]] for a in vectors["stylized"]]
    return torch.stack([-torch.log(row[m] / sum(row)) for m, row in enumerate(scores)]).mean()


def test_the_coherence_of_patches_compares_each_picture_with_its_own_content():
    settings = {"external_learning": False, "contrastive_learning": False}
    module, steps = make_module(weights={"coherence": 2.0}, coherence={"anchors": 2}, **settings)
    module.finished = 7
    content, style = draw_batch(side=2 * SIDE)
    terms = module._stylize(content, style, INDEX)
    batch = module._generate(content, style, INDEX, has_identity=False)
    random, expected = np.random.default_rng((0, 2, 0, 7)), 0.0
    for layer, mlp in zip(("relu2_1", "relu3_1", "relu4_1"), module.coherence_heads.mlps, strict=True):
        rows, columns = draw_anchors(*batch.stylized_taps[layer].shape[2:], 2, random)
        anchors = list(zip(rows.tolist(), columns.tolist(), strict=True))
        pictures = enumerate(j - 1 for _, j in reference.arrangement(2 * DISTINCT))
        of_layer = [
            coherence_by_loops(batch.stylized_taps[layer][k], batch.content_taps[layer][j], mlp, anchors) for k, j in pictures
        ]
        expected += torch.stack(of_layer).mean()
    assert terms["coherence"].item() == pytest.approx(expected.item(), rel=1e-3)
    plain, _ = make_module(**settings)
    total = plain._stylize(content, style, INDEX)["total"] + 2 * terms["coherence"]
    assert terms["total"].item() == pytest.approx(total.item(), rel=1e-4)
    steps[0][1].backward()
    assert all(p.grad is not None for p in module.coherence_heads.parameters())


def test_the_temporal_term_stylizes_what_moved_in_the_same_style():
    settings = {"external_learning": False, "contrastive_learning": False}
    module, _ = make_module(weights={"temporal": 30.0}, motion={"noise": 0.1}, **settings)
    module.finished = 7
    content, style = draw_batch()
    terms = module._stylize(content, style, INDEX)
    random, stylizer = np.random.default_rng((0, 3, 0, 7)), module.stylizer
    flow = draw_flow(DISTINCT, SIDE, 8.0, 2.0, random)
    pictures = moved(content, flow, 0.1, random)
    errors, pixels = 0.0, 0
    for k in range(DISTINCT):  # the k-th content in the k-th style
        of_style = stylizer.encoder(style[k : k + 1])
        still, after = (
            stylizer.decoder(stylizer.transform(stylizer.encoder(each[k : k + 1]), of_style)) for each in (content, pictures)
        )
        inside = lands_inside(flow[k : k + 1])
        squares = (warp(still, flow[k : k + 1], "bicubic") - after).square().mean(dim=1)
        errors, pixels = errors + squares[inside].sum().item(), pixels + int(inside.sum())
    assert terms["temporal"].item() == pytest.approx(errors / pixels, rel=1e-3)
    plain, _ = make_module(**settings)
    before = plain._stylize(content, style, INDEX)
    for name in before.keys() - {"total"}:  # what is drawn for this term changes no other
        assert terms[name].item() == pytest.approx(before[name].item(), rel=1e-4)
    assert terms["total"].item() == pytest.approx((before["total"] + 30 * terms["temporal"]).item(), rel=1e-4)


def test_what_an_iteration_draws_differs_from_the_next():
    module, _ = make_module(weights={"temporal": 1.0, "coherence": 1.0}, external_learning=False)
    content, style = draw_batch()
    first, again = (module._stylize(content, style, INDEX) for _ in range(2))
    module.finished = 1
    other = module._stylize(content, style, INDEX)
    for name in ("temporal", "coherence"):
        assert first[name].item() == again[name].item() != other[name].item()


def test_the_discriminator_pays_for_steep_scores_at_real_artworks_now_and_then():
    module, steps = make_module(scales=2, gradient_penalty=5, training={"gradient_penalty_every": 2})
    content, style = draw_batch(side=2 * SIDE)
    plain, _ = make_module(scales=2)
    images = style.clone().requires_grad_(True)
    squares = []
    for k in range(DISTINCT):  # picture by picture
        score = sum(scores.mean() for scores in module.discriminator(images[k : k + 1]))
        squares.append(torch.autograd.grad(score, images)[0].square().sum())
    penalty = torch.stack(squares).mean().item() / 2
    for finished in range(4):
        module.finished = finished
        terms = module._train_discriminator("discriminator", real=style, fake=content)
        loss = plain._train_discriminator("discriminator", real=style, fake=content)["discriminator"].item()
        assert terms["discriminator"].item() == pytest.approx(loss, rel=1e-4)
        assert ("gradient_penalty" in terms) == (finished % 2 == 0)
        expected = loss + 2 * 5 * penalty * (finished % 2 == 0)
        assert steps[-1][1].item() == pytest.approx(expected, rel=1e-4)
    assert penalty > 0


def test_the_generators_step_leaves_the_discriminator_and_the_encoder_alone():
    module, steps = make_module()
    module._stylize(*draw_batch(), INDEX)
    steps[1][1].backward()
    assert all(p.grad is None for p in module.discriminator.parameters())
    assert all(p.grad is None for p in module.stylizer.encoder.parameters())
    learning = [module.stylizer.transform, module.stylizer.decoder, module.style_head, module.content_head]
    assert all(p.grad is not None for part in learning for p in part.parameters())


def test_generate_pairs_pictures_as_the_paper_arranges_them():
    module, _ = make_module()
    content, style = draw_batch()
    stylizer = module.stylizer
    batch = module._generate(content, style, INDEX, has_identity=True)

    def generate(c, s):
        return stylizer.decoder(stylizer.transform(stylizer.encoder(c[None]), stylizer.encoder(s[None])))[0]

    with torch.no_grad():
        for k, (i, j) in enumerate(reference.arrangement(2 * DISTINCT)):
            torch.testing.assert_close(batch.stylized[k], generate(content[j - 1], style[i - 1]), rtol=1e-3, atol=1e-4)
        for k in range(DISTINCT):
            torch.testing.assert_close(batch.identity.content[k], generate(content[k], content[k]), rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(batch.identity.style[k], generate(style[k], style[k]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("layers", "needed"), [("conv4_2", True), ("normalised-relu4_1-relu5_1", False)])
def test_conv4_2_is_computed_only_where_the_content_loss_reads_it(layers, needed):
    module, _ = make_module(content_layers=layers)
    batch = module._generate(*draw_batch(), INDEX, has_identity=True)
    assert ("conv4_2" in batch.stylized_taps) == ("conv4_2" in batch.content_taps) == needed


@pytest.mark.parametrize("distance", ["l2", "mse"])
def test_reconstruction_stage_minimizes_the_identity_terms_of_the_decoder_alone(distance):
    weights = {"identity_pixels": 7, "identity_taps": 3}
    module, steps = make_module(distance=distance, weights=weights)
    content, style = draw_batch()
    terms = module._reconstruct(torch.cat([content, style]))
    encoder, decoder = module.stylizer.encoder, module.stylizer.decoder
    images = torch.cat([content, style])
    decoded = decoder(encoder(images)["relu4_1"])
    pixels = reference.distance(decoded, images, distance)
    taps = sum(reference.distance(encoder(decoded)[tap], encoder(images)[tap], distance) for tap in reference.RELU_TAPS)
    assert terms["reconstruction_pixels"].item() == pytest.approx(pixels.item(), rel=1e-4)
    assert terms["reconstruction_taps"].item() == pytest.approx(taps.item(), rel=1e-4)
    ((optimizer, loss),) = steps
    assert optimizer == "generator"
    assert loss.item() == pytest.approx((7 * pixels + 3 * taps).item(), rel=1e-4)
    loss.backward()
    assert all(p.grad is not None for p in decoder.parameters())
    assert all(p.grad is None for p in module.stylizer.transform.parameters())


@pytest.mark.parametrize("external", [True, False])
@pytest.mark.parametrize("contrastive", [True, False])
def test_switches_take_terms_and_their_networks_out(external, contrastive):
    module, steps = make_module(external_learning=external, contrastive_learning=contrastive)
    terms = module._stylize(*draw_batch(), INDEX)
    expected = set(TERMS)
    if not external:
        expected -= {"adversarial"}
    if not contrastive:
        expected -= {"style_contrastive", "content_contrastive"}
    assert set(module.objective.weights) == expected
    assert set(terms) == expected | {"total"} | ({"discriminator"} if external else set())
    assert hasattr(module, "discriminator") == external
    assert hasattr(module, "style_head") == hasattr(module, "content_head") == contrastive
    assert len(steps) == 1 + external


def test_default_weights_are_the_papers():
    # λ = (1, 5, 1, 1, 0.3, 0.3), λ_identity1 = 50, λ_identity2 = 1
    assert Objective(ObjectiveConfig()).weights == {
        "style": 1,
        "adversarial": 5,
        "content": 1,
        "identity_pixels": 50,
        "identity_taps": 1,
        "style_contrastive": 0.3,
        "content_contrastive": 0.3,
    }


def test_identity_weight_multiplies_both_sums_of_eq_4():
    config = ObjectiveConfig.model_validate({"weights": {"identity": 2, "identity_pixels": 10, "identity_taps": 3}})
    weights = Objective(config).weights
    assert (weights["identity_pixels"], weights["identity_taps"]) == (20, 6)


def test_total_by_hand():
    # 1·1 + 5·2 + 1·3 + 50·4 + 1·5 + 0.3·6 + 0.3·7 = 222.9; the discriminator's loss is no part of it.
    values = {
        "style": 1.0,
        "adversarial": 2.0,
        "content": 3.0,
        "identity_pixels": 4.0,
        "identity_taps": 5.0,
        "style_contrastive": 6.0,
        "content_contrastive": 7.0,
        "discriminator": 1000.0,
    }
    terms = {name: torch.tensor(value) for name, value in values.items()}
    assert Objective(ObjectiveConfig()).total(terms).item() == pytest.approx(222.9)


def test_a_batch_in_another_order_has_the_same_loss():
    # Which picture is called s_1 or c_1 is chance; moving contents and styles on together permutes the batch only.
    module, _ = make_module()
    content, style = draw_batch()
    moved = copy.deepcopy(module)
    terms, again = module._stylize(content, style, INDEX), moved._stylize(content.roll(1, 0), style.roll(1, 0), INDEX)
    for name in terms:
        assert terms[name].item() == pytest.approx(again[name].item(), rel=1e-4), name
