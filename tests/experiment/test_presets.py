from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from ieast.config import merge
from ieast.experiment import AblationConfig, BenchmarkConfig, ExperimentConfig
from ieast.methods import find, names

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def given(name: str) -> dict[str, Any]:
    return yaml.safe_load((CONFIGS / name).read_text())["parameters"]["config"]


def leaves(values: Mapping[str, Any], *above: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from leaves(value, *above, key)
        else:
            yield (*above, key), value


def without(values: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    key, *rest = path
    return {k: without(v, tuple(rest)) if k == key else v for k, v in values.items() if k != key or rest}


def resolved(values: Mapping[str, Any]) -> dict[str, Any]:
    return ExperimentConfig.parse(values).model_dump(mode="json")


@pytest.mark.parametrize(
    "name", sorted(path.name for kind in ("compact", "ablation", "benchmark") for path in CONFIGS.glob(f"{kind}*.yaml"))
)
def test_files_say_only_what_differs_from_their_preset(name):
    values = given(name)
    experiment = values.get("experiment", values)
    assert experiment["preset"] == "compact"
    for path, _ in leaves(experiment):
        assert resolved(without(experiment, path)) != resolved(experiment), path


@pytest.mark.parametrize("method", [name for name in names() if name != "johnson"])
@pytest.mark.parametrize("preset", ["paper", "official", "compact"])
def test_every_method_has_every_preset(preset, method):
    config = ExperimentConfig.parse({"preset": preset, "method": method, "encoder": {"name": "vgg19-compact"}})
    assert config.preset == preset


def test_the_compact_preset_is_equal_for_all_methods_but_for_what_they_are():
    configs = [ExperimentConfig.parse({"preset": "compact", "method": name}) for name in names()]
    shared = {"batch_size": 6, "crop": 128, "zoom": 1, "optimizer": "soap", "learning_rate": 1e-3, "learning_rate_decay": 0}
    for config in configs:
        method = find(config.method)
        assert {key: getattr(config.training, key) for key in shared} == shared
        assert config.prepare.resize == "smallest-side"
        assert not config.prepare.enlarge
        assert config.objective.unit == "picture"
        assert config.model.attention_start == ("adain" if method.has_attention else "random")
        learns_more = method.learns == "stylization" and method.reconstructs
        assert config.training.reconstruction_iterations == (1500 if learns_more else 0)


def test_what_is_given_goes_over_the_preset():
    over = {"training": {"batch_size": 12}, "objective": {"weights": {"style": 7}}}
    plain, changed = (resolved({"preset": "compact"} | values) for values in ({}, over))
    assert changed == merge(plain, over)


@pytest.mark.parametrize("length", ["", "-longer"])
def test_the_ablation_and_the_benchmark_train_the_papers_method_alike(length):
    ablation = AblationConfig.load(CONFIGS / f"ablation{length}.yaml")
    benchmark = BenchmarkConfig.load(CONFIGS / f"benchmark{length}.yaml")
    cells = [ablation.cell("full", 0), benchmark.cell(benchmark.methods[0])]
    first, second = (cell.model_dump(include={"method", "model", "objective", "training", "prepare"}) for cell in cells)
    assert first == second
