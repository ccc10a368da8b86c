"""Benchmarks to make studies of, a served study, and people who vote."""

import contextlib
import csv
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path

import numpy as np
import pytest
from helpers.datasets import draw_picture
from PIL import Image

from ieast.study.build import build_study
from ieast.study.plan import Plan
from ieast.study.store import Store

METHODS = ("adain+el+cl", "ieast", "sanet")
PLAN = Plan(participants=6, pairs=4, per_method=2, real=3, seed=3)


@pytest.fixture(scope="session")
def benchmark_folder(tmp_path_factory) -> Path:
    """Nine pairs by three methods, and four artworks."""
    return draw_benchmark(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture
def study(benchmark_folder, tmp_path) -> Path:
    """Six places, each of nine deception and then four preference questions."""
    build_study(benchmark_folder, tmp_path / "study", PLAN)
    return tmp_path / "study"


def draw_benchmark(folder: Path, methods=METHODS, contents=3, styles=3, artworks=4, size=(40, 32)) -> Path:
    """A benchmark of every content in every style, as the benchmark pipeline writes it.

    Each method's pictures have a colour cast and each pair's a brightness of their own, so that a test can tell from pixels
    which one it was given.
    """
    for number in range(contents):
        save(draw_picture(number, 120, 90), folder / "contents" / f"c{number}.png")
    for number in range(styles):
        save(draw_picture(50 + number, 60, 90), folder / "styles" / f"s{number}.png")
    for number in range(artworks):
        save(draw_picture(100 + number, 200, 150), folder / "artworks" / f"a{number}.png")
    pairs = [(f"{c * styles + s:03d}", f"c{c}", f"s{s}") for c in range(contents) for s in range(styles)]
    with (folder / "pairs.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("pair", "content", "style"), *pairs])
    for place, method in enumerate(methods):
        for number, (pair, _, _) in enumerate(pairs):
            save(flat(place, number, size), folder / "methods" / method / f"{pair}.png")
    return folder


def flat(method: int, pair: int, size=(40, 32)) -> Image.Image:
    """One colour: red tells the method, green the pair."""
    return Image.new("RGB", size, (20 + 30 * method, 10 + 12 * pair, 128))


def who(image: Image.Image) -> tuple[int, int]:
    """Which method and pair a picture of `flat` was."""
    red, green, _ = np.asarray(image.convert("RGB"), dtype=float).mean((0, 1))
    return round((red - 20) / 30), round((green - 10) / 12)


def save(image: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


@contextlib.contextmanager
def served(study: Path, haste=0.0):
    """The address of a page on which people vote on `study`; tests are faster than people."""
    import uvicorn

    from ieast.study.web import listen, make_app

    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(make_app(Store(study, haste)), log_level="warning", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


class Visitor:
    """A browser without scripts: keeps cookies, follows redirects, fills in the form it is shown, and remembers every byte."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.jar = CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.seen: list[tuple[str, str, bytes]] = []
        self.url = address
        self.page = ""
        self.status = 0
        self.headers: dict[str, str] = {}

    def get(self, path: str) -> bytes:
        return self._open(urllib.request.Request(urllib.parse.urljoin(self.url, path)))

    def post(self, path: str, **fields: object) -> bytes:
        data = urllib.parse.urlencode(fields).encode()
        return self._open(urllib.request.Request(urllib.parse.urljoin(self.url, path), data=data))

    def begin(self) -> "Visitor":
        self.get("/")
        self.post("/begin", **self.form.hidden)
        assert self.status == 200, self.page
        return self

    def answer(self, answer: object) -> bytes:
        """Send the form as it is, with this answer."""
        return self.post(self.form.action, **self.form.hidden, answer=answer)

    def finish(self, choose) -> None:
        """Answer whatever is asked until thanked; `choose` takes the form and gives the answer."""
        while self.form.kind:
            self.answer(choose(self.form))

    @property
    def form(self) -> "Form":
        return Form(self.page)

    @property
    def token(self) -> str:
        return re.search(r"/s/([0-9a-f]{32})$", self.url).group(1)

    def _open(self, request: urllib.request.Request) -> bytes:
        try:
            response = self.opener.open(request, timeout=30)
        except urllib.error.HTTPError as error:
            response = error
        with response:
            body = response.read()
            self.status, self.headers = response.status, dict(response.headers)
            self.seen.append((response.url, str(response.headers), body))
            if response.headers.get_content_type() == "text/html":
                self.page, self.url = body.decode(), response.url
        return body


class Form(HTMLParser):
    """The form of a page: its kind of question, hidden fields, answers offered and pictures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.kind = self.action = ""
        self.hidden: dict[str, str] = {}
        self.answers: list[str] = []
        self.pictures: list[dict[str, str]] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "form":
            self.kind, self.action = values.get("class", ""), values["action"]
        elif values.get("type") == "hidden":
            self.hidden[values["name"]] = values["value"]
        elif values.get("name") == "answer":
            self.answers.append(values["value"])
        elif tag == "img":
            self.pictures.append(values)
        self.links += [values[name] for name in ("href", "src") if name in values]
