"""`ieast serve`, `sheet` and `doctor`, as people type them."""

import json
import os
import re
import signal
import subprocess
import sys
import threading

import pytest
from helpers.datasets import draw_picture
from helpers.services import Client
from PIL import Image
from typer.testing import CliRunner

from ieast.cli.main import app
from ieast.errors import ConfigError, IeastError, ImageError
from ieast.installation import install_with
from ieast.styles import shipped_styles

NOWHERE = ("--host", "203.0.113.7", "--port", "0")
"""An address that no machine has: what is not refused before fails there, and serves nobody."""


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_serve_answers_until_it_is_told_to_stop(tmp_path):
    command = [sys.executable, "-c", "from ieast.cli.main import main; main()", "serve", "--port", "0"]
    environment = {**os.environ, "IEAST_API_KEY": "sesame", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        said = process.stdout.readline()
        port = int(re.match(r"ieast \S+ paints at http://127\.0\.0\.1:(\d+)/  and answers at", said)[1])
        client = Client(port, None, None)
        photo = tmp_path / "photo.jpg"
        draw_picture(1, 64, 48).save(photo)
        parts = (("content", photo.read_bytes()), ("style_name", "comic"))
        assert client.stylize(*parts).status == 401
        answers = []
        asking = threading.Thread(target=lambda: answers.append(client.stylize(*parts, X_API_Key="sesame").picture.size))
        asking.start()
        asking.join(60)
        process.send_signal(signal.SIGTERM)
        rest, log = process.communicate(timeout=60)
    assert answers == [(64, 48)]
    assert process.returncode == 0
    assert "stopped" in rest
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line["status"] for line in lines if line["route"] == "/v1/stylize"] == [401, 200]
    assert list(tmp_path.iterdir()) == [photo]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nothing-here",), "holds no model"),
        (NOWHERE, "cannot listen on 203.0.113.7"),
        (("--device", "cuda:99"), "cannot be used on this machine"),
        (("--api-key", "", *NOWHERE), "--api-key (or IEAST_API_KEY) is empty, and whoever reaches the service could use it"),
        (("--api-key", " ", *NOWHERE), "--api-key (or IEAST_API_KEY) is empty"),
        (("--pixels", "150000001", *NOWHERE), "--pixels is 150,000,001; pictures of more than 150,000,000 are not read"),
    ],
)
def test_what_cannot_be_served_is_said_before_the_port_opens(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = run("serve", *arguments).exception
    assert isinstance(error, IeastError)
    assert says in str(error)


@pytest.mark.parametrize("key", ["", " "])
def test_a_key_that_was_set_and_is_empty_protects_nothing_and_is_refused(monkeypatch, key):
    monkeypatch.setenv("IEAST_API_KEY", key)
    assert "IEAST_API_KEY) is empty" in str(run("serve", *NOWHERE).exception)


@pytest.mark.parametrize(("pixels", "decoded"), [(4096, 50_000_000), (90_000_000, 90_000_000), (150_000_000, 150_000_000)])
def test_pictures_that_may_be_stylized_may_be_read(monkeypatch, pixels, decoded):
    asked = []

    def stop(model, limits, *rest):
        asked.append(limits)
        raise IeastError("enough is known")

    monkeypatch.setattr("ieast.service.models.load_served", lambda *model: None)
    monkeypatch.setattr("ieast.service.app.Service", stop)
    assert str(run("serve", "--pixels", pixels).exception) == "enough is known"
    assert [(limits.stylized_pixels, limits.decoded_pixels) for limits in asked] == [(pixels, decoded)]


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "fastapi" else name)
    error = run("serve").exception
    assert isinstance(error, ConfigError)
    assert str(error) == f"ieast serve needs fastapi: {install_with('serve')}"


def test_one_photo_in_every_style_of_a_folder(tmp_path):
    draw_picture(1, 90, 70).save(tmp_path / "photo.png")
    (tmp_path / "styles").mkdir()
    for number in range(4):
        draw_picture(number, 50, 60).save(tmp_path / "styles" / f"s{number}.png")
    result = run("sheet", tmp_path / "photo.png", "--styles", tmp_path / "styles", "-o", tmp_path / "out.png", "--cell", 64)
    assert result.exception is None, result.output
    assert "4 styles, ieast" in result.output
    assert Image.open(tmp_path / "out.png").size == (3 * 68 + 4, 2 * 90 + 4)
    (tmp_path / "styles" / "s2.png").write_text("damaged")
    error = run(
        "sheet", tmp_path / "photo.png", "--styles", tmp_path / "styles", "-o", tmp_path / "out.png", "--cell", 64
    ).exception
    assert isinstance(error, ImageError)
    assert str(error).startswith("1 styles could not be applied; all others are on the sheet:")
    assert "s2.png" in str(error)


def test_a_sheet_has_every_style_and_replaces_none_of_its_pictures(tmp_path):
    photo = tmp_path / "photo.png"
    draw_picture(1, 64, 64).save(photo)
    for number, name in enumerate(("a/wave.png", "b/wave.png", "c.png", "c.jpg")):
        path = tmp_path / "styles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_picture(number, 50, 60).save(path)
    words = ["sheet", photo, "--styles", tmp_path / "styles", "--cell", 32, "--style-size", 32]
    assert "4 styles, ieast" in run(*words, "-o", tmp_path / "out.png").output
    before = photo.read_bytes()
    for output in (photo, tmp_path / "styles" / "c.png"):
        assert "is one of the inputs and would be overwritten" in str(run(*words, "-o", output).exception)
    assert photo.read_bytes() == before
    error = run("sheet", photo, "--styles", tmp_path / "nowhere", "-o", tmp_path / "new.png").exception
    assert str(error).endswith("nowhere: there is no such folder. Check the path")
    assert not (tmp_path / "new.png").exists()


def test_by_default_the_shipped_styles(tmp_path):
    draw_picture(1, 64, 64).save(tmp_path / "photo.png")
    result = run("sheet", tmp_path / "photo.png", "-o", tmp_path / "out.jpg", "--size", 64, "--style-size", 32, "--cell", 32)
    assert f"{len(shipped_styles())} styles" in result.output


def test_doctor_says_what_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IEAST_WORK", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    report = json.loads(run("doctor", "--json").output)
    assert set(report) == {"versions", "machine", "weights", "stack"}
    assert report["versions"]["torch"] != "not installed"
    assert report["weights"]["ieast"] == "loads: ieast on vgg19-compact"
    assert "available" in report["machine"]["memory"]
    text = run("doctor").output
    assert re.search(r"^versions\n  ieast ", text)
    assert list(tmp_path.iterdir()) == []  # looked at, not made
