"""What cannot be printed does not fail the work: the command as a shell starts it, its streams closed, full or gone."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import draw_picture

ROOT = Path(__file__).resolve().parents[2]
NEEDS_FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("photos/a", "photos/b", "painting")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        draw_picture(number, 32, 24).save(tmp_path / f"{name}.png")
    return tmp_path


def shell(folder, redirection, *arguments, **environment):
    words = [sys.executable, "-c", "from ieast.cli.main import main; main()", "stylize", *arguments]
    return subprocess.run(
        ["/bin/sh", "-c", f"{shlex.join(words)} {redirection}"],
        cwd=folder,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
    )


@pytest.mark.parametrize(
    ("redirection", "out", "error"),
    [
        ("2>&-", b"out  2 pictures made, 0 kept from before, ieast\n", b""),
        (">&- 2>&- <&-", b"", b""),
        pytest.param(
            ">/dev/full", b"", b"ieast: not all that was said could be printed (No space left on device)\n", marks=NEEDS_FULL
        ),
        pytest.param("2>/dev/full", b"out  2 pictures made, 0 kept from before, ieast\n", b"", marks=NEEDS_FULL),
        ("| true", b"", b""),
    ],
)
def test_a_folder_is_made_whatever_becomes_of_what_is_said(folder, redirection, out, error):
    done = shell(folder, redirection, "photos", "painting.png", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (folder / "out" / "painting").iterdir()) == ["a.png", "b.png"]
    assert done.stdout == out
    assert done.stderr.splitlines()[-1:] == error.splitlines() or b"stylising" in done.stderr.splitlines()[-1]


def test_a_name_that_cannot_be_shown_is_written_all_the_same(folder):
    name = os.fsencode("bild-") + b"\xfc.png"
    done = shell(folder, "", "photos/a.png", "painting.png", "-o", os.fsdecode(name), PYTHONIOENCODING="latin-1:strict")
    assert done.returncode == 0, done.stderr
    assert (os.fsencode(folder) + b"/" + name) in [os.fsencode(path) for path in folder.iterdir()]
    assert done.stdout == b"bild-\\udcfc.png  32x24, ieast\n"
