"""The browser demo, built and used in a real browser: its pictures are those of `ieast stylize`."""

import functools
import http.server
import io
import shutil
import subprocess
import sys
import threading
import urllib.parse
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from helpers.browsers import chromium, until
from PIL import Image
from typer.testing import CliRunner

from ieast.cli.main import app
from ieast.data.sample import draw_photograph

WEB = Path(__file__).resolve().parents[2] / "web"
WIDTH, HEIGHT = 181, 150


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The built folder."""
    if not (WEB / "node_modules" / "onnxruntime-web").is_dir():
        pytest.skip("ONNX Runtime for browsers is not there: npm install --prefix web")
    folder = tmp_path_factory.mktemp("web") / "demo"
    subprocess.run([sys.executable, WEB / "build.py", "-o", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def address(demo):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=demo)
    handler.log_message = lambda *arguments: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(draw_photograph(5, seed=0, size=(HEIGHT, WIDTH))).save(path)
    return path


@pytest.fixture(scope="module")
def page(address, photo, tmp_path_factory):
    """The demo, its model loaded and the photo chosen."""
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.send("Emulation.setScriptExecutionDisabled", value=False)
        browser.window(1400, 900)
        browser.open(address)
        until(lambda: "model is ready" in status(browser), "the model is there")
        choose(browser, "#photo", photo)
        yield browser
        hosts = {urllib.parse.urlsplit(url).hostname for url in browser.responses if url.startswith("http")}
        assert hosts == {"127.0.0.1"}
        assert [text for text in browser.complaints if "Content Security Policy" in text] == []


def run(browser, script):
    answer = browser.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
    return answer["result"].get("value")


def status(browser):
    return run(browser, "document.getElementById('status').textContent") or ""


def choose(browser, selector, *paths):
    root = browser.send("DOM.getDocument", depth=0)["root"]["nodeId"]
    node = browser.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
    browser.send("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])


def set_to(browser, name, value):
    kind = "checked" if isinstance(value, bool) else "value"
    written = str(value).lower() if isinstance(value, bool) else repr(str(value))
    run(browser, f"{{const e = document.getElementById('{name}'); e.{kind} = {written}; e.dispatchEvent(new Event('input'));}}")


def painted(browser):
    """What the page makes now."""
    until(lambda: run(browser, "!document.getElementById('run').disabled"), "painting can begin")
    before = run(browser, "document.body.dataset.painted ?? ''")
    browser.click("#run")
    until(
        lambda: run(browser, "document.body.dataset.painted ?? ''") != before or "not work" in status(browser), "it is painted"
    )
    assert "Painted" in status(browser)
    data = run(browser, "document.getElementById('after').toDataURL()")
    return np.asarray(Image.open(io.BytesIO(b64decode(data.split(",")[1]))).convert("RGB")).astype(int)


def stylized(photo, styles, folder, *options):
    words = ["stylize", photo, *styles, "-o", folder / "out.png", *options]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None, result.output
    return np.asarray(Image.open(folder / "out.png")).astype(int)


def test_its_pictures_are_those_of_the_command(page, demo, photo, tmp_path):
    first, second = sorted((demo / "styles").glob("*.jpg"))[:2]
    sides = [min(Image.open(path).size) for path in (first, second)]
    assert max(sides) <= 512  # so that neither side scales them
    assert np.abs(painted(page) - stylized(photo, [first], tmp_path)).max() <= 2
    page.click("#wall button", 1)
    set_to(page, "alpha", 60)
    set_to(page, "luminance", True)
    run(page, "{const e = document.querySelectorAll('#weights input')[1]; e.value = 50; e.dispatchEvent(new Event('input'));}")
    options = ["--weight", 2, "--weight", 1, "--alpha", 0.6, "--preserve-colour", "luminance"]
    assert np.abs(painted(page) - stylized(photo, [first, second], tmp_path, *options)).max() <= 2


def test_a_photo_is_scaled_down_to_the_chosen_size(page, tmp_path):
    Image.fromarray(draw_photograph(1, seed=0, size=(600, 400))).save(tmp_path / "large.jpg")
    choose(page, "#photo", tmp_path / "large.jpg")
    run(page, "{const e = document.getElementById('size'); e.value = '256'; e.dispatchEvent(new Event('change'));}")
    until(lambda: run(page, "document.getElementById('before').width") == 256, "the photo is drawn")
    assert painted(page).shape == (384, 256, 3)


def test_what_is_painted_of_a_photo_that_is_shown_no_more_is_dropped(page, photo, tmp_path):
    choose(page, "#photo", photo)
    until(lambda: not run(page, "document.getElementById('run').disabled"), "painting can begin")
    page.click("#run")
    Image.fromarray(draw_photograph(2, seed=0, size=(300, 200))).save(tmp_path / "next.jpg")
    choose(page, "#photo", tmp_path / "next.jpg")
    until(lambda: status(page) == "Ready.", "the first is through")
    assert run(page, "document.getElementById('before').width") == 200
    assert run(page, "document.getElementById('after').width") == 0
    assert run(page, "document.getElementById('download').hidden")
    assert painted(page).shape == (300, 200, 3)


def test_what_is_no_picture_is_said(page, tmp_path):
    (tmp_path / "words.png").write_text("no picture")
    choose(page, "#photo", tmp_path / "words.png")
    until(lambda: "words.png is not a picture that this browser can read" in status(page), "it is said")


def test_the_slider_shows_the_photo_beside_the_result(page, photo):
    choose(page, "#photo", photo)
    painted(page)
    set_to(page, "compare", 50)
    assert run(page, "getComputedStyle(document.getElementById('after')).clipPath") == "inset(0px 0px 0px 50%)"
    assert not run(page, "document.getElementById('handle').hidden")


def test_a_field_for_files_that_has_the_focus_can_be_seen(page):
    seen = set()
    for _ in range(40):
        page.press("Tab")
        if field := run(page, "document.activeElement.type === 'file' ? document.activeElement.id : ''"):
            seen.add(field)
            labels = f"[...document.querySelectorAll('label.button[for={field}]')]"
            assert run(page, f"{labels}.map((label) => getComputedStyle(label).outlineStyle)") == ["solid"]
    assert seen == {"photo", "own"}


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_it_fits_the_window(page, width, tmp_path):
    page.window(width, 900, mobile=width < 500)
    content, window = page.widths()
    assert content <= window
    page.screenshot(tmp_path / f"{width}.png")


def test_a_folder_without_the_runtime_says_what_to_fetch(tmp_path):
    shutil.copytree(WEB, tmp_path / "web", ignore=shutil.ignore_patterns("node_modules"))
    command = [sys.executable, tmp_path / "web" / "build.py", "-o", tmp_path / "out"]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 2
    assert "npm install" in answer.stderr
    assert not (tmp_path / "out").exists()
