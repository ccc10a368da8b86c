import json
import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from ieast.config import LossWeights
from ieast.errors import ConfigError
from ieast.experiment import AblationConfig, ExperimentConfig

SHIPPED = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


def parse(**values):
    return ExperimentConfig.parse(values)


def message_of(values):
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig.parse(values, "some.yaml")
    return str(caught.value)


# -- presets ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "paper", "official"),
    [
        ("objective.content_layers", "conv4_2", "normalised-relu4_1-relu5_1"),
        ("objective.distance", "l2", "mse"),
        ("model.style_head", (256, 128), (128, 128)),
        ("model.content_head", (128, 128), (256, 128)),
        ("objective.contrastive_reduction", "mean", "sum"),
        ("objective.adversarial", "log", "least-squares"),
        ("training.discriminator_betas", (0.5, 0.999), (0.5, 0.999)),
        ("training.learning_rate", 1e-4, 1e-4),
        ("training.learning_rate_decay", 0, 5e-5),
        ("training.batch_size", 16, 12),
        ("prepare.resize", "smallest-side", "square"),
        ("prepare.size", 512, 512),
        ("training.iterations", 160_000, 160_000),
        ("training.crop", 256, 256),
        ("objective.temperature", 0.2, 0.2),
        ("model.discriminator_scales", 3, 3),
        ("model.discriminator_width", 64, 64),
        ("objective.external_learning", True, True),
        ("objective.contrastive_learning", True, True),
        ("training.reconstruction_iterations", 0, 0),
        ("training.gradient_clip", None, None),
        ("model.attention_start", "random", "random"),
        ("encoder.name", "vgg19", "vgg19"),
    ],
)
def test_presets_are_as_the_method_says(place, paper, official):
    for preset, expected in (("paper", paper), ("official", official)):
        actual = parse(preset=preset)
        for part in place.split("."):
            actual = getattr(actual, part)
        assert actual == expected, preset


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_loss_weights_are_those_of_eq_7_and_4(preset):
    assert parse(preset=preset).objective.weights.model_dump() == {
        "style": 1,
        "adversarial": 5,
        "content": 1,
        "identity": 1,
        "style_contrastive": 0.3,
        "content_contrastive": 0.3,
        "identity_pixels": 50,
        "identity_taps": 1,
        "bands": 0,
        "total_variation": 0,
        "coherence": 0,
        "temporal": 0,
    }


def test_the_papers_preset_is_the_default():
    assert parse() == parse(preset="paper")


def test_presets_differ_in_nothing_that_the_table_does_not_name():
    def leaves(value, place=""):
        if isinstance(value, dict):
            return {k: v for name, inner in value.items() for k, v in leaves(inner, f"{place}.{name}").items()}
        return {place.removeprefix("."): value}

    paper, official = (leaves(parse(preset=preset).model_dump()) for preset in ("paper", "official"))
    assert {name for name in paper if paper[name] != official[name]} == {
        "preset",
        "prepare.resize",
        "model.style_head",
        "model.content_head",
        "objective.distance",
        "objective.content_layers",
        "objective.adversarial",
        "objective.contrastive_reduction",
        "training.batch_size",
        "training.learning_rate_decay",
    }


def test_what_is_set_wins_over_the_preset_and_leaves_its_neighbours():
    config = parse(preset="official", training={"batch_size": 8}, objective={"distance": "l2", "weights": {"style": 3}})
    assert (config.training.batch_size, config.training.learning_rate_decay) == (8, 5e-5)
    assert (config.objective.distance, config.objective.adversarial) == ("l2", "least-squares")
    assert (config.objective.weights.style, config.objective.weights.adversarial) == (3, 5)


def test_one_parse_leaves_nothing_behind_for_the_next():
    values = {"preset": "official", "training": {"batch_size": 8}}
    ExperimentConfig.parse(values)
    assert values == {"preset": "official", "training": {"batch_size": 8}}
    assert parse(preset="official").training.batch_size == 12


# -- what is refused --------------------------------------------------------------------------------------------------------


UNKNOWN = [
    "colour",
    "data.colour",
    "prepare.colour",
    "encoder.colour",
    "model.colour",
    "objective.colour",
    "objective.weights.colour",
    "training.colour",
    "evaluation.colour",
    "promotion.colour",
    "registry.colour",
]


@pytest.mark.parametrize("preset", ["paper", "official"])
@pytest.mark.parametrize("place", UNKNOWN)
def test_unknown_key_is_named_with_its_place(place, preset):
    *sections, key = place.split(".")
    values = {key: 1}
    for section in reversed(sections):
        values = {section: values}
    expected = (
        f"some.yaml is not a valid configuration:\n  {place}: unknown key; check its spelling and the section it stands in"
    )
    assert message_of({"preset": preset} | values) == expected


def test_unknown_key_of_a_threshold_is_named_with_its_number():
    thresholds = [{"metric": "a", "at_most": 1}, {"metric": "b", "at_most": 1, "colour": 2}]
    expected = "  promotion.thresholds.1.colour: unknown key; check its spelling and the section it stands in"
    assert message_of({"promotion": {"thresholds": thresholds}}).splitlines()[1:] == [expected]


def test_every_mistake_is_listed():
    message = message_of({"colour": 1, "training": {"crop": "large"}, "model": {"depth": 2}})
    assert len(message.splitlines()) == 4
    assert "  training.crop: Input should be a valid integer" in message


def test_unknown_preset():
    assert "  preset: Input should be 'paper', 'official' or 'compact'" in message_of({"preset": "papr"})


@pytest.mark.parametrize("size", [-2, 0, 1, 2, 4, 5, 7, 13])
def test_odd_or_small_batch_is_refused(size):
    message = message_of({"training": {"batch_size": size}})
    assert "training" in message
    if size > 0:
        assert message.splitlines()[1].startswith(f"  training: batch_size is {size}; it must be even and at least 6, because")


@pytest.mark.parametrize("size", [6, 8, 16])
def test_even_batches_from_6_on_are_accepted(size):
    assert parse(training={"batch_size": size}).training.batch_size == size


@pytest.mark.parametrize("crop", [200, 250, 255, 257])
def test_crop_must_be_a_multiple_of_16(crop):
    message = message_of({"training": {"crop": crop}})
    assert f"  training: crop is {crop}; it must be a multiple of 16" in message


@pytest.mark.parametrize(("scales", "smallest"), [(1, 32), (2, 64), (3, 128), (4, 256)])
def test_crop_must_be_large_enough_for_the_discriminator(scales, smallest):
    model = {"discriminator_scales": scales}
    assert parse(training={"crop": smallest}, model=model).training.crop == smallest
    message = message_of({"training": {"crop": smallest - 16}, "model": model})
    assert f"{scales} discriminator scales need at least {smallest} pixels" in message
    without = {"external_learning": False}
    assert parse(training={"crop": max(32, smallest - 16)}, model=model, objective=without)


@pytest.mark.parametrize("external", [True, False])
def test_crop_that_the_encoder_cannot_take_is_refused(external):
    # Reflection padding at relu5_1 needs two positions: a 16-pixel crop has one there.
    values = {"training": {"crop": 16}, "model": {"discriminator_scales": 1}, "objective": {"external_learning": external}}
    assert "crop is 16" in message_of(values)


def test_crop_must_not_exceed_the_prepared_size():
    assert parse(prepare={"size": 256}).training.crop == 256
    assert "training.crop is 256, larger than prepare.size 255" in message_of({"prepare": {"size": 255}})


def test_the_encoder_that_is_neither_shipped_nor_to_be_downloaded_needs_its_file():
    message = message_of({"encoder": {"name": "vgg19-normalised"}})
    assert "  encoder: encoder vgg19-normalised needs `weights`: the path of its file (vgg_normalised.pth)" in message


@pytest.mark.parametrize(
    ("encoder", "source", "has_unit_means"),
    [
        ({"name": "vgg19"}, "torchvision ImageNet", False),
        ({"name": "vgg19-compact"}, "shipped", True),
        ({"name": "vgg19-compact", "weights": "untrained"}, "untrained", False),
        ({"name": "vgg19-compact", "weights": "my.safetensors"}, "my.safetensors", False),
        ({"name": "vgg19-normalised", "weights": "vgg_normalised.pth"}, "vgg_normalised.pth", True),
    ],
)
def test_where_an_encoder_comes_from_decides_whether_its_taps_are_scaled(encoder, source, has_unit_means):
    config = parse(encoder=encoder).encoder
    assert (config.source, config.has_unit_mean_taps) == (source, has_unit_means)


@pytest.mark.parametrize(
    ("external", "contrastive", "method"),
    [(True, True, "ieast"), (True, False, "ieast-no-cl"), (False, True, "ieast-no-el"), (False, False, "sanet")],
)
def test_the_switches_name_the_method(external, contrastive, method):
    objective = {"external_learning": external, "contrastive_learning": contrastive}
    assert parse(objective=objective).method_name == method


@pytest.mark.parametrize("name", ["vgg19", "vgg19-normalised"])
def test_untrained_full_encoders_are_refused(name):
    message = message_of({"encoder": {"name": name, "weights": "untrained"}})
    assert "  encoder: `untrained` weights are offered for vgg19-compact only" in message


@pytest.mark.parametrize(
    "encoder",
    [
        {},
        {"weights": "vgg19.pth"},
        {"name": "vgg19-normalised", "weights": "vgg_normalised.pth"},
        {"name": "vgg19-compact", "weights": "untrained"},
        {"name": "vgg19-compact", "weights": "encoder5.safetensors"},
    ],
    ids=str,
)
def test_encoders_that_can_be_built_are_accepted(encoder):
    assert parse(encoder=encoder).encoder.model_dump(exclude_unset=True) == encoder


def test_threshold_that_says_nothing_is_refused():
    message = message_of({"promotion": {"thresholds": [{"metric": "ssim"}]}})
    assert "threshold on ssim sets none of at_most, at_least, relative_to_champion" in message


def test_weights_beside_a_model_that_brings_its_encoder_are_refused():
    message = message_of({"model": {"start": "ieast"}, "encoder": {"name": "vgg19-compact", "weights": "mine.safetensors"}})
    assert "model.start ieast brings the encoder it was trained on, so encoder.weights mine.safetensors would not be" in message


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("training.learning_rate", 0),
        ("training.learning_rate", -1e-4),
        ("training.learning_rate", float("nan")),
        ("training.learning_rate", float("inf")),
        ("objective.weights.style", float("inf")),
        ("training.learning_rate_decay", -1),
        ("training.anneal", 1.5),
        ("training.optimizer", "sgd"),
        ("training.gradient_clip", 0),
        ("training.iterations", 0),
        ("training.seed", -1),
        ("training.precision", "64"),
        ("objective.temperature", 0),
        ("objective.distance", "l1"),
        ("objective.weights.style", -0.1),
        ("model.style_head", [128]),
        ("model.style_head", [128, 0]),
        ("model.method", "adain"),
        ("prepare.jpeg_quality", 101),
        ("registry.name", "a b"),
        ("training", None),
        ("objective.weights", 3),
    ],
)
@pytest.mark.parametrize("preset", ["paper", "official"])
def test_values_out_of_range_are_refused_by_place(place, value, preset):
    values = value
    for part in reversed(place.split(".")):
        values = {part: values}
    assert f"\n  {place}" in message_of({"preset": preset} | values)


# -- files ------------------------------------------------------------------------------------------------------------------


def write(folder, text):
    path = folder / "experiment.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_loading_reads_the_section_of_the_pipelines_file(tmp_path):
    path = write(tmp_path, "enable_cache: true\nparameters:\n  config:\n    preset: official\n    training: {batch_size: 6}\n")
    assert ExperimentConfig.load(str(path)) == parse(preset="official", training={"batch_size": 6})


def test_errors_in_a_file_name_the_file(tmp_path):
    path = write(tmp_path, "parameters: {config: {colour: 1}}")
    with pytest.raises(ConfigError, match=r"experiment\.yaml is not a valid configuration:\n  colour: unknown key"):
        ExperimentConfig.load(path)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no configuration file .*experiment\.yaml"):
        ExperimentConfig.load(tmp_path / "experiment.yaml")


@pytest.mark.parametrize("text", ["parameters: [1,", "a: b: c", "\tparameters: 1", b"\xff\xfe\x00", b"caf\xe9: 1", "a: \x00"])
def test_file_that_is_no_yaml(tmp_path, text):
    with pytest.raises(ConfigError, match=r"experiment\.yaml is not valid YAML"):
        ExperimentConfig.load(write(tmp_path, text))


@pytest.mark.parametrize("text", ["", "- 1", "text", "parameters:", "parameters: 3", "parameters: [config]", "config: {}"])
def test_file_without_the_section(tmp_path, text):
    with pytest.raises(ConfigError, match=r"experiment\.yaml has no section `parameters: config:`"):
        ExperimentConfig.load(write(tmp_path, text))


@pytest.mark.parametrize("section", ["", "3", "[1]", "text"])
def test_section_that_is_no_mapping(tmp_path, section):
    with pytest.raises(ConfigError, match=r"experiment\.yaml is not a valid configuration:\n  \(whole\): Input should be"):
        ExperimentConfig.load(write(tmp_path, f"parameters:\n  config: {section}\n"))


def test_yaml_can_run_no_code(tmp_path):
    path = write(tmp_path, f"parameters: {{config: !!python/object/apply:os.mkdir ['{tmp_path}/it-ran']}}")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        ExperimentConfig.load(path)
    assert not (tmp_path / "it-ran").exists()


def test_shipped_presets_change_nothing_of_the_method():
    for preset in ("paper", "official"):
        (path,) = (path for path in SHIPPED if path.stem == preset)
        shipped = ExperimentConfig.load(path)
        assert shipped.preset == preset
        assert shipped.objective == parse(preset=preset).objective
        assert shipped.model == parse(preset=preset).model


# -- records ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_canonical_json_round_trip(preset):
    config = parse(
        preset=preset,
        training={"learning_rate": 3e-4, "batch_size": 10},
        promotion={"thresholds": [{"metric": "lpips", "at_most": 0.3}]},
    )
    text = config.canonical_json()
    again = ExperimentConfig.parse(json.loads(text))
    assert again == config
    assert again.canonical_json() == text
    assert ExperimentConfig.parse(yaml.safe_load(yaml.safe_dump(json.loads(text)))) == config


def test_canonical_json_is_sorted_and_does_not_depend_on_how_things_were_said():
    one = ExperimentConfig.parse({"training": {"crop": 128, "batch_size": 8}, "work_folder": "a"})
    other = ExperimentConfig.parse({"work_folder": "a", "training": {"batch_size": 8, "crop": 128, "seed": 0}})
    assert one.canonical_json() == other.canonical_json()
    values = json.loads(one.canonical_json())
    assert list(values) == sorted(values)
    assert list(values["training"]) == sorted(values["training"])


def test_configurations_cannot_be_changed():
    config = parse()
    with pytest.raises(ValidationError, match="frozen"):
        config.work_folder = "other"
    with pytest.raises(ValidationError, match="frozen"):
        config.objective.weights.style = 2
    assert config.objective.weights == LossWeights()


def test_work_folder_comes_from_the_environment(monkeypatch):
    monkeypatch.delenv("IEAST_WORK", raising=False)
    assert parse().work_folder == ".work"
    monkeypatch.setenv("IEAST_WORK", "/somewhere")
    assert parse().work_folder == "/somewhere"
    assert parse(work_folder="here").work_folder == "here"


def test_credentials_in_the_repository_are_refused():
    with pytest.raises(ConfigError, match=r"data: data\.repository holds credentials, which would be logged"):
        ExperimentConfig.parse({"data": {"repository": "https://me:token@example.org/data.git"}})
    for plain in ("https://example.org/data.git", "git@example.org:data.git", "."):
        assert ExperimentConfig.parse({"data": {"repository": plain}})


# -- ablations --------------------------------------------------------------------------------------------------------------


def test_cells_of_an_ablation_differ_in_their_switches_and_seed_alone():
    config = AblationConfig.parse({"work_folder": "w", "experiment": {"training": {"iterations": 7}}})
    assert (config.variants, config.seeds) == (("full", "no-el", "no-cl", "neither"), (0, 1, 2))
    switches = {}
    for variant in config.variants:
        cell = config.cell(variant, 5)
        switches[variant] = (cell.objective.external_learning, cell.objective.contrastive_learning)
        assert (cell.training.seed, cell.training.iterations, cell.work_folder) == (5, 7, "w")
        same = {"objective": {"external_learning": True, "contrastive_learning": True}, "training": {"seed": 0}}
        assert ExperimentConfig.parse(merged(cell.model_dump(mode="json"), same)) == config.cell("full", 0)
    assert switches == {"full": (True, True), "no-el": (False, True), "no-cl": (True, False), "neither": (False, False)}


def merged(values, over):
    return values | {section: values[section] | change for section, change in over.items()}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"seeds": [1, 1]}, "seeds [1, 1] holds something twice"),
        ({"variants": ["full", "full"]}, "variants ['full', 'full'] holds something twice"),
        ({"seeds": [-1]}, "seeds [-1] holds a negative one"),
        ({"seeds": []}, "seeds: "),
        ({"variants": ["half"]}, "variants.0: "),
        ({}, "experiment: "),
    ],
)
def test_ablations_that_make_no_sense_are_refused(values, message):
    experiment = {} if not values else {"experiment": {}}
    with pytest.raises(ConfigError) as caught:
        AblationConfig.parse(experiment | values)
    assert message in str(caught.value)


def test_an_ablation_whose_experiment_fits_and_whose_variants_do_not_is_refused():
    experiment = {"objective": {"external_learning": False}, "training": {"crop": 64}}
    ExperimentConfig.parse(experiment)
    with pytest.raises(ConfigError, match=r"variant full, seed 0 is not a valid configuration:\n.*training\.crop is 64"):
        AblationConfig.parse({"experiment": experiment})


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        (
            {"weights": {"coherence": 1}, "coherence": {"layers": ["relu3_1", "relu5_1"]}},
            "training.crop is 32, of which relu5_1 has 2 x 2 positions, none with eight neighbours for the term coherence",
        ),
        (
            {"weights": {"temporal": 1}, "motion": {"shift": 30}},
            "moves pictures by up to 32 pixels, out of a training.crop of 32",
        ),
    ],
)
def test_terms_that_a_crop_is_too_small_for_are_refused(objective, message):
    values = {"training": {"crop": 32}, "objective": {"external_learning": False, **objective}}
    with pytest.raises(ConfigError, match=re.escape(message)):
        parse(**values)
    parse(**{**values, "training": {"crop": 48}})


def test_a_section_that_stands_there_twice_is_refused(tmp_path):
    """PyYAML would take the second, and what the first says would be lost."""
    path = tmp_path / "config.yaml"
    path.write_text("parameters:\n  config:\n    training: {iterations: 7}\n    training: {batch_size: 8}\n")
    with pytest.raises(ConfigError, match=r"(?s)is not valid YAML: training stands there twice.*line 4"):
        ExperimentConfig.load(path)
    path.write_text("base: &base {iterations: 7}\nparameters:\n  config:\n    training: {<<: *base, batch_size: 8}\n")
    assert ExperimentConfig.load(path).training.iterations == 7
    path.write_text("parameters: {config: {training: {discriminator_betas: [0.5, 1.5]}}}")
    with pytest.raises(ConfigError, match="less than 1"):
        ExperimentConfig.load(path)
