import pytest
from pydantic import BaseModel

from ieast.errors import ConfigError
from ieast.experiment import ExperimentConfig
from ieast.methods import NAME_SWITCHES, build, find, full_name, names, new_model, split_name
from ieast.stylizer.base import Stylizer

ENDINGS = ["", "+el", "+cl", "+el+cl"]
LEARNERS = [name for name in names() if find(name).learns == "stylization"]
OTHERS = [name for name in names() if find(name).learns != "stylization"]


def parse(method, **sections):
    return ExperimentConfig.parse({"method": method, "encoder": {"name": "vgg19-compact"}, **sections})


@pytest.mark.parametrize("name", names())
def test_a_file_defines_the_method_of_its_name(name):
    method = find(name)
    assert issubclass(method, Stylizer)
    assert method.name == name
    assert method.__module__ == f"ieast.methods.{name.replace('-', '_')}"
    assert method.__doc__


@pytest.mark.parametrize("name", names())
def test_every_method_is_a_configuration_by_its_name_alone(name):
    config = parse(name)
    assert config.method_name == name
    assert ExperimentConfig.parse(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_taken_over_and_settings_go_over_it(name):
    recipe = find(name).recipe
    config = parse(name).model_dump()
    for section, values in recipe.items():
        for key, value in values.items():
            actual = config[section][key]
            assert (actual | value if isinstance(value, dict) else value) == actual, f"{section}.{key}"
    assert parse(name, training={"batch_size": 10}).training.batch_size == 10


@pytest.mark.parametrize("name", names())
def test_options_have_defaults_and_unknown_ones_are_refused(name, encoder, make_config):
    method = find(name)
    defaults = method.parse_options({})
    assert isinstance(defaults, BaseModel)
    assert method.parse_options(defaults.model_dump(mode="json")) == defaults
    stylizer = new_model(name, encoder, make_config(model={"attention_start": "random"}).model)
    assert isinstance(stylizer, method)
    assert stylizer.encoder is encoder
    with pytest.raises(ConfigError, match=rf"^model\.options of {name} is not a valid configuration:\n  brushes: unknown key"):
        build(name, encoder, {"brushes": 3})
    with pytest.raises(ConfigError, match=r"brushes: unknown key"):
        parse(name, model={"options": {"brushes": 3}})


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("ending", ENDINGS)
def test_el_and_cl_switch_on_by_name(name, ending):
    base, on = split_name(name + ending)
    assert base == name
    assert on == {NAME_SWITCHES[switch]: True for switch in ending.split("+")[1:]}
    objective = parse(name + ending).objective
    for setting in on:
        assert getattr(objective, setting)


@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in ("ieast", "sanet")])
@pytest.mark.parametrize("ending", ENDINGS)
def test_full_name_is_the_inverse_of_split_name(name, ending):
    base, on = split_name(name + ending)
    switches = {setting: setting in on for setting in NAME_SWITCHES.values()}
    assert full_name(base, **switches) == name + ending
    assert parse(name + ending).method_name == name + ending


def test_sanet_with_both_terms_is_this_papers_method_and_without_them_that_is_sanet():
    assert parse("sanet+el+cl").method_name == "ieast"
    assert parse("sanet+el").method_name == "ieast-no-cl"
    off = {"external_learning": False, "contrastive_learning": False}
    assert parse("ieast", objective=off).method_name == "sanet"


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("ending", ["+el", "+cl", "+el+cl"])
def test_el_and_cl_are_refused_where_nothing_learns_to_stylize(name, ending):
    with pytest.raises(ConfigError, match=r"EL and CL need a method that learns to stylize"):
        parse(name + ending)


@pytest.mark.parametrize("switch", NAME_SWITCHES.values())
@pytest.mark.parametrize("name", OTHERS)
def test_so_they_are_as_settings(name, switch):
    with pytest.raises(ConfigError, match=r"EL and CL need a method that learns to stylize"):
        parse(name, objective={switch: True})


def test_an_unknown_method_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=rf"there is no method 'picasso'; known are {', '.join(names())}"):
        parse("picasso")


@pytest.mark.parametrize("name", ["adain+gl", "adain+el+el", "adain+", "+el", "Adain", "ada_in", "adain el"])
def test_a_name_that_is_not_written_so_is_refused(name):
    with pytest.raises(ConfigError, match=r"is not a method's name, followed by \+el, \+cl or both"):
        split_name(name)
