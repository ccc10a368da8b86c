"""Two users of one machine, whose temporary files lie in the same folder."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from helpers.datasets import draw_picture
from helpers.hunting import LIMIT, environment_of, hidden, trials

# Of another user, but allowed to read all, so that it can run the Python of this one; it may write only what is its own.
ANOTHER = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *(
    f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")
)]  # fmt: skip
WORK = """set -e
git init -q
dvc init -q
ieast data add --content "$1/content" --style "$1/style" --repository .
git add -A
git -c user.name=t -c user.email=t@example.com commit -qm data
dvc remote add -q -d team "$PWD/remote"
dvc push -q
rm -rf data .dvc/cache
dvc pull -q
ieast stylize data/content data/style -o out
ieast stylize "$1/clip.gif" "$1/style/0.png" -o clip.mp4
"""


@pytest.fixture
def open_folder():
    """One that others may look into, as pytest's may not be."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.timeout(900)
def test_neither_hinders_the_other(open_folder):
    if not trials(0):
        pytest.skip("takes a minute; `make hunt` has it")
    if os.geteuid() or shutil.which("setpriv") is None:
        pytest.skip("only root, with util-linux's setpriv, can work as two users")
    shared = open_folder / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    for side in ("content", "style"):
        (open_folder / side).mkdir()
        for number in range(3):
            draw_picture(number + len(side), 40, 40).save(open_folder / side / f"{number}.png")
    frames = [draw_picture(number, 48, 48) for number in range(4)]
    frames[0].save(open_folder / "clip.gif", save_all=True, append_images=frames[1:])
    owners = {"first": [], "second": ANOTHER, "first again": []}
    for names in (("first", "second"), ("first again",)):  # two at once, and one where another has been
        working = {name: begun(open_folder / name, owners[name], shared, open_folder) for name in names}
        for name, process in working.items():
            said, _ = process.communicate(timeout=LIMIT)
            assert process.returncode == 0, f"{name}: {said}"
            assert "Traceback" not in said
    results = {name: [path.read_bytes() for path in sorted((open_folder / name / "out").rglob("*.png"))] for name in owners}
    assert len(results["first"]) == 9
    assert results["first"] == results["second"] == results["first again"]
    assert all((open_folder / name / "clip.mp4").stat().st_size for name in owners)
    assert [hidden(open_folder / name / "out") for name in owners] == [[], [], []]
    assert [path.name for path in shared.iterdir() if "ieast" in path.name] == []


def begun(folder: Path, as_user: list[str], shared: Path, pictures: Path) -> subprocess.Popen[str]:
    folder.mkdir()
    if as_user:
        os.chown(folder, 65534, 65534)
    environment = environment_of(folder) | {"HOME": str(folder), "TMPDIR": str(shared)}
    return subprocess.Popen(
        [*as_user, "bash", "-c", WORK, "bash", str(pictures)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
