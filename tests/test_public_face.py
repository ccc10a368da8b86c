import ast
import inspect
import subprocess
import sys

import pytest

import ieast


def loaded_by(code: str) -> set[str]:
    script = f"import sys; {code}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.PIPE, text=True).stdout.split())


def test_importing_the_package_loads_nothing():
    loaded = loaded_by("import ieast")
    assert not loaded & {"torch", "numpy", "PIL", "pydantic", "ieast.io", "ieast.config"}


def test_validating_settings_loads_neither_torch_nor_methods():
    code = "from ieast.config import TrainingConfig, PromotionConfig; TrainingConfig(); PromotionConfig()"
    loaded = loaded_by(code)
    assert not {name for name in loaded if name.split(".")[0] in {"torch", "lightning", "pandas"}}
    assert not {name for name in loaded if name.startswith(("ieast.methods", "ieast.models", "ieast.layers"))}


def test_type_checkers_and_interpreters_see_the_same_names():
    tree = ast.parse(inspect.getsource(ieast))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname: node.module for node in block.body for alias in node.names}
    assert seen == ieast._HOMES


@pytest.mark.parametrize("name", sorted(ieast._HOMES))
def test_every_public_name_is_there(name):
    assert getattr(ieast, name) is getattr(sys.modules[ieast._HOMES[name]], name)
    assert name in dir(ieast)


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="module 'ieast' has no attribute 'brush'"):
        ieast.brush  # noqa: B018
