import os
import subprocess
import sys

import pytest

from ieast.errors import OutputError
from ieast.io.files import atomic_write, check_name, place_for, replace_folder, temporary_folder

LONG = "ü" * 127  # 254 bytes, of 255 that a name may have


def write(path, text="new"):
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_link_is_followed_and_stays(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "link.txt").symlink_to("far/real.txt")  # which is not there yet
    for text in ("first", "second"):
        write(tmp_path / "link.txt", text)
        assert (tmp_path / "far" / "real.txt").read_text() == text
    assert (tmp_path / "link.txt").readlink().as_posix() == "far/real.txt"
    assert names(tmp_path / "far") == ["real.txt"]


def test_the_longest_names_can_be_written(tmp_path):
    write(tmp_path / LONG)
    with temporary_folder(tmp_path / LONG) as new:
        (new / "inside").touch()
        (tmp_path / LONG).unlink()
        (tmp_path / LONG).mkdir()
        replace_folder(new, tmp_path / LONG)
        new.mkdir()
    assert names(tmp_path) == [LONG]
    assert names(tmp_path / LONG) == ["inside"]


@pytest.mark.parametrize("name", [LONG + "ü", "x" * 256])
def test_a_name_that_is_too_long_is_said(tmp_path, name):
    for check in (check_name, write):
        with pytest.raises(OutputError, match=r"cannot be written, because the disk does not take names that long\."):
            check(tmp_path / name)
    assert names(tmp_path) == []


def test_what_is_in_the_place_is_said_and_stays(tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "folder").mkdir()
    for path, why in ((tmp_path / "file" / "new", "File exists"), (tmp_path / "folder", "Is a directory")):
        with pytest.raises(OutputError, match=rf"^{path}: cannot be written \({why}\)\. Choose another place, or make room"):
            write(path)
    with pytest.raises(OutputError, match=r"file: cannot be written \(File exists\)"):
        place_for(tmp_path / "file")
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "old"


def test_files_follow_the_umask(tmp_path):
    write(tmp_path / "file")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~mask


KILLED = """
import os, signal, sys
from pathlib import Path
from ieast.io.files import atomic_write, temporary_folder
folder = Path(sys.argv[1])
with temporary_folder(beside=folder / "model") as unfinished, atomic_write(folder / "a.png") as temporary:
    (unfinished / "weights").write_bytes(b"half")
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_that_writes_there_and_what_is_in_use_stays(tmp_path, monkeypatch):
    (tmp_path / ".mine-12345678.png").touch()
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], check=False)
    assert len(list(tmp_path.iterdir())) == 3
    with atomic_write(tmp_path / "b.png") as temporary:
        assert sorted(tmp_path.iterdir()) == sorted([tmp_path / ".mine-12345678.png", temporary])
        monkeypatch.setattr("ieast.io.files._swept", set())  # as another process would find it
        with atomic_write(tmp_path / "c.png"):
            pass
        assert temporary.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine-12345678.png", "b.png", "c.png"]
