import pytest

from ieast.errors import ConfigError
from ieast.experiment import BenchmarkConfig

SHARED = {"encoder": {"name": "vgg19-compact"}, "training": {"iterations": 7}}


def parse(*methods, **values):
    return BenchmarkConfig.parse({"experiment": SHARED, "methods": list(methods), **values})


def test_the_experiment_lies_over_each_methods_recipe_and_its_settings_over_both():
    config = parse("adain", {"method": "adain", "label": "strong", "settings": {"objective": {"weights": {"style": 40}}}})
    plain, strong = (config.cell(entry) for entry in config.methods)
    assert (plain.training.iterations, plain.training.batch_size) == (7, 8)  # the experiment's, the recipe's
    assert (plain.objective.weights.style, strong.objective.weights.style) == (10, 40)
    assert strong.objective.content_layers == "target"
    assert [entry.name for entry in config.methods] == ["adain", "strong"]


def test_others_are_compared_with_the_first_unless_another_is_named():
    assert parse("adain", "sanet").reference == "adain"
    assert parse("adain", "sanet", baseline="sanet").reference == "sanet"


@pytest.mark.parametrize(
    ("methods", "values", "message"),
    [
        ([], {}, "methods: Tuple should have at least 1 item"),
        (
            ["adain", {"method": "adain", "label": "again", "settings": {"training": {"checkpoint_every": 7}}}],
            {},
            "adain and again are one training",
        ),
        (["adain", {"method": "adain", "label": "again"}], {}, "adain and again are one training: give one of them other"),
        (["adain", "adain"], {}, r"holds a name twice; give one of them a `label`"),
        (["nonsense"], {}, r"there is no method 'nonsense'; known are adain, "),
        (["wct+el"], {}, r"method wct\+el: EL and CL need a method that learns to stylize"),
        ([{"method": "adain", "model": "ieast"}], {}, "give either `method`, which is trained, or `model`"),
        ([{"label": "x"}], {}, "give either `method`, which is trained, or `model`"),
        ([{"model": "ieast"}], {}, "model ieast needs a `label`"),
        ([{"model": "ieast", "label": "x", "settings": {"training": {}}}], {}, "its settings would not be used"),
        ([{"method": "adain", "settings": {"data": {}}}], {}, "may change model, objective and training, not data"),
        ([{"method": "adain", "label": "../x"}], {}, "label: String should match pattern"),
        (["adain"], {"baseline": "sanet"}, "baseline is sanet, which is none of the methods adain"),
        (["adain"], {"experiment": {"method": "sanet"}}, "experiment.method: the methods stand under `methods`"),
        (["adain"], {"experiment": {"training": {"batch_sise": 8}}}, "training.batch_sise: unknown key"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(methods, values, message):
    with pytest.raises(ConfigError, match=message):
        parse(*methods, **values)


def test_a_method_that_knows_its_own_styles_only_sets_the_styles_that_all_are_compared_in():
    with pytest.raises(ConfigError, match="johnson knows the styles that it learns and no others"):
        parse("adain", {"method": "johnson", "settings": {"model": {"options": {"styles": 4}}}})
    entry = {"method": "johnson", "settings": {"model": {"options": {"styles": 4}}}}
    config = parse("adain", entry, experiment=SHARED | {"evaluation": {"styles": 4}})
    assert config.cell(config.methods[1]).model.options["styles"] == 4
