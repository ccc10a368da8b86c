"""Imports go down: a floor uses those printed below it in the README's architecture, never one above."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECTION = (ROOT / "README.md").read_text().split("## Architecture")[1]
PICTURE = re.search(r"```\n(.*?)```", SECTION, re.DOTALL)[1]


def floors() -> list[str]:
    """Modules and packages, from the highest down, as the README prints them: `pipelines`, ..., `ieast.cli`, ..."""
    names = []
    for indent, name in re.findall(r"^( *)([a-z_]+(?:\.py|/)) {2}", PICTURE, re.MULTILINE):
        module = name.removesuffix("/").removesuffix(".py")
        names.append(f"ieast.{module}" if indent else module)
    return [name for name in names if name not in ("ieast", "configs")]


FLOORS = floors()
PACKAGES = sorted({name.split(".")[0] for name in FLOORS})


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_of(path): path for package in PACKAGES for path in (ROOT / package).rglob("*.py")}


def imports_of(path: Path, *, also_late: bool = True) -> set[str]:
    """This project's modules that a file imports, wherever in it; without `also_late` only at its top, for running."""
    tree = ast.parse(path.read_text())
    nodes = ast.walk(tree) if also_late else tree.body
    actual = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            inner = (f"{node.module}.{alias.name}" for alias in node.names)
            actual |= {name if name in FILES else str(node.module) for name in inner}
        elif isinstance(node, ast.Import):
            actual |= {alias.name for alias in node.names}
    return actual & set(FILES)


def floor_of(module: str) -> str | None:
    return next((floor for floor in FLOORS if module == floor or module.startswith(f"{floor}.")), None)


def test_the_readme_prints_every_file_and_folder_of_the_package():
    there = {module_of(path) for path in (ROOT / "ieast").glob("*.py")} - {"ieast"}
    there |= {f"ieast.{path.name}" for path in (ROOT / "ieast").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {name for name in FLOORS if name.startswith("ieast.")} == there


@pytest.mark.parametrize("module", sorted(FILES))
def test_imports_go_down_only(module):
    own = floor_of(module)
    if own is None:
        assert module == "ieast"  # the public face, which loads lazily
        return
    above = FLOORS[: FLOORS.index(own)]
    assert [name for name in sorted(imports_of(FILES[module])) if floor_of(name) in above] == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: imports_of(path, also_late=False) for module, path in FILES.items()}
    assert list(TopologicalSorter(graph).static_order())


@pytest.mark.parametrize(
    ("library", "floors"),
    [("zenml", {"benchmarks", "pipelines", "steps"}), ("mlflow", {"benchmarks", "steps", "ieast.registry"})],
)
def test_only_some_floors_know(library, floors):
    for module, path in FILES.items():
        if any(re.match(rf"\s*(from|import) {library}\b", line) for line in path.read_text().splitlines()):
            assert floor_of(module) in floors, module


def test_no_two_files_of_tests_have_one_name():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []  # pytest would collect the first alone
