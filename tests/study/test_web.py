import re
import sqlite3
import threading
import urllib.parse
from pathlib import Path

import pytest
from helpers.studies import METHODS, Form, Visitor, served
from PIL import Image

import ieast.study.store
from ieast.study.store import Store
from ieast.study.web import LARGEST_FORM, SECONDS


@pytest.fixture
def address(study):
    with served(study) as address:
        yield address


def votes(study):
    with sqlite3.connect(study / "study.db") as db:
        return db.execute("SELECT participant, number, answer FROM vote ORDER BY 1, 2").fetchall()


def test_the_first_page_says_what_comes_and_how_long_it_takes(study, address):
    visitor = Visitor(address)
    visitor.get("/")
    assert "You see 9 pictures, one at a time" in visitor.page
    assert "4 times you see a photograph and an artwork" in visitor.page
    minutes = -(-(9 * SECONDS["deception"] + 4 * SECONDS["preference"]) // 60)
    assert f"about {minutes} minutes" in visitor.page
    assert "anonymous" in visitor.page
    with sqlite3.connect(study / "study.db") as db:
        assert db.execute("SELECT count(token) FROM participant").fetchone() == (0,)  # a look takes no place


def test_a_walk_from_beginning_to_end(study, address):
    visitor = Visitor(address).begin()
    kinds = []
    for number in range(1, 14):
        assert f"<title>Question {number} of 13</title>" in visitor.page
        assert f'<progress id="progress" value="{number - 1}" max="13">' in visitor.page
        form = visitor.form
        kinds.append(form.kind)
        assert form.answers == (["1", "0"] if form.kind == "deception" else ["1", "2", "3"])
        visitor.answer(form.answers[-1])
    assert kinds == ["deception"] * 9 + ["preference"] * 4
    assert "Thank you!" in visitor.page
    assert votes(study) == [(1, number, 0 if number <= 9 else 3) for number in range(1, 14)]
    visitor.get(visitor.url)
    assert "Thank you!" in visitor.page


def test_nothing_that_a_browser_gets_tells_a_method_or_the_truth(study, address):
    visitor = Visitor(address)
    visitor.get("/")
    visitor.get("/style.css")
    visitor.get("/nothing")
    visitor.begin()
    while visitor.form.kind:
        for picture in visitor.form.pictures:
            visitor.get(picture["src"])
        visitor.answer(1)
    visitor.get("/")
    with sqlite3.connect(study / "study.db") as db:
        names = {name for (name,) in db.execute("SELECT name FROM picture")}
    assert set(METHODS) <= names
    secret = {*names, *METHODS, "ieast", "artworks", "stylized", "truth", str(study)}
    texts = 0
    for url, headers, body in visitor.seen:
        is_picture = "image/jpeg" in headers
        texts += not is_picture
        for text in (url, headers, "" if is_picture else body.decode()):
            # Whole words, for names such as c0 are short enough to occur within tokens.
            words = set(re.findall(r"[\w+.-]+", text.lower()))
            assert not words & secret, (url, words & secret)
            assert not re.search("|".join(map(re.escape, METHODS)), text.lower())
    assert texts > 15


def test_pictures_are_the_right_ones_and_bare(study, address):
    visitor = Visitor(address).begin()
    while visitor.form.kind == "deception":
        visitor.answer(0)
    form = visitor.form
    assert [picture["alt"] for picture in form.pictures] == [
        "The photograph",
        "The artwork that gives the style",
        "Picture 1",
        "Picture 2",
        "Picture 3",
    ]
    with sqlite3.connect(study / "study.db") as db:
        rows = dict(db.execute("SELECT file, kind FROM picture"))
        chosen = "SELECT file FROM choice JOIN picture ON id = picture WHERE participant = 1 AND number = 10 ORDER BY place"
        expected = [file for (file,) in db.execute(chosen)]
    files = [picture["src"].removeprefix("/pictures/") for picture in form.pictures]
    assert [rows[file] for file in files] == ["content", "style", "stylized", "stylized", "stylized"]
    assert files[2:] == expected
    for picture, file in zip(form.pictures, files, strict=True):
        body = visitor.get(picture["src"])
        assert body == (study / "pictures" / file).read_bytes()
        assert Image.open(study / "pictures" / file).size == (int(picture["width"]), int(picture["height"]))
        assert not {"etag", "last-modified", "content-disposition"} & {name.lower() for name in visitor.headers}


def test_every_answer_has_the_headers_that_keep_a_browser_in(study, address):
    visitor = Visitor(address).begin()
    for path in ("/", "/style.css", visitor.url, visitor.form.pictures[0]["src"], "/nothing", "/s/" + "0" * 32):
        visitor.get(path)
        policy = visitor.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'")
        assert visitor.headers["referrer-policy"] == "no-referrer"
        assert visitor.headers["x-content-type-options"] == "nosniff"
    for url, headers, _ in visitor.seen:
        assert ("no-store" in headers) == ("text/html" in headers), url


def test_pages_need_neither_scripts_nor_anything_from_elsewhere(address):
    visitor = Visitor(address)
    visitor.get("/")
    visitor.begin()
    while visitor.form.kind:
        visitor.answer(1)
    for _, headers, body in visitor.seen:
        if "text/html" in headers:
            page = body.decode()
            assert not re.search(r"<script|javascript:|\bon[a-z]+=|style=|<style", page)
            links = Form(page).links
            assert "/style.css" in links
            assert all(link.startswith("/") and not link.startswith("//") for link in links)
    visitor.get("/style.css")
    assert b"url(" not in visitor.seen[-1][2]
    assert b"@import" not in visitor.seen[-1][2]


def test_a_double_click_counts_once(study, address):
    visitor = Visitor(address).begin()
    action, fields = visitor.form.action, visitor.form.hidden
    visitor.post(action, **fields, answer=1)
    visitor.post(action, **fields, answer=0)  # the same form again, as after the back button
    assert "Question 2 of 13" in visitor.page
    assert votes(study) == [(1, 1, 1)]


def test_a_double_click_on_begin_takes_one_place(study, address):
    visitor, other = Visitor(address), Visitor(address)
    visitor.get("/")
    fields = visitor.form.hidden
    visitor.post("/begin", **fields)
    other.post("/begin", **fields)
    assert visitor.url == other.url
    assert Visitor(address).begin().url != visitor.url


def test_a_participant_goes_on_where_they_stopped_by_their_link_or_their_cookie(study, address):
    visitor = Visitor(address).begin()
    for _ in range(3):
        visitor.answer(1)
    elsewhere = Visitor(address)
    elsewhere.get(visitor.url)
    assert "Question 4 of 13" in elsewhere.page
    elsewhere.answer(0)
    visitor.get("/")
    assert "You have answered 4 of 13 questions" in visitor.page
    visitor.get(re.search(r'href="(/s/[0-9a-f]+)"', visitor.page).group(1))
    assert "Question 5 of 13" in visitor.page
    assert len(votes(study)) == 4


def test_the_cookie_is_for_this_site_and_no_script(address):
    visitor = Visitor(address).begin()
    (cookie,) = visitor.jar
    assert cookie.value == visitor.token
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite").lower() == "lax"


def test_somebody_else_may_begin_on_the_same_device(study, address):
    visitor = Visitor(address).begin()
    first = visitor.token
    visitor.finish(lambda form: 1)
    visitor.get("/")
    assert "13 questions were answered on this device" in visitor.page
    visitor.post("/begin", **visitor.form.hidden)
    assert "Question 1 of 13" in visitor.page
    assert visitor.token != first


def test_when_all_places_are_taken_a_page_says_so(address, monkeypatch):
    first, *_ = [Visitor(address).begin() for _ in range(6)]
    late = Visitor(address)
    late.get("/")
    assert "All places are taken" in late.page
    late.post("/begin", visit="f" * 32)
    assert "All places are taken" in late.page
    first.get("/")
    assert "You have answered 0 of 13 questions" in first.page
    monkeypatch.setattr(ieast.study.store, "ABANDONED", -1.0)
    assert "Question 1 of 13" in late.begin().page


@pytest.mark.parametrize(
    "path", ["/s/" + "0" * 32, "/s/x", "/s/", "/s/../study.db", "/pictures/../study.db", "/docs", "/openapi.json"]
)
def test_unknown_addresses_get_a_friendly_page(address, path):
    visitor = Visitor(address)
    visitor.get(path)
    assert visitor.status == 404
    assert "This address leads nowhere in the study" in visitor.page


@pytest.mark.parametrize("name", ["%2e%2e%2fstudy.db", "..%5cstudy.db", "0123456789abcdef.jpg", "study.db"])
def test_only_pictures_of_the_study_are_given_out(address, name):
    visitor = Visitor(address)
    visitor.get(f"/pictures/{name}")
    assert visitor.status == 404


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"question": 1},
        {"answer": 1},
        {"question": "one", "answer": 1},
        {"question": 1, "answer": "ieast"},
        {"question": 1, "answer": 2},
        {"question": 1, "answer": -1},
        {"question": 1, "answer": "9" * 200},
        {"question": "\u0661", "answer": 1},
        dict.fromkeys("abcdefghijk", 1),
    ],
)
def test_answers_that_were_not_offered_are_refused(study, address, fields):
    visitor = Visitor(address).begin()
    visitor.post(visitor.url, **fields)
    assert visitor.status == 400
    assert "cannot be understood" in visitor.page
    assert votes(study) == []


@pytest.mark.parametrize("visit", ["", "short", "g" * 32, "0" * 33])
def test_beginning_needs_the_secret_of_the_first_page(address, visit):
    visitor = Visitor(address)
    visitor.post("/begin", visit=visit)
    assert visitor.status == 400


def test_a_vote_with_an_unknown_token_changes_nothing(study, address):
    visitor = Visitor(address).begin()
    visitor.post("/s/" + "0" * 32, question=1, answer=1)
    assert visitor.status == 404
    assert votes(study) == []


@pytest.mark.parametrize("path", ["/begin", "/s/" + "0" * 32])
def test_a_request_that_is_too_large_is_refused_unread(address, path):
    visitor = Visitor(address)
    visitor.post(path, visit="0" * LARGEST_FORM)
    assert visitor.status == 413
    assert "sent more than an answer" in visitor.page


def test_other_methods_are_refused(address):
    visitor = Visitor(address)
    visitor.get("/begin")
    assert visitor.status == 405
    visitor.post("/")
    assert visitor.status == 405


def test_while_others_write_too_long_a_page_asks_for_patience(study, address, monkeypatch):
    monkeypatch.setattr(ieast.study.store, "PATIENCE", 0.05)
    visitor = Visitor(address).begin()
    form = visitor.form
    with Store(study).reading() as db:
        db.execute("BEGIN EXCLUSIVE")
        visitor.post(form.action, **form.hidden, answer=1)
        assert visitor.status == 503
        assert "load this page again; nothing is lost" in visitor.page
        db.execute("ROLLBACK")
    visitor.post(form.action, **form.hidden, answer=1)
    assert votes(study) == [(1, 1, 1)]


def test_people_voting_at_once_through_two_servers_lose_nothing(study, address):
    failures = []

    def person(own, other):
        try:
            visitor = Visitor(own).begin()
            while visitor.form.kind:
                form = visitor.form
                visitor.post(form.action, **form.hidden, answer=form.answers[0])
                # The second click goes to the other server.
                clicked = Visitor(other)
                clicked.post(urllib.parse.urlsplit(form.action).path, **form.hidden, answer=form.answers[1])
        except Exception as error:
            failures.append(error)

    with served(study) as second:
        addresses = [(address, second), (second, address)] * 3
        people = [threading.Thread(target=person, args=each) for each in addresses]
        for each in people:
            each.start()
        for each in people:
            each.join()
    assert failures == []
    assert votes(study) == [(who, number, 1) for who in range(1, 7) for number in range(1, 14)]


def test_templates_and_style_are_packaged():
    import tomllib

    root = Path(__file__).resolve().parents[2]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["ieast"]
    packaged = {path for pattern in patterns for path in (root / "ieast").glob(pattern)}
    assert packaged >= {path for folder in ("templates", "static") for path in (root / "ieast" / "study" / folder).iterdir()}
