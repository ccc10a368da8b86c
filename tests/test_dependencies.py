"""What each room of the package may import: the lean package stylizes, and extras add the rest."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from helpers.datasets import draw_picture
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = packages_distributions()

ROOMS = {
    "ieast": None,
    "ieast.checkpoint": "torch",
    "ieast.layers": "torch",
    "ieast.methods": "torch",
    "ieast.models": "torch",
    "ieast.onnx.export": "onnx",
    "ieast.stylization.session": "torch",
    "ieast.stylization.batch": "pipelines",
    "ieast.stylization.motion": "steady",
    "ieast.stylization.steady": "steady",
    "ieast.stylization.gallery": "torch",
    "ieast.io.ray_cluster": "ray",
    "ieast.stylization.ray_jobs": "ray",
    "ieast.stylization.texture": "torch",
    "ieast.stylizer": "torch",
    "ieast.io.clips": "torch",
    "ieast.io.deadlines": "serve",  # and `study`, which has it too
    "ieast.io.weights": "torch",
    "ieast.data": "train",
    "ieast.evaluation": "train",
    "ieast.losses": "train",
    "ieast.training": "train",
    "ieast.registry": "pipelines",
    "ieast.service": "serve",
    "ieast.study": "study",
    "steps": "pipelines",
    "pipelines": "pipelines",
    "reference": "torch",
}
"""The extra that each room needs; what is not named is as what holds it."""

LATE = {
    ("ieast.io", "torch"),  # pictures as tensors
    ("ieast.cli", "torch"),
    ("ieast.data", "pipelines"),  # dataset versions, by DVC
    ("ieast.cli", "pipelines"),  # the commands on the registry
    ("ieast.cli", "serve"),
    ("ieast.cli", "study"),
    ("ieast.models", "train"),  # where ImageNet's weights are
    ("ieast.stylization", "gallery"),
    ("ieast.stylization", "torch"),
    ("ieast.io", "heif"),
    ("ieast.io", "webcam"),
}
"""Rooms that import from a further extra inside functions, where that is asked for."""


def held_by(extra: str | None) -> set[str]:
    """Names of the distributions that installing this project with `extra` brings by declaration."""
    lines = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    actual = set() if extra is None else held_by(None)
    for line in lines:
        if own := re.fullmatch(r"ieast\[(.*)\]", line):
            actual |= set().union(*(held_by(other) for other in own[1].split(",")))
        else:
            actual.add(re.match(r"[A-Za-z0-9-]+", line)[0].lower())
    return actual


def room_of(module: str) -> str:
    return max((room for room in ROOMS if module == room or module.startswith(f"{room}.")), key=len)


def imports_of(path: Path) -> tuple[set[str], set[str]]:
    """Packages of others that a file imports when it is loaded, and those that it imports later or for types alone."""
    tree = ast.parse(path.read_text())
    at_once, all_of_them = set(), set()
    for actual, nodes in ((at_once, tree.body), (all_of_them, ast.walk(tree))):
        for node in nodes:
            if isinstance(node, ast.Import):
                actual |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                actual.add(node.module.split(".")[0])
    ours = {"ieast", "steps", "pipelines", "reference"}
    at_once, all_of_them = (actual - set(sys.stdlib_module_names) - ours for actual in (at_once, all_of_them))
    return at_once, all_of_them - at_once


def is_held(package: str, distributions: set[str]) -> bool:
    return any(name.lower().replace("_", "-") in distributions for name in DISTRIBUTIONS[package])


FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for package in ("ieast", "steps", "pipelines", "reference")
    for path in (ROOT / package).rglob("*.py")
}


@pytest.mark.parametrize("module", sorted(FILES))
def test_each_room_imports_only_what_its_extra_holds(module):
    at_once, late = imports_of(FILES[module])
    held = held_by(ROOMS[room_of(module)])
    assert {package for package in at_once if not is_held(package, held)} == set()
    further = set().union(*(held_by(extra) for room, extra in LATE if module.startswith(f"{room}.")))
    assert {package for package in late if not is_held(package, held | further)} == set()


def test_every_declared_package_is_imported_somewhere():
    used = set().union(*(set().union(*imports_of(path)) for path in FILES.values()))
    distributions = {name.lower().replace("_", "-") for package in used for name in DISTRIBUTIONS[package]}
    declared = set().union(*(held_by(extra) for extra in (None, "pipelines", "study", "serve", "gallery", "onnx")))
    assert declared - distributions == {"onnxscript"}  # PyTorch's exporter imports it


def test_the_lock_pins_every_declared_package():
    locked = {line.split("==")[0].lower() for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}
    for extra in (None, *PROJECT["optional-dependencies"]):
        assert held_by(extra) <= locked, extra


def lean(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run `ieast` where nothing but the lean package's declared dependencies, and what these bring, is installed."""
    brought = held_by(None)
    extras = {name for extra in PROJECT["optional-dependencies"] if extra != "dev" for name in held_by(extra)} - brought
    packages = [package for package in DISTRIBUTIONS if is_held(package, extras - {"jinja2", "fsspec", "rich"})]
    blocked = "; ".join(f"sys.modules[{package!r}] = None" for package in packages)
    code = f"import sys; {blocked}; from ieast.cli.main import main; sys.argv = ['ieast', *{list(command)!r}]; main()"
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True)


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("photo", "painting")):
        draw_picture(number, 48, 40).save(tmp_path / f"{name}.png")
    (tmp_path / "frames").mkdir()
    for number in range(2):
        draw_picture(number, 48, 32).save(tmp_path / "frames" / f"{number}.png")
    return tmp_path


def test_the_lean_package_stylizes_pictures_and_videos(folder):
    assert lean(folder, "stylize", "photo.png", "painting.png", "-o", "out.png").returncode == 0
    assert Image.open(folder / "out.png").size == (48, 40)
    video = lean(folder, "stylize", "frames", "painting.png", "-o", "out.mp4")
    assert video.returncode == 0, video.stderr
    again = lean(folder, "stylize", "out.mp4", "painting.png", "-o", "again.mp4")
    assert "2 frames" in again.stdout


def test_a_steady_clip_without_opencv_says_what_to_install(folder):
    answer = lean(folder, "stylize", "frames", "painting.png", "-o", "out.mp4", "--steady")
    assert answer.returncode == 2
    assert re.fullmatch(
        r"ieast: steady clips need OpenCV, by whose optical flow they hold still: pip install .*\[steady\]'.*\n", answer.stderr
    )
    assert not (folder / "out.mp4").exists()


def test_a_command_that_needs_more_says_which_extras_there_are(folder):
    (folder / "data").mkdir()
    config = ROOT / "configs" / "paper.yaml"
    answer = lean(folder, "train", "data", "--config", str(config), "-o", "runs")
    assert answer.returncode == 2
    assert re.fullmatch(
        r"ieast: this command needs \w+, which is not installed: pip install .*\[EXTRA\]'.*, where EXTRA is one of gallery, "
        r"heif, kubernetes, onnx, pipelines, ray, serve, servers, steady, study, torch, train, webcam\n",
        answer.stderr,
    )
