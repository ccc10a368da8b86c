import csv
import os
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from filelock import FileLock
from helpers.datasets import PICTURES
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import SingleDeviceStrategy
from PIL import Image
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

import ieast.training.fit
from ieast.checkpoint import load_model
from ieast.data.prepare import PreparedDataset
from ieast.errors import ConfigError, DataError, InterruptedTrainingError, TrainingError
from ieast.experiment import ExperimentConfig
from ieast.io.images import read_image, to_tensor
from ieast.layers.precision import warn_of_slow_bf16
from ieast.losses import functional
from ieast.methods import new_model
from ieast.models.encoder_weights import build_encoder
from ieast.stylizer.novelty import StyleRange, style_vector
from ieast.training.callbacks import AtomicCheckpointIO
from ieast.training.fit import CHECKPOINT, SHOWN, TrainingResult, fit
from ieast.training.folders import models_on_the_way
from ieast.training.launch import TrainingJob, train
from ieast.training.loop import chosen_precision
from ieast.training.module import StyleTransferModule

INTERNAL = {"style", "content", "identity_pixels", "identity_taps", "total"}
RECONSTRUCTION = {"reconstruction", "reconstruction_pixels", "reconstruction_taps"}
EXTERNAL = {"discriminator", "adversarial"}
CONTRASTIVE = {"style_contrastive", "content_contrastive"}


class Recorder(Callback):
    """Runs `after` with the module after every iteration."""

    def __init__(self, after: Callable[[StyleTransferModule], None]):
        self.after = after

    def on_train_batch_end(self, _trainer: L.Trainer, module: StyleTransferModule, *_: Any) -> None:
        self.after(module)


@pytest.fixture
def watch(monkeypatch) -> Callable[[Callable[[StyleTransferModule], None]], None]:
    """Lets a function look at the module after every iteration."""

    def install(after: Callable[[StyleTransferModule], None]) -> None:
        ours = ieast.training.fit._callbacks
        monkeypatch.setattr(ieast.training.fit, "_callbacks", lambda *args: [Recorder(after), *ours(*args)])

    return install


def weights(module: StyleTransferModule) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items() if name != "iteration"}


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    """The parts of the module, such as `decoder`, in which anything differs."""
    names = {name for name in before if not torch.equal(before[name], after[name])}
    return {name.removeprefix("stylizer.").split(".")[0] for name in names}


def curves(folder: Path) -> dict[str, dict[int, float]]:
    """Logged values by name and iteration."""
    actual: dict[str, dict[int, float]] = {}
    for path in folder.glob("curves/*/metrics.csv"):
        with path.open() as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and name not in ("step", "epoch"):
                        actual.setdefault(name, {})[int(row["step"])] = float(value)
    return actual


@pytest.fixture(scope="module", params=[(True, True), (True, False), (False, True), (False, False)], ids=str)
def variant(request, tmp_path_factory, make_config, prepared) -> tuple[ExperimentConfig, Path, TrainingResult, dict]:
    """A short training with each combination of EL and CL, and the weights in memory at its end."""
    external, contrastive = request.param
    config = make_config(objective={"external_learning": external, "contrastive_learning": contrastive})
    folder = tmp_path_factory.mktemp("variant")
    last: dict[str, Any] = {}
    ours = ieast.training.fit._callbacks
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(lambda module: last.update(module=module))
        patch.setattr(ieast.training.fit, "_callbacks", lambda *args: [recorder, *ours(*args)])
        patch.setattr(ieast.training.fit, "SHOWN", SHOWN)
        result = fit(config, prepared, folder, provenance={"data": {"md5": "drawn"}})
    return config, folder, result, last


def terms_of(config: ExperimentConfig) -> set[str]:
    objective = config.objective
    return (
        INTERNAL
        | (EXTERNAL if objective.external_learning else set())
        | (CONTRASTIVE if objective.contrastive_learning else set())
        | ({"bands"} if objective.weights.bands else set())
    )


def test_every_variant_trains_and_says_what_it_left(variant):
    _, folder, result, _ = variant
    assert result == TrainingResult(
        model_folder=str(folder / "model"),
        checkpoint=str(folder / CHECKPOINT),
        pictures=[str(folder / "pictures" / f"iteration_{k:07d}.jpg") for k in (0, 4, 6)],  # as it begins, too
        iterations=6,
        started_at=0,
        seconds=result.seconds,
    )
    assert 0 < result.seconds < 120


def test_every_term_is_logged_at_every_iteration_it_belongs_to(variant):
    config, folder, _, _ = variant
    logged = {name.removeprefix("train/"): set(v) for name, v in curves(folder).items() if name.startswith("train/")}
    assert logged == {
        **{name: {1, 2} for name in RECONSTRUCTION},
        **{name: {3, 4, 5, 6} for name in terms_of(config)},
        "images_per_second": {1, 2, 3, 4, 5, 6},
    }


def test_the_total_is_the_weighted_sum_of_the_terms(variant):
    config, folder, _, _ = variant
    weights = config.objective.weights.model_dump()
    inner = weights.pop("identity")
    weights |= {name: inner * weights[name] for name in ("identity_pixels", "identity_taps")}
    logged = curves(folder)
    for iteration in (3, 6):
        terms = {name: logged[f"train/{name}"][iteration] for name in terms_of(config)}
        expected = sum(weights[name] * value for name, value in terms.items() if name in weights)
        assert terms["total"] == pytest.approx(expected, rel=1e-5)


def test_terms_that_are_computed_more_rarely_are_logged_with_the_others_and_count_once(make_config, prepared, tmp_path):
    rare = {"identity_every": 3, "gradient_penalty_every": 3, "log_every": 2, "reconstruction_iterations": 0}
    objective = {"gradient_penalty": 2, "weights": {"identity_pixels": 50, "identity_taps": 2}}

    def config(iterations: int) -> ExperimentConfig:
        return make_config(training=rare | {"iterations": iterations}, objective=objective)

    at_once = curves_of(config(6), prepared, tmp_path / "at once")
    fit(config(5), prepared, tmp_path / "in parts")
    assert curves_of(config(6), prepared, tmp_path / "in parts") == at_once
    weights = config(6).objective.weights
    factors = {**weights.model_dump(), "identity_pixels": weights.identity * 50, "identity_taps": weights.identity * 2}
    for iteration in (2, 4, 6):
        terms = {name.removeprefix("train/"): values[iteration] for name, values in at_once.items()}
        assert {"identity_pixels", "identity_taps", "gradient_penalty"} < set(terms)
        expected = sum(factors[name] * value for name, value in terms.items() if name in factors)
        assert terms["total"] == pytest.approx(expected, rel=1e-5)


def test_styles_are_measured_before_the_model_leaves_its_device_and_compile_nothing(
    make_config, prepared, tmp_path, monkeypatch
):
    happened, take_down, measure = [], SingleDeviceStrategy.teardown, ieast.training.fit.measure_styles

    def measured(*arguments):
        happened.append(f"measured, {torch._dynamo.eval_frame._stance.stance}")
        return measure(*arguments)

    monkeypatch.setattr(ieast.training.fit, "measure_styles", measured)
    monkeypatch.setattr(SingleDeviceStrategy, "teardown", lambda self: (happened.append("taken down"), take_down(self))[1])
    fit(make_config(training={"iterations": 1, "reconstruction_iterations": 0}), prepared, tmp_path)
    assert happened == ["measured, force_eager", "taken down"]


def test_a_signal_while_styles_are_measured_stops_and_the_same_command_exports(make_config, prepared, tmp_path, monkeypatch):
    config = make_config(training={"iterations": 1, "reconstruction_iterations": 0})
    measure = ieast.training.fit.measure_styles

    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return measure(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ieast.training.fit, "measure_styles", interrupted)
        with pytest.raises(InterruptedTrainingError):
            fit(config, prepared, tmp_path)
    result = fit(config, prepared, tmp_path)
    assert (result.started_at, result.iterations) == (1, 1)
    assert load_model(result.model_folder)[1].styles is not None


@pytest.mark.parametrize("method", ["wct", "johnson"])
def test_each_network_in_a_container_is_compiled(method):
    options = {"styles": 2} if method == "johnson" else {}
    encoder = {"name": "vgg19-compact", "weights": "untrained"}
    config = ExperimentConfig.parse({"method": method, "preset": "compact", "encoder": encoder, "model": {"options": options}})
    stylizer = new_model(method, build_encoder(config.encoder), config.model)
    networks = StyleTransferModule(stylizer, config).networks()
    assert not any(isinstance(network, torch.nn.ModuleDict | torch.nn.ModuleList) for network in networks)
    own = {id(parameter) for part in stylizer.parts().values() for parameter in part.parameters()}
    assert own == {id(parameter) for network in networks[1:] for parameter in network.parameters()}


def test_the_learning_rate_of_every_group_is_logged(variant):
    config, folder, _, _ = variant
    groups = {"decoder", "transform"}
    groups |= {"heads"} if config.objective.contrastive_learning else set()
    groups |= {"discriminator"} if config.objective.external_learning else set()
    logged = {name.removeprefix("train_learning_rate/") for name in curves(folder) if name.startswith("train_learning_rate/")}
    assert logged == groups


def test_the_speed_is_positive(variant):
    assert all(speed > 0 for speed in curves(variant[1])["train/images_per_second"].values())


def test_pictures_show_four_contents_in_four_styles(variant):
    _, _, result, _ = variant
    cell, gap = 64, 4  # twice the crop
    side = 5 * (cell + gap) + gap
    for path in result.pictures:
        with Image.open(path) as picture:
            assert (picture.format, picture.size) == ("JPEG", (side, side))


def test_the_exported_model_stylizes_as_the_one_in_memory(variant):
    _, _, result, last = variant
    stylizer, _ = load_model(result.model_folder)
    random = torch.Generator().manual_seed(0)
    content, style = torch.rand(2, 3, 40, 56, generator=random), torch.rand(2, 3, 33, 48, generator=random)
    for alpha in (0.0, 0.5, 1.0):
        assert torch.equal(stylizer.stylize(content, style, alpha), last["module"].stylizer.stylize(content, style, alpha))


def test_the_exported_model_says_where_it_came_from(variant):
    config, _, result, _ = variant
    _, card = load_model(result.model_folder)
    assert (card.method, card.encoder.name, card.encoder.source) == (
        config.method_name,
        "vgg19-compact",
        "untrained",
    )
    assert card.provenance["data"] == {"md5": "drawn"}
    assert card.provenance["iterations"] == 6
    assert ExperimentConfig.parse(card.provenance["config"]) == config
    assert {"code", "python", "libraries"} <= card.provenance.keys()
    assert card.provenance["libraries"]["torch"] == torch.__version__.split("+")[0]


def test_the_exported_model_says_where_its_training_styles_lie(variant, prepared):
    _, _, result, _ = variant
    model, card = load_model(result.model_folder)
    vectors = [style_vector(model.encoder, to_tensor(read_image(path))) for path in prepared.training_paths("style")]
    assert card.styles == StyleRange.of(vectors)
    assert card.styles.count == PICTURES


def test_the_checkpoint_at_the_end_holds_the_weights_in_memory(variant):
    _, _, result, last = variant
    state = AtomicCheckpointIO().load_checkpoint(result.checkpoint)["state_dict"]
    assert int(state["iteration"]) == 6
    assert not changed(weights(last["module"]), state)


def test_nothing_temporary_is_left_behind(variant):
    _, folder, _, _ = variant
    assert {path.name for path in folder.iterdir()} == {CHECKPOINT, "pictures", "model", "curves"}


def losses(actual: dict[str, dict[int, float]]) -> dict[str, dict[int, float]]:
    return {name: values for name, values in actual.items() if name != "train/images_per_second"}


def curves_of(config: ExperimentConfig, prepared: PreparedDataset, folder: Path) -> dict[str, dict[int, float]]:
    fit(config, prepared, folder)
    return losses(curves(folder))


@pytest.fixture(scope="module")
def plain(tmp_path_factory, make_config, prepared) -> dict[str, dict[int, float]]:
    """The curves of the shrunk configuration as it is."""
    return curves_of(make_config(), prepared, tmp_path_factory.mktemp("plain"))


def test_a_loader_with_workers_leads_to_the_same_losses(make_config, prepared, tmp_path, plain):
    assert curves_of(make_config(training={"loader_workers": 2}), prepared, tmp_path) == plain


def test_the_reconstruction_stage_trains_the_decoder_alone_and_then_everything_but_the_encoder(
    make_config, prepared, tmp_path, watch
):
    seen: list[dict[str, torch.Tensor]] = []
    watch(lambda module: seen.append(weights(module)))
    fit(make_config(), prepared, tmp_path)
    steps = [changed(before, after) for before, after in pairwise(seen)]
    everything = {"decoder", "transform", "style_head", "content_head", "discriminator"}
    assert steps == [{"decoder"}, everything, everything, everything, everything]


def test_without_a_reconstruction_stage_all_parts_learn_from_the_first_iteration(make_config, prepared, tmp_path, watch):
    seen: list[dict[str, torch.Tensor]] = []
    watch(lambda module: seen.append(weights(module)))
    fit(make_config(training={"reconstruction_iterations": 0, "iterations": 2}), prepared, tmp_path)
    assert changed(*seen) == {"decoder", "transform", "style_head", "content_head", "discriminator"}


def test_learning_rates_decay_from_the_end_of_the_reconstruction_stage(make_config, prepared, tmp_path):
    rates = {
        "learning_rate": 0.01,
        "transform_learning_rate": 0.002,
        "reconstruction_learning_rate": 0.03,
        "learning_rate_decay": 0.5,
    }
    logged = curves_of(make_config(training=rates), prepared, tmp_path)
    factors = [1, 1 / 1.5, 1 / 2, 1 / 2.5]  # 1 / (1 + decay · i), i from 0

    def rate(group: str) -> list[float]:
        return list(logged[f"train_learning_rate/{group}"].values())

    assert rate("decoder") == pytest.approx([0.03, 0.03, *(0.01 * f for f in factors)])
    assert rate("transform") == pytest.approx([0, 0, *(0.002 * f for f in factors)])
    for group in ("heads", "discriminator"):
        assert rate(group) == pytest.approx([0, 0, *(0.01 * f for f in factors)])


def test_annealing_ends_each_stage_along_half_a_cosine(make_config, prepared, tmp_path):
    rates = {"learning_rate": 0.01, "transform_learning_rate": None, "reconstruction_learning_rate": 0.03}
    stages = {"reconstruction_iterations": 4, "iterations": 4, "learning_rate_decay": 0.0, "anneal": 0.5}
    logged = curves_of(make_config(training=rates | stages), prepared, tmp_path)
    factors = [1, 1, 1, 0.5]  # (1 + cos 0) / 2 when the last half begins, (1 + cos π/2) / 2 in its middle
    decoder = list(logged["train_learning_rate/decoder"].values())
    assert decoder == pytest.approx([*(0.03 * f for f in factors), *(0.01 * f for f in factors)])


def test_rates_are_one_and_constant_when_nothing_else_is_set(make_config, prepared, tmp_path):
    unset = {"transform_learning_rate": None, "reconstruction_learning_rate": None}
    rates = {"learning_rate": 0.01, "learning_rate_decay": 0.0} | unset
    logged = curves_of(make_config(training=rates), prepared, tmp_path)
    assert set(logged["train_learning_rate/decoder"].values()) == {0.01}
    for group in ("transform", "heads", "discriminator"):
        assert list(logged[f"train_learning_rate/{group}"].values()) == [0, 0, 0.01, 0.01, 0.01, 0.01]


def test_the_discriminator_has_its_own_rate_where_one_is_set(make_config, prepared, tmp_path):
    rates = {"learning_rate": 0.01, "learning_rate_decay": 0.5, "discriminator_learning_rate": 0.004}
    logged = curves_of(make_config(training=rates), prepared, tmp_path)
    factors = [1, 1 / 1.5, 1 / 2, 1 / 2.5]
    actual = list(logged["train_learning_rate/discriminator"].values())
    assert actual == pytest.approx([0, 0, *(0.004 * factor for factor in factors)])
    assert list(logged["train_learning_rate/heads"].values())[2] == pytest.approx(0.01)


def test_the_exported_model_is_the_moving_average_of_the_generators_weights(make_config, prepared, tmp_path, watch):
    seen: list[dict[str, torch.Tensor]] = []
    watch(lambda module: seen.append(weights(module)))
    config = make_config(training={"ema_decay": 0.7})
    result = fit(config, prepared, tmp_path)
    names = [name for name in seen[0] if name.startswith(("stylizer.decoder", "stylizer.transform"))]
    # The first iteration's weights are where it begins (torch.optim.swa_utils), and each later one's come in by 0.3.
    expected = {name: seen[0][name] for name in names}
    for each in seen[1:]:
        expected = {name: 0.7 * value + 0.3 * each[name] for name, value in expected.items()}
    exported, _ = load_model(Path(result.model_folder))
    state = exported.state_dict()
    assert len(names) > 10
    for name in names:
        torch.testing.assert_close(state[name.removeprefix("stylizer.")], expected[name])


def test_the_moving_average_goes_on_when_training_does(make_config, prepared, tmp_path, watch):
    config = make_config(training={"ema_decay": 0.7, "checkpoint_every": 1})
    whole = fit(config, prepared, tmp_path / "whole")

    def stop(module: StyleTransferModule) -> None:
        if module.finished == 4:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        ours = ieast.training.fit._callbacks
        patch.setattr(ieast.training.fit, "_callbacks", lambda *args: [Recorder(stop), *ours(*args)])
        with pytest.raises(InterruptedTrainingError):
            fit(config, prepared, tmp_path / "parts")
    parts = fit(config, prepared, tmp_path / "parts")
    assert parts.started_at >= 4
    a, b = (load_model(Path(result.model_folder))[0].state_dict() for result in (whole, parts))
    for name, value in a.items():
        torch.testing.assert_close(b[name], value)


def test_models_of_the_way_are_what_shorter_trainings_export(make_config, prepared, tmp_path):
    stages = {"ema_decay": 0.7, "anneal": 0.0, "reconstruction_iterations": 2}
    result = fit(make_config(training=stages | {"iterations": 5, "model_every": 2}), prepared, tmp_path / "whole")
    kept = models_on_the_way(tmp_path / "whole")
    assert list(kept) == [4, 6]  # after 2 iterations nothing had been stylized, and 7 are the whole
    assert load_model(Path(result.model_folder))[1].provenance["iterations"] == 7
    for iteration, folder in kept.items():
        fit(make_config(training=stages | {"iterations": iteration - 2}), prepared, tmp_path / f"{iteration}")
        (shorter, card), (model, its_card) = load_model(tmp_path / f"{iteration}" / "model"), load_model(folder)
        assert its_card.provenance["iterations"] == card.provenance["iterations"] == iteration
        assert its_card.styles == card.styles
        state = model.state_dict()
        for name, value in shorter.state_dict().items():
            assert torch.equal(state[name], value), name


def test_keeping_models_of_the_way_changes_nothing_else(make_config, prepared, tmp_path):
    for name, every in (("none", None), ("each", 1)):
        fit(make_config(training={"model_every": every}), prepared, tmp_path / name)
    a, b = (load_model(tmp_path / name / "model")[0].state_dict() for name in ("none", "each"))
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_losses_on_another_network_train_and_leave_it_as_it_is(make_config, prepared, tmp_path, watch):
    seen: list[dict[str, torch.Tensor]] = []
    watch(lambda module: seen.append(weights(module)))
    network = {"name": "vgg19-compact", "weights": "untrained"}
    result = fit(make_config(objective={"loss_network": network}), prepared, tmp_path)
    names = [name for name in seen[0] if name.startswith("loss_network.")]
    assert names
    assert all(torch.equal(seen[0][name], seen[-1][name]) for name in names)
    state = load_model(Path(result.model_folder))[0].state_dict()
    assert not any(name.startswith("loss_network") for name in state)


def test_losses_on_another_network_cannot_compare_what_the_decoder_was_given(make_config):
    network = {"name": "vgg19-compact", "weights": "untrained"}
    with pytest.raises(ConfigError, match="loss_network"):
        make_config(objective={"loss_network": network, "content_layers": "target"})


def gradient_norms(config: ExperimentConfig, prepared: PreparedDataset, folder: Path) -> dict[str, list[float]]:
    """The norms of the gradients that each optimizer stepped with."""
    norms: dict[str, list[float]] = {}

    def note(optimizer: Optimizer, *_: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in gradients])))
        norms.setdefault(optimizer.param_groups[0]["name"], []).append(norm)

    hook = register_optimizer_step_post_hook(note)
    try:
        fit(config, prepared, folder)
    finally:
        hook.remove()
    return norms


def test_the_generators_gradients_are_clipped_and_the_discriminators_are_not(make_config, prepared, tmp_path):
    free = gradient_norms(make_config(training={"gradient_clip": None}), prepared, tmp_path / "free")
    clip = min(free["decoder"] + free["discriminator"]) / 2
    clipped = gradient_norms(make_config(training={"gradient_clip": clip}), prepared, tmp_path / "clipped")
    assert len(free["decoder"]) == len(clipped["decoder"]) == 6
    assert len(free["discriminator"]) == len(clipped["discriminator"]) == 4
    assert clipped["decoder"] == pytest.approx([clip] * 6, rel=1e-4)
    assert min(clipped["discriminator"]) > clip


# Steps too small to matter, because Adam's make a visible difference of the last bits.
STILL = {"learning_rate": 1e-9, "transform_learning_rate": 1e-9, "reconstruction_learning_rate": 1e-9}


def test_channels_last_leads_to_the_same_losses(make_config, prepared, tmp_path):
    slow = curves_of(make_config(training=STILL), prepared, tmp_path / "slow")
    fast = curves_of(make_config(training=STILL | {"channels_last": True}), prepared, tmp_path / "fast")
    assert slow.keys() == fast.keys()
    for name, values in slow.items():
        assert fast[name] == pytest.approx(values, rel=1e-4), name


def test_compiled_networks_lead_to_the_same_losses(make_config, prepared, tmp_path, monkeypatch):
    compile_module = torch.nn.Module.compile
    modes = []

    def without_generating_code(network: torch.nn.Module, *, mode: str | None) -> None:
        """What is taken from our code is PyTorch's graphs; making machine code of them would take minutes."""
        modes.append(mode)
        compile_module(network, backend="aot_eager")

    monkeypatch.setattr(torch.nn.Module, "compile", without_generating_code)
    penalty = {"gradient_penalty": 2}  # which is differentiated twice
    eager = curves_of(make_config(training=STILL, objective=penalty), prepared, tmp_path / "eager")
    assert not modes
    settings = STILL | {"compile": "reduce-overhead"}
    compiled = curves_of(make_config(training=settings, objective=penalty), prepared, tmp_path / "compiled")
    assert modes == ["reduce-overhead"] * 6  # encoder, decoder, transform, discriminator and two heads
    assert eager.keys() == compiled.keys()
    for name, values in eager.items():
        assert compiled[name] == pytest.approx(values, rel=1e-4), name


def test_bf16_runs_near_full_precision_and_exports_full_precision(make_config, prepared, tmp_path):
    full = curves_of(make_config(training=STILL), prepared, tmp_path / "full")
    mixed = curves_of(make_config(training=STILL | {"precision": "bf16-mixed"}), prepared, tmp_path / "mixed")
    assert full.keys() == mixed.keys()
    assert mixed["train/total"] == pytest.approx(full["train/total"], rel=0.05)
    assert mixed["train/total"] != full["train/total"]
    stylizer, _ = load_model(tmp_path / "mixed" / "model")
    assert {parameter.dtype for parameter in stylizer.parameters()} == {torch.float32}


def test_the_same_seed_leads_to_the_same_training_and_another_to_another(make_config, prepared, tmp_path, plain):
    torch.rand(7)
    again = curves_of(make_config(), prepared, tmp_path / "again")
    other = curves_of(make_config(training={"seed": 1}), prepared, tmp_path / "other")
    assert again == plain
    assert all(other[name] != plain[name] for name in plain if name.startswith("train/"))


def test_the_papers_losses_train_as_the_released_codes_do(make_config, prepared, tmp_path):
    paper = {"distance": "l2", "content_layers": "conv4_2", "adversarial": "log", "contrastive_reduction": "sum"}
    logged = curves_of(
        make_config(objective=paper, training={"iterations": 2}), prepared, tmp_path
    )  # the rest here is official
    assert all(len(logged[f"train/{name}"]) == 2 for name in INTERNAL | EXTERNAL | CONTRASTIVE)


def test_too_few_pictures_are_an_error_before_any_iteration(make_config, prepared, tmp_path):
    config = make_config(training={"batch_size": 2 * PICTURES + 2})
    with pytest.raises(DataError, match=f"^{PICTURES} usable content pictures, but an iteration draws {PICTURES + 1}"):
        fit(config, prepared, tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


POISONED = {
    "style": "style_loss",
    "content": "content_loss",
    "discriminator": "discriminator_loss",
    "adversarial": "generator_adversarial_loss",
}


@pytest.mark.parametrize(
    ("term", "value"),
    [("style", float("nan")), ("content", float("inf")), ("discriminator", float("nan")), ("adversarial", float("-inf"))],
)
def test_a_term_that_is_not_finite_stops_training_by_name_and_keeps_the_last_good_checkpoint(
    make_config, prepared, tmp_path, monkeypatch, term, value
):
    real, calls = getattr(functional, POISONED[term]), []

    def poisoned(*args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        return real(*args, **kwargs) * (value if len(calls) == 3 else 1)  # iteration 5: two of reconstruction come first

    monkeypatch.setattr(functional, POISONED[term], poisoned)
    with pytest.raises(TrainingError) as caught:
        fit(make_config(training={"checkpoint_every": 2}), prepared, tmp_path)
    assert str(caught.value) == (
        f"the loss term `{term}` was not finite in iteration 5. Training has stopped; the last good checkpoint is kept. "
        "Lower training.learning_rate, set training.gradient_clip, or use precision 32-true, then run again"
    )
    assert_good_checkpoint(tmp_path, 4)
    monkeypatch.undo()
    assert fit(make_config(training={"checkpoint_every": 2}), prepared, tmp_path).iterations == 6


def assert_good_checkpoint(folder: Path, iteration: int) -> None:
    state = AtomicCheckpointIO().load_checkpoint(folder / CHECKPOINT)["state_dict"]
    assert int(state["iteration"]) == iteration
    assert all(value.isfinite().all() for value in state.values())


def test_a_reconstruction_term_that_is_not_finite_is_named_too(make_config, prepared, tmp_path, monkeypatch):
    def poisoned(*args: Any) -> tuple[torch.Tensor, torch.Tensor]:
        pixels, taps = real(*args)
        return pixels, taps * float("nan")

    real = functional.identity_loss
    monkeypatch.setattr(functional, "identity_loss", poisoned)
    with pytest.raises(TrainingError, match=r"^the loss term `reconstruction_taps` was not finite in iteration 1\."):
        fit(make_config(), prepared, tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


def test_weights_that_are_not_finite_never_replace_a_good_checkpoint(make_config, prepared, tmp_path, watch):
    """Gradients can be the first to overflow: the losses of that iteration are still finite."""

    def poison(module: StyleTransferModule) -> None:
        if module.finished == 4:
            with torch.no_grad():
                module.stylizer.decoder.conv1_1.bias[0] = float("nan")

    watch(poison)
    with pytest.raises(TrainingError, match=r"^the weights were not finite after iteration 4\. Training has stopped; "):
        fit(make_config(training={"checkpoint_every": 2}), prepared, tmp_path)
    assert_good_checkpoint(tmp_path, 2)


def test_two_processes_do_not_train_in_one_folder(make_config, prepared, tmp_path):
    (tmp_path / "training").mkdir()
    with FileLock(tmp_path / "training" / ".lock"), pytest.raises(TrainingError, match="another process is training in"):
        train(TrainingJob(config=make_config(), prepared=prepared, folder=tmp_path / "training"))


def test_training_goes_on_from_a_trained_model(variant, make_config, prepared, tmp_path, watch):
    start = variant[2].model_folder
    seen = {}
    watch(lambda module: seen.setdefault("first", weights(module)))
    trained = load_model(start)[0]
    rates = {"learning_rate": 1e-12, "transform_learning_rate": 1e-12}
    # Other crops would scale the encoder otherwise; it must stay the one the model was trained on.
    training = {"iterations": 1, "reconstruction_iterations": 0, "crop": 48, **rates}
    again = make_config(model={"start": start}, encoder={"weights": None}, training=training)
    fit(again, prepared, tmp_path)
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(seen["first"][f"stylizer.{name}"], value, rtol=0, atol=1e-9)


def test_the_configuration_tells_a_start_its_options(variant, make_config, prepared, tmp_path):
    options = {"match_statistics": True, "bound_palette": True}
    training = {"iterations": 1, "reconstruction_iterations": 0}
    config = make_config(
        model={"start": variant[2].model_folder, "options": options}, encoder={"weights": None}, training=training
    )
    assert load_model(fit(config, prepared, tmp_path).model_folder)[1].options == options


def test_a_start_on_another_encoder_is_refused(variant, make_config, prepared, tmp_path):
    start = variant[2].model_folder
    config = make_config(model={"start": start}, encoder={"name": "vgg19", "weights": None})
    with pytest.raises(ConfigError, match=r"a model on the encoder vgg19-compact, but encoder.name is vgg19; set it to"):
        fit(config, prepared, tmp_path)


@pytest.mark.parametrize(
    ("asked", "accelerator", "cpu_has", "gpu_has", "chosen"),
    [
        ("auto", "cpu", True, True, "bf16-mixed"),
        ("auto", "cpu", False, True, "32-true"),
        ("auto", "auto", False, True, "bf16-mixed"),
        ("auto", "gpu", True, False, "32-true"),
        ("auto", "auto", False, None, "32-true"),
        ("bf16-mixed", "cpu", False, None, "bf16-mixed"),
        ("32-true", "gpu", True, True, "32-true"),
    ],
)
def test_auto_is_bf16_where_the_hardware_gains_by_it(monkeypatch, asked, accelerator, cpu_has, gpu_has, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_has is not None)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bool(gpu_has))
    monkeypatch.setattr("ieast.layers.precision._cpu_has_bf16", lambda: cpu_has)
    monkeypatch.setattr("ieast.layers.precision._cpu_is_intel", lambda: False)
    assert chosen_precision(asked, accelerator) == chosen


def test_bf16_on_a_cpu_that_only_emulates_it_is_warned_of(monkeypatch, caplog):
    monkeypatch.setattr("ieast.layers.precision._cpu_has_bf16", lambda: False)
    warn_of_slow_bf16.cache_clear()
    chosen_precision("bf16-mixed", "cpu")
    assert "ten to a hundred times as long as fp32: set training.precision to auto or 32-true" in caplog.text
    warn_of_slow_bf16.cache_clear()


def test_the_card_says_in_what_precision_was_trained(variant):
    _, folder, _, _ = variant
    assert load_model(folder / "model")[1].provenance["precision"] == "32-true"
