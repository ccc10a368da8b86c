import pytest
import torch
from helpers.trainings import Training, draw, small_config

from ieast.methods import build
from ieast.stylizer.style import Style


@pytest.fixture(scope="module")
def adain(encoder):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build("adain", encoder).eval()


def taps_of(adain, images):
    with torch.no_grad():
        return adain.encoder(images)


def statistics_by_loops(features):
    """μ and σ of each channel of one picture's features (C, h, w), in float64."""
    means, deviations = [], []
    for channel in features.double():
        values = channel.flatten()
        mean = values.sum() / len(values)
        means.append(mean)
        deviations.append((((values - mean) ** 2).sum() / (len(values) - 1) + 1e-5).sqrt())
    return torch.stack(means), torch.stack(deviations)


def test_features_are_what_the_equation_says(adain):
    content, style = (taps_of(adain, images) for images in (draw(2, 32, 48), draw(2, 40, 24, seed=1)))
    transformed = adain.transform(content, style)
    for k in range(2):
        mean, deviation = statistics_by_loops(content["relu4_1"][k])
        wanted_mean, wanted_deviation = statistics_by_loops(style["relu4_1"][k])
        for channel in range(128):
            c = content["relu4_1"][k, channel].double()
            expected = wanted_deviation[channel] * (c - mean[channel]) / deviation[channel] + wanted_mean[channel]
            torch.testing.assert_close(transformed[k, channel].double(), expected, rtol=1e-4, atol=1e-4)


def test_the_results_statistics_are_the_styles(adain):
    content, style = taps_of(adain, draw(1, 64, 48)), taps_of(adain, draw(1, 40, 64, seed=1))
    transformed = statistics_by_loops(adain.transform(content, style)[0])
    lively = statistics_by_loops(content["relu4_1"][0])[1] > 0.05  # a channel that never fires cannot be given a deviation
    assert lively.sum() > 10
    for actual, expected in zip(transformed, statistics_by_loops(style["relu4_1"][0]), strict=True):
        torch.testing.assert_close(actual[lively], expected[lively], rtol=5e-3, atol=1e-4)


@torch.no_grad()
def test_alpha_mixes_with_the_contents_own_features_and_0_decodes_these(adain):
    content, style = draw(1, 32, 48), draw(1, 32, 32, seed=1)
    taps = taps_of(adain, content)
    full = adain.transform(taps, taps_of(adain, style))
    for alpha in (0.0, 0.4, 1.0):
        expected = adain.decoder(alpha * full + (1 - alpha) * taps["relu4_1"]).clamp(0, 1)
        torch.testing.assert_close(adain.stylize(content, style, alpha), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_several_styles_are_the_weighted_mean_of_their_features(adain):
    content, a, b = draw(1, 32, 48), draw(1, 32, 32, seed=1), draw(1, 32, 32, seed=2)
    taps = taps_of(adain, content)
    of_a, of_b = (adain.transform(taps, taps_of(adain, style)) for style in (a, b))
    expected = adain.decoder(0.75 * of_a + 0.25 * of_b).clamp(0, 1)
    torch.testing.assert_close(adain.stylize(content, [Style(a, weight=3), Style(b, weight=1)]), expected)


STAGE = {"iterations": 2, "reconstruction_iterations": 0}


@pytest.fixture(scope="module", params=["adain", "adain+el+cl"])
def trained(request, prepared, tmp_path_factory):
    return request.param, Training(small_config(request.param, training=STAGE), prepared, tmp_path_factory.mktemp("adain"))


def test_the_decoder_alone_learns_by_every_term_of_the_objective(trained):
    method, training = trained
    terms = {"style", "content", "total"}
    if method == "adain+el+cl":
        terms |= {"adversarial", "discriminator", "style_contrastive", "content_contrastive"}
    assert training.terms == dict.fromkeys((1, 2), terms)
    assert training.changed(1, 2) == {"decoder"}


def test_the_contents_target_is_the_features_that_were_decoded(prepared, tmp_path, monkeypatch):
    """MSE(E(g), t), Eq. 12: neither t nor what it is made of learns, so it can be computed again from the batch."""
    import ieast.training.module

    seen = []
    real = ieast.training.module.StyleTransferModule._generate

    def noted(module, *arguments):
        batch = real(module, *arguments)
        with torch.no_grad():
            content = batch.content_taps["relu4_1"][batch.pairs.content]
            style = batch.style_taps["relu4_1"][batch.pairs.style]
            expected = module.stylizer.transform({"relu4_1": content}, {"relu4_1": style})
            loss = (batch.stylized_taps["relu4_1"] - expected).square().mean()
        seen.append((float(loss), module.objective.content_term(batch).item(), batch.target.requires_grad))
        return batch

    monkeypatch.setattr(ieast.training.module.StyleTransferModule, "_generate", noted)
    Training(small_config("adain", training=STAGE), prepared, tmp_path)
    assert len(seen) == 2
    for expected, actual, learns in seen:
        assert actual == pytest.approx(expected, rel=1e-5)
        assert not learns


def test_a_trained_model_is_read_back_and_stylizes_equally(trained):
    _, training = trained
    content, style = draw(2, 40, 56), draw(2, 33, 48, seed=1)
    assert torch.equal(training.model.stylize(content, style, 0.7), training.module.stylizer.stylize(content, style, 0.7))
