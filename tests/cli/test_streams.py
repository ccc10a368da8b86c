"""What cannot be printed does not fail the work: as a shell starts it, its streams closed, full or gone."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.datasets import draw_picture

ROOT = Path(__file__).resolve().parents[2]

COMMAND = "from ieast.cli.main import main; main()"

# What the command does with its streams, without the seconds that loading a model takes.
WORK = """
import sys
from pathlib import Path
from tqdm import tqdm
from ieast.cli.streams import tolerant_streams
with tolerant_streams():
    for _ in tqdm(range(2)):
        print("said", *sys.argv[1:])
    Path("made").write_text("whole")
    sys.exit(3)
"""

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")


def shell(folder, redirection, code, *arguments, **environment):
    words = shlex.join([sys.executable, "-c", code, *arguments])
    return subprocess.run(
        ["/bin/sh", "-c", f"({words}; echo $? >code) {redirection}"],
        cwd=folder,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment,
    )


@pytest.mark.parametrize(
    ("redirection", "out", "error"),
    [
        ("", b"said\nsaid\n", b"2/2 ["),
        ("2>&-", b"said\nsaid\n", b""),
        (">&- 2>&- <&-", b"", b""),
        (">/dev/full", b"", b"ieast: not all that was said could be printed (No space left on device)"),
        ("2>/dev/full", b"said\nsaid\n", b""),
        ("| true", b"", b"2/2 ["),
    ],
)
def test_the_work_is_done_whatever_becomes_of_what_is_said(tmp_path, redirection, out, error):
    done = shell(tmp_path, redirection, WORK)
    assert (tmp_path / "made").read_text() == "whole"
    assert (tmp_path / "code").read_text() == "3\n"
    assert done.stdout == out
    assert error in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_word_that_cannot_be_shown_is_shown_otherwise(tmp_path):
    done = shell(tmp_path, "", WORK, os.fsdecode(b"bild-\xfc.png"), PYTHONIOENCODING="latin-1:strict")
    assert (tmp_path / "made").exists()
    assert done.stdout == b"said bild-\\udcfc.png\n" * 2


def test_a_folder_is_stylized_when_nothing_can_be_said(tmp_path):
    for number, name in enumerate(("photos/a", "photos/b", "painting")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        draw_picture(number, 32, 24).save(tmp_path / f"{name}.png")
    shell(tmp_path, ">/dev/full 2>&-", COMMAND, "stylize", "photos", "painting.png", "-o", "out")
    assert (tmp_path / "code").read_text() == "0\n"
    assert sorted(path.name for path in (tmp_path / "out" / "painting").iterdir()) == ["a.png", "b.png"]


def test_a_picture_that_standard_output_does_not_take_is_an_error(tmp_path):
    for number, name in enumerate(("photo", "painting")):
        draw_picture(number, 32, 24).save(tmp_path / f"{name}.png")
    words = ["stylize", "photo.png", "painting.png", "-o", "-"]
    done = shell(tmp_path, ">/dev/full", COMMAND, *words)
    assert (tmp_path / "code").read_text() == "2\n"
    assert b"standard output cannot be written (No space left on device)" in done.stderr
    shell(tmp_path, "| head -c 10 >/dev/null", COMMAND, *words)
    assert (tmp_path / "code").read_text() == "0\n"  # whose reader has seen enough
