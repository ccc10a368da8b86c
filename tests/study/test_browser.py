"""People who vote in a real browser, with a mouse, with a keyboard, and on a phone."""

import sqlite3
import time
import urllib.parse

import numpy as np
import pytest
from helpers.browsers import chromium, until
from helpers.studies import Form, served, who
from PIL import Image

from ieast.study.store import HASTE


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser, study):
    """The browser on the first page of the study."""
    browser.complaints.clear()
    browser.responses.clear()
    browser.window(1280, 800)
    with served(study) as address:
        browser.send("Network.clearBrowserCookies")
        browser.open(address)
        yield browser
        assert {urllib.parse.urlsplit(url).hostname for url in browser.responses} == {"127.0.0.1"}
        browser.open("about:blank")  # an open connection would keep the server


def votes(study):
    with sqlite3.connect(study / "study.db") as db:
        return db.execute("SELECT number, answer FROM vote ORDER BY 1").fetchall()


def click_through(page, selector, number=0):
    with page.loading():
        page.click(selector, number)


def asked(page):
    return Form(page.page).hidden.get("question")


def begin(page):
    click_through(page, "button")
    assert asked(page) == "1"


def test_a_walk_with_the_mouse_from_beginning_to_end(page, study, tmp_path):
    begin(page)
    answers = []
    while (form := Form(page.page)).kind == "deception":
        answers.append(len(answers) % 2)
        click_through(page, f"button[value='{answers[-1]}']")
    while (form := Form(page.page)).kind == "preference":
        answers.append(len(answers) % 3 + 1)
        page.click(".choice img", answers[-1] - 1)
        page.screenshot(tmp_path / "chosen.png")
        click_through(page, ".bar button")
    assert form.kind == ""
    assert "Thank you!" in page.page
    assert votes(study) == list(enumerate(answers, start=1))
    assert page.complaints == []
    assert set(page.responses.values()) <= {200, 204}
    pictures = [url for url in page.responses if "/pictures/" in url]
    assert len(pictures) > 12


def test_pictures_are_really_shown_side_by_side(page, study, tmp_path):
    begin(page)
    while Form(page.page).kind == "deception":
        click_through(page, "button[value='1']")
    page.screenshot(tmp_path / "page.png")
    screen = Image.open(tmp_path / "page.png")
    boxes = page.boxes(".choice img")
    with sqlite3.connect(study / "study.db") as db:
        query = "SELECT file FROM choice JOIN picture ON id = picture WHERE participant = 1 AND number = 10 ORDER BY place"
        expected = [who(Image.open(study / "pictures" / file)) for (file,) in db.execute(query)]
    middles = [screen.crop(tuple(map(int, (x + w / 4, y + h / 4, x + 3 * w / 4, y + 3 * h / 4)))) for x, y, w, h in boxes]
    assert [who(middle) for middle in middles] == expected
    assert len({tuple(map(round, box[1:])) for box in boxes}) == 1  # one row, one size
    assert all(box[2] > 200 for box in boxes)


def test_the_back_button_does_not_count_twice(page, study):
    begin(page)
    click_through(page, "button[value='1']")
    click_through(page, "button[value='1']")
    page.back()
    assert asked(page) in {"3", None}  # the open question, or the first page
    if asked(page) is None:
        assert "You have answered 2 of 13 questions" in page.page
        click_through(page, "a.button")
    assert asked(page) == "3"
    click_through(page, "button[value='0']")
    assert votes(study) == [(1, 1), (2, 1), (3, 0)]


@pytest.mark.parametrize("pause", [0, 0.2])
def test_a_double_click_counts_once(page, study, pause):
    haste = HASTE + 6 * pause  # a machine may stand still between the two
    with served(study, haste=haste) as address:
        page.open(address)
        begin(page)
        for number in range(1, 4):
            time.sleep(haste)
            if pause:  # long enough for the next question to be there, with a button in the same place
                click_through(page, "button[value='1']")
                time.sleep(pause)
            with page.loading():
                page.click("button[value='1']", times=1 if pause else 2)
            assert until(lambda: len(votes(study)), "the vote is recorded") == number
            page.open(page.url)
            assert asked(page) == str(number + 1)
        page.open("about:blank")
    assert votes(study) == [(1, 1), (2, 1), (3, 1)]


def test_the_keyboard_alone_is_enough(page, study):
    page.press("Tab")
    with page.loading():
        page.press("Enter")
    for number in range(1, 10):
        assert asked(page) == str(number)
        page.press("Tab")
        page.press("Tab")  # from "yes" to "no"
        with page.loading():
            page.press("Enter")
    page.press("Tab")
    page.press(" ")
    page.press("ArrowRight")
    with page.loading():
        page.press("Enter")
    assert votes(study) == [*((number, 0) for number in range(1, 10)), (10, 2)]


def test_nothing_is_sent_before_a_picture_is_chosen(page, study):
    begin(page)
    while Form(page.page).kind == "deception":
        click_through(page, "button[value='1']")
    page.click(".bar button")
    assert asked(page) == "10"
    assert len(votes(study)) == 9
    page.click(".choice input", 1)
    click_through(page, ".bar button")
    assert votes(study)[-1] == (10, 2)


def test_a_phone_shows_everything_without_scrolling_sideways(page, tmp_path):
    page.window(360, 640, mobile=True)
    page.open(page.url)
    while True:
        content, window = page.widths()
        assert content <= window == 360
        assert all(height >= 44 for *_, height in page.boxes("button.button"))  # what a thumb hits
        assert all(left >= 0 and left + width <= 360 for left, _, width, _ in page.boxes("img, button, a"))
        form = Form(page.page)
        if form.kind == "preference":
            break
        buttons = page.boxes(".bar button")
        assert all(top + height <= 640 for _, top, _, height in buttons)  # reached without scrolling
        click_through(page, "button")
    page.click(".choice img", 2)
    before = chosen_frame(page, tmp_path)
    assert before > 200  # the choice is marked in the accent's colour


def chosen_frame(page, folder):
    """How many pixels around the third picture are of the accent's colour."""
    page.screenshot(folder / "phone.png")
    screen = np.asarray(Image.open(folder / "phone.png").convert("RGB")).astype(int)
    left, top, width, height = (round(value) for value in page.boxes(".choice label")[2])
    around = screen[max(0, top - 6) : top + height + 6, max(0, left - 6) : left + width + 6]
    return int((np.abs(around - (0x27, 0x52, 0x6B)).sum(-1) < 12).sum())
