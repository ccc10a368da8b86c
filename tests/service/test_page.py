"""The page in a real browser: by mouse, by keyboard, on a phone."""

import base64
import contextlib
import io
import itertools
import shlex
import threading
import urllib.parse

import numpy as np
import pytest
from helpers.browsers import chromium, until
from helpers.datasets import draw_picture
from helpers.services import SMALL, model_of, served
from PIL import Image

import ieast.service.app
from ieast.service.app import Service


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile"), scripts=True) as browser:
        yield browser


@pytest.fixture(scope="module")
def client(browser, stylizer):  # no service is started where there is no browser
    with served(Service(model_of(stylizer), SMALL)) as client:
        yield client


@pytest.fixture
def page(browser, client):
    browser.window(1280, 900)
    browser.complaints.clear()
    browser.responses.clear()
    open_page(browser, client)
    yield browser
    assert {urllib.parse.urlsplit(url).netloc for url in browser.responses if url.startswith("http")} == {
        f"127.0.0.1:{client.port}"
    }
    browser.open("about:blank")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    draw_picture(1, 160, 120).save(folder / "my photo.png")
    draw_picture(2, 80, 90).save(folder / "painting.jpg")
    (folder / "notes.txt").write_text("no picture")
    for name, width, height in (("logo", 160, 120), ("thread", 20000, 1)):
        (folder / f"{name}.svg").write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"/>')
    return folder


def open_page(browser, client):
    browser.open(client.address + "/")
    until(lambda: browser.ask("document.body.dataset.ready"), "the wall is there")


def paint(page):
    page.click("#go")
    until(lambda: page.shows("#download") and page.text("#status").startswith("Done"), "the picture is painted")


def painted(page) -> np.ndarray:
    """The pixels of the painted picture, as the browser has them."""
    code = """(() => {
        const image = document.getElementById("after"), canvas = document.createElement("canvas");
        canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
        canvas.getContext("2d").drawImage(image, 0, 0);
        return canvas.toDataURL("image/png");
    })()"""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(page.ask(code).split(",")[1]))).convert("RGB")).astype(int)


def screen(page, folder) -> np.ndarray:
    page.screenshot(folder / "screen.png")
    return np.asarray(Image.open(folder / "screen.png").convert("RGB")).astype(int)


def test_a_walk_with_the_mouse(page, client, files):
    page.choose("#photo", files / "my photo.png")
    until(lambda: page.shows("#compare"), "the photo is shown")
    assert page.text("#status") == "Now choose a style."
    page.click(".tile", 1)
    page.click(".tile", 5)
    assert page.text("#count") == "2 chosen"
    assert page.text("#weights").split("\n") == ["Wave print", "50 %", "Stained glass", "50 %"]
    left, top, width, height = page.boxes("#weight-0")[0]
    page.drag((left + 0.25 * width, top + height / 2), (left + width - 4, top + height / 2))
    assert page.text("#weights").split("\n")[1] == "80 %"
    page.click("#colours")
    paint(page)
    assert page.ask("document.getElementById('download').download") == "my photo-painted.jpg"
    assert page.text("#model").startswith("Painted by drawn 1, digest-1")

    page.click("#call")
    words = shlex.split(page.text("#command").replace("\\\n", " "))
    assert words[0] == "curl"
    assert f"{client.address}/v1/stylize" in words
    fields = [word.split("=", 1) for flag, word in itertools.pairwise(words) if flag == "-F"]
    parts = [(name, (files / value[1:]).read_bytes() if value.startswith("@") else value) for name, value in fields]
    answer = client.stylize(*parts)
    assert answer.picture.size == (160, 120)
    assert abs(painted(page) - answer.pixels).max() < 4  # the same file, by two JPEG decoders
    page.press("Escape")
    assert not page.shows("#dialog")
    assert page.complaints == []


def test_the_slider_shows_before_and_after(page, client, files, tmp_path):
    page.choose("#photo", files / "my photo.png")
    until(lambda: page.shows("#compare"), "the photo is shown")
    page.click(".tile", 5)
    paint(page)
    left, top, width, height = page.boxes("#compare")[0]

    def half(place):
        """How far the picture's left or right part is from the photo."""
        screenshot = screen(page, tmp_path)[round(top) : round(top + height), round(left) : round(left + width)]
        photo = Image.open(files / "my photo.png").resize((screenshot.shape[1], screenshot.shape[0]), Image.Resampling.BILINEAR)
        return abs(screenshot - np.asarray(photo).astype(int))[30:-60, place].mean()

    first, last = slice(20, round(width / 4)), slice(-round(width / 4), -20)
    assert half(first) < 8 < half(last)
    middle = top + height / 2
    page.drag((left + width / 2, middle), (left + 2, middle))
    assert half(first) > 8
    page.drag((left + 2, middle), (left + width - 2, middle))
    assert half(last) < 8


def test_the_keyboard_alone_is_enough(page):
    def tab_to(identity):
        for _ in range(60):
            page.press("Tab")
            if page.ask("document.activeElement.id || document.activeElement.parentElement.className") == identity:
                return
        raise AssertionError(f"no way to {identity}")

    tab_to("sample")
    page.press("Enter")
    until(lambda: page.shows("#compare"), "the example is shown")
    tab_to("tile")
    page.press(" ")
    assert page.text("#count") == "1 chosen"
    tab_to("alpha")
    page.press("ArrowLeft")
    assert page.text("#alpha-says") == "95 %"
    tab_to("go")
    page.press("Enter")
    until(lambda: page.shows("#download"), "the picture is painted")
    page.ask("document.body.focus()")
    page.ask("document.activeElement.blur()")
    tab_to("split")
    page.press("ArrowRight")
    assert page.ask("getComputedStyle(document.getElementById('compare')).getPropertyValue('--split')") == "51%"
    tab_to("call")
    page.press("Enter")
    assert "-F alpha=0.95" in page.text("#command")


def stops_of_files(page) -> set[str]:
    """The fields for files that the Tab key comes to; a label of each is seen to have the focus."""
    stops = set()
    for _ in range(60):
        page.press("Tab")
        field = page.ask("document.activeElement.type === 'file' ? document.activeElement.id : ''")
        if field:
            stops.add(field)
            assert page.ask("""[...document.activeElement.labels].some((label) => label.checkVisibility()
                && getComputedStyle(label).outlineStyle === 'solid')"""), field
    return stops


def test_what_has_the_focus_can_be_seen(page, client, files):
    assert stops_of_files(page) == {"photo", "own"}
    page.window(360, 740, mobile=True)
    page.send("Emulation.setTouchEmulationEnabled", enabled=True)
    open_page(page, client)
    assert stops_of_files(page) == {"photo", "camera", "own"}
    page.choose("#camera", files / "my photo.png")
    until(lambda: page.shows("#compare"), "the photo is shown")
    assert stops_of_files(page) == {"photo", "own"}
    page.send("Emulation.setTouchEmulationEnabled", enabled=False)


def test_dropped_files_are_the_photo_and_a_style(page, client, files):
    page.drop("#stage", files / "my photo.png")
    until(lambda: page.shows("#compare"), "the photo is shown")
    page.drop("#wall-part", files / "painting.jpg")
    until(lambda: page.text("#count") == "1 chosen", "the style is chosen")
    assert page.text(".tile span") == "painting"
    page.click("#call")
    assert "-F style=@painting.jpg" in page.text("#command")
    page.press("Escape")
    paint(page)
    content, style = (
        (name, (files / file).read_bytes()) for name, file in (("content", "my photo.png"), ("style", "painting.jpg"))
    )
    assert abs(painted(page) - client.stylize(content, style).pixels).max() < 4
    page.click("#clear")
    assert page.text("#count") == "choose one or several"


def test_what_goes_wrong_is_said_in_words(page, client, files, monkeypatch):
    page.click("#go")
    assert page.text("#problem") == "First choose a photo."
    page.choose("#photo", files / "notes.txt")
    until(lambda: "notes.txt is not a picture" in page.text("#problem"), "it is said")
    page.choose("#photo", files / "my photo.png")
    until(lambda: page.shows("#compare"), "the photo is shown")
    page.click("#go")
    assert page.text("#problem") == "First choose a style."
    page.choose("#own", files / "notes.txt")
    until(lambda: "notes.txt is not a picture" in page.text("#problem"), "it is said")
    page.click(".tile")
    with contextlib.ExitStack() as stack:
        for _ in range(SMALL.waiting + SMALL.workers):
            stack.enter_context(client.connect(("content", b"x"), missing=9))
        until(lambda: client.ask("/readyz").status == 503, "all places are taken")
        page.click("#go")
        until(lambda: "All 9 places are taken" in page.text("#problem"), "it is said")
    until(lambda: client.ask("/readyz").status == 200, "the places are free")
    paint(page)
    assert page.text("#problem") == ""


def test_what_is_transparent_is_sent_on_white(page, files, monkeypatch):
    orders = []
    real = ieast.service.app.paint
    monkeypatch.setattr(ieast.service.app, "paint", lambda order, *others: orders.append(order) or real(order, *others))
    page.choose("#photo", files / "logo.svg")
    until(lambda: page.shows("#compare"), "the photo is shown")
    page.choose("#own", files / "logo.svg")
    until(lambda: page.text("#count") == "1 chosen", "the style is chosen")
    paint(page)
    for sent in (orders[0].content, *orders[0].styles):
        assert np.asarray(Image.open(io.BytesIO(sent))).min() > 250


def test_what_the_browser_cannot_draw_is_said(page, files):
    """It shows a picture of this shape, but makes no JPEG of it."""
    page.choose("#photo", files / "thread.svg")
    until(lambda: "thread.svg is not a picture that this browser can show" in page.text("#problem"), "it is said")
    assert not page.shows("#compare")
    assert page.shows("#empty")
    page.choose("#photo", files / "my photo.png")
    until(lambda: page.shows("#compare"), "the photo is shown")
    tiles = page.ask("document.querySelectorAll('.tile').length")
    page.choose("#own", files / "thread.svg")
    until(lambda: "thread.svg is not a picture that this browser can show" in page.text("#problem"), "it is said")
    assert page.ask("document.querySelectorAll('.tile').length") == tiles


def test_painting_can_be_stopped(page, client, files):
    page.choose("#photo", files / "my photo.png")
    until(lambda: page.shows("#compare"), "the photo is shown")
    page.click(".tile")
    begun, ending = threading.Event(), threading.Event()
    real = ieast.service.app.paint

    def slow(*arguments):
        begun.set()
        ending.wait(30)
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ieast.service.app, "paint", slow)
        page.click("#go")
        assert begun.wait(30)
        assert page.shows("#progress")
        assert page.ask("document.getElementById('go').disabled")
        page.click("#stop")
        until(lambda: page.text("#status") == "Stopped.", "it is stopped")
        ending.set()
    assert not page.shows("#progress")
    paint(page)


def test_a_phone_shows_everything_without_scrolling_sideways(page, client, files):
    page.window(360, 740, mobile=True)
    page.send("Emulation.setTouchEmulationEnabled", enabled=True)
    open_page(page, client)
    assert page.shows("label[for=camera]")  # takes a photo
    page.choose("#camera", files / "my photo.png")
    until(lambda: page.shows("#compare"), "the photo is shown")
    page.click(".tile", 2)
    page.click(".tile", 3)
    paint(page)
    content, window = page.widths()
    assert content <= window == 360
    shown = "label.button, button, a.button, .tile, select, .share input"
    boxes = [box for box in page.boxes_shown(shown) if box[2]]
    assert all(left >= 0 and left + width <= 360 for left, _, width, _ in boxes)
    assert all(height >= 44 for *_, height in page.boxes_shown("label.button, button, a.button, .tile"))  # what a thumb hits
    page.send("Emulation.setTouchEmulationEnabled", enabled=False)


@pytest.mark.parametrize(("scheme", "ground"), [("light", (244, 241, 235)), ("dark", (23, 22, 20))])
def test_light_and_dark(page, client, tmp_path, scheme, ground):
    page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    assert tuple(screen(page, tmp_path)[-3, 3]) == ground
    page.send("Emulation.setEmulatedMedia", features=[])


def test_a_key_is_asked_for_and_kept_for_the_visit(browser, stylizer, files):
    browser.window(1280, 900)
    with served(Service(model_of(stylizer), SMALL, api_key="sesame")) as client:
        open_page(browser, client)
        browser.choose("#photo", files / "my photo.png")
        until(lambda: browser.shows("#compare"), "the photo is shown")
        browser.click(".tile")
        browser.click("#go")
        until(lambda: "needs an API key" in browser.text("#problem"), "it is said")
        browser.ask("document.getElementById('key').focus()")
        browser.send("Input.insertText", text="sesame")
        paint(browser)
        browser.click("#call")
        assert "X-API-Key: $IEAST_API_KEY" in browser.text("#command")
        open_page(browser, client)
        assert browser.ask("document.getElementById('key').value") == "sesame"
        browser.open("about:blank")


def test_the_documentation_works_from_this_server_alone(page, client):
    page.complaints.clear()
    page.open(client.address + "/docs")
    until(lambda: page.ask("document.querySelectorAll('.opblock').length") == 8, "all addresses are listed")
    page.click(".opblock-post .opblock-summary-control")
    until(lambda: page.shows(".opblock-body"), "it opens")
    assert page.complaints == []
