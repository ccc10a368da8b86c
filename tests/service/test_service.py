"""What the service answers, on a real port by a real model with random weights."""

import io
import itertools
import json
import logging
import re
import shlex
import socket
import tempfile
import threading
import time
import urllib.parse
from dataclasses import replace

import numpy as np
import pytest
from helpers.browsers import until
from helpers.datasets import draw_picture
from helpers.services import SMALL, file_of, model_of, served
from PIL import Image

import ieast.service.app
import ieast.stylizer.base
from benchmarks.bad_requests import encode_form
from ieast.config.stylization import StylizeOptions
from ieast.errors import MemoryLimitError
from ieast.io.deadlines import PunctualProtocol
from ieast.io.images import to_tensor
from ieast.service.app import Service
from ieast.service.frame import GONE
from ieast.service.schema import CURL
from ieast.styles import shipped_styles
from ieast.stylization.inputs import read_style, scaled_down
from ieast.stylization.session import StyleSession
from ieast.stylizer.novelty import StyleRange, style_vector

PHOTO, PAINTING, OTHER = draw_picture(1, 72, 56), draw_picture(2, 64, 80), draw_picture(3, 90, 60)
CONTENT, STYLE = ("content", file_of(PHOTO)), ("style", file_of(PAINTING))


@pytest.fixture(scope="module")
def service(stylizer):
    return Service(model_of(stylizer), SMALL)


@pytest.fixture(scope="module")
def client(service):
    with served(service) as client:
        yield client


def expected(stylizer, styles, masks=(), **options):
    return np.asarray(StyleSession(stylizer, styles, StylizeOptions(**options), masks).stylize(PHOTO))


def test_the_picture_is_the_one_that_the_library_makes(client, stylizer):
    answer = client.stylize(CONTENT, STYLE, ("format", "png"))
    assert answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(answer.pixels, expected(stylizer, [PAINTING]))
    assert [answer.headers[f"x-model{part}"] for part in ("", "-version", "-digest")] == ["drawn", "1", "digest-1"]


@pytest.mark.parametrize("form", ["jpeg", "webp", "jpg"])
def test_other_formats_hold_nearly_the_same(client, stylizer, form):
    answer = client.stylize(CONTENT, STYLE, ("format", form))
    assert answer.headers["content-type"] == f"image/{form.replace('jpg', 'jpeg')}"
    assert abs(answer.pixels.astype(int) - expected(stylizer, [PAINTING])).mean() < 6


def test_several_styles_weights_masks_and_all_options(client, stylizer):
    left = np.zeros((56, 72), np.uint8)
    left[:, :36] = 255
    masks = [Image.fromarray(left).convert("RGB"), Image.fromarray(255 - left).convert("RGB")]
    answer = client.stylize(
        CONTENT,
        ("style_name", "swirls"),  # the order of styles is that of the form, whatever their kind
        STYLE,
        ("weight", "3"),
        ("weight", "1"),
        ("alpha", "0.7"),
        ("style_size", "48"),
        ("preserve_colour", "luminance"),
        ("format", "png"),
        *[("mask", file_of(mask)) for mask in masks],
    )
    options = {"alpha": 0.7, "weights": (3.0, 1.0), "style_size": 48, "preserve_colour": "luminance"}
    styles = [read_style(shipped_styles()["swirls"], 48), scaled_down(PAINTING, 48)]
    np.testing.assert_array_equal(answer.pixels, expected(stylizer, styles, masks, **options))


def test_where_a_mask_is_transparent_its_style_does_not_apply(client):
    left = np.zeros((56, 72), np.uint8)
    left[:, :36] = 255
    opaque = Image.fromarray(left)
    transparent = Image.merge("RGBA", [Image.new("L", opaque.size, 255)] * 3 + [opaque])
    pictures = [
        client.stylize(CONTENT, STYLE, ("mask", file_of(mask)), ("format", "png")).pixels for mask in (opaque, transparent)
    ]
    np.testing.assert_array_equal(*pictures)


def test_the_answer_says_how_new_each_style_is(client, service, stylizer):
    assert "x-style-novelty" not in client.stylize(CONTENT, STYLE).headers  # the model does not know
    assert client.ask("/v1/model").json["training_styles"] is None
    vectors = [style_vector(stylizer.encoder, to_tensor(draw_picture(seed, 64, 64))) for seed in range(20, 28)]
    known = StyleRange.of(vectors)
    service.use(replace(model_of(stylizer, "3"), styles=known))
    try:
        two = [file_of(PAINTING), file_of(OTHER)]
        new = [known.novelty(style_vector(stylizer.encoder, to_tensor(picture))).distance for picture in (PAINTING, OTHER)]
        expected = ", ".join(f"{distance:.2f}" for distance in new)
        for options in ([], [], [("preserve_colour", "coral")]):  # at once, from the cache, and where nothing is kept
            answer = client.stylize(CONTENT, *[("style", style) for style in two], *options)
            assert answer.headers["x-style-novelty"] == expected
        both = [("style", style) for style in two]
        service.use(replace(model_of(stylizer, "4"), styles=None))  # the same weights, and a card that does not know
        assert "x-style-novelty" not in client.stylize(CONTENT, *both).headers
        service.use(replace(model_of(stylizer, "4"), styles=known))
        assert client.stylize(CONTENT, *both).headers["x-style-novelty"] == expected
        said = client.ask("/v1/model").json["training_styles"]
        assert said == {"count": 8, "median": known.quantile(0.5), "most": known.quantile(0.95)}
    finally:
        service.use(model_of(stylizer))


@pytest.mark.parametrize("charset", ["undefined", "punycode"])
def test_a_charset_that_is_none_for_text_is_refused(client, charset):
    body, headers = encode_form((CONTENT, STYLE, ("alpha", "0.5")))
    kind = headers["Content-Type"]
    answer = client.ask("/v1/stylize", body, **{"Content-Type": f"{kind}; charset={charset}"})
    assert answer.status == 422, answer.body
    assert answer.detail.startswith("The form cannot be read: ")


def test_connections_that_ask_for_nothing_end_and_others_are_answered(stylizer, monkeypatch):
    monkeypatch.setattr(PunctualProtocol, "seconds", 0.5)
    with served(Service(model_of(stylizer), SMALL)) as client:
        silent = [socket.create_connection(("127.0.0.1", client.port), timeout=10) for _ in range(2)]
        silent[1].sendall(b"POST /v1/stylize HTTP/1.1\r\nHost:")
        for connection in silent:
            assert connection.recv(100) == b""
            connection.close()
        assert client.stylize(CONTENT, STYLE).status == 200


class TestReadersOfAnswers:
    """Of connections on which the server looks twice a second."""

    GET = b"GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"  # 1.7 MB

    @pytest.fixture
    def punctual(self, stylizer, monkeypatch):
        monkeypatch.setattr(PunctualProtocol, "seconds", 0.5)
        with served(Service(model_of(stylizer), SMALL)) as client:
            yield client

    def test_those_that_read_nothing_end(self, punctual):
        large = ("content", file_of(draw_picture(1, 512, 512)))
        with (
            socket.create_connection(("127.0.0.1", punctual.port)) as asking,
            punctual.connect(large, STYLE, ("format", "png")) as painted,  # an answer that is written all at once
        ):
            asking.sendall(10 * self.GET)
            assert painted.recv(1)
            until(lambda: not punctual.server.server_state.connections, "both are ended")
        assert punctual.stylize(CONTENT, STYLE).status == 200

    def test_those_that_read_slowly_are_kept(self, punctual):
        with socket.create_connection(("127.0.0.1", punctual.port), timeout=10) as slow:
            slow.sendall(10 * self.GET)  # much more than the system takes at once
            for _ in range(40):
                assert slow.recv(1 << 16)
                assert punctual.server.server_state.connections
                time.sleep(0.1)

    def test_those_for_whom_something_is_computed_are_kept(self, punctual, monkeypatch):
        real = ieast.service.app.paint

        def slow(*arguments):
            time.sleep(2)
            return real(*arguments)

        monkeypatch.setattr(ieast.service.app, "paint", slow)
        assert punctual.stylize(CONTENT, STYLE).status == 200


def test_coral_recolours_the_style_for_each_content(client, stylizer):
    answer = client.stylize(CONTENT, STYLE, ("preserve_colour", "coral"), ("format", "png"))
    np.testing.assert_array_equal(answer.pixels, expected(stylizer, [PAINTING], preserve_colour="coral"))


def test_words_with_commas_are_several_and_empty_parts_none(client):
    answer = client.stylize(CONTENT, ("style_name", "swirls, comic"), ("weight", "2,1"), ("alpha", ""), ("style_size", "48"))
    assert answer.picture.size == PHOTO.size


def test_transparency_is_kept_when_asked_and_laid_on_white_otherwise(client):
    layer = PHOTO.copy()
    layer.putalpha(PAINTING.convert("L").resize(PHOTO.size))
    content = ("content", file_of(layer))
    kept = Image.open(io.BytesIO(client.stylize(content, STYLE, ("keep_alpha", "true"), ("format", "png")).body))
    np.testing.assert_array_equal(kept.getchannel("A"), layer.getchannel("A"))
    assert Image.open(io.BytesIO(client.stylize(content, STYLE, ("format", "png")).body)).mode == "RGB"
    assert "JPEG holds no transparency" in client.stylize(content, STYLE, ("keep_alpha", "true")).detail
    assert "it must be true or false" in client.stylize(content, STYLE, ("keep_alpha", "yes")).detail


def test_a_larger_photo_is_made_smaller_when_asked(client):
    large = ("content", file_of(draw_picture(1, 800, 400), "JPEG"))
    assert client.stylize(large, STYLE).status == 413
    assert client.stylize(large, STYLE, ("longest_side", "128")).picture.size == (128, 64)
    mask = ("mask", file_of(Image.new("L", (800, 400), 255)))
    assert client.stylize(large, STYLE, mask, ("longest_side", "128")).picture.size == (128, 64)
    assert client.stylize(CONTENT, STYLE, ("longest_side", "128")).picture.size == PHOTO.size


def test_an_encoded_style_is_used_again_for_the_same_model_and_size(client, service, stylizer):
    def misses():
        return client.metric('ieast_style_cache_lookups_total{result="miss"}')

    style = ("style", file_of(draw_picture(77, 60, 60)))
    first = client.stylize(CONTENT, style)
    before = misses()
    again = client.stylize(("content", file_of(OTHER)), style)
    assert again.status == 200
    assert client.stylize(CONTENT, style).body == first.body
    assert misses() == before
    client.stylize(CONTENT, style, ("style_size", "32"))
    assert misses() == before + 1
    service.use(model_of(stylizer, "2"))
    assert client.stylize(CONTENT, style).headers["x-model-version"] == "2"
    assert misses() == before + 2
    service.use(model_of(stylizer))


def test_styles_give_way_when_the_cache_is_full(stylizer):
    service = Service(model_of(stylizer), replace(SMALL, cache_bytes=60_000))
    with served(service) as client:
        for number in range(6):
            assert client.stylize(CONTENT, ("style", file_of(draw_picture(number, 64, 64)))).status == 200
        assert 0 < client.metric("ieast_style_cache_bytes") <= 60_000


def test_the_styles_of_the_wall_are_shown(client):
    styles = client.ask("/v1/styles").json
    assert [style["name"] for style in styles] == list(shipped_styles())
    assert client.ask(styles[0]["picture"]).body == shipped_styles()[styles[0]["name"]].read_bytes()
    assert max(client.ask(styles[0]["thumbnail"]).picture.size) < 400
    for path in ("/v1/styles/nothing", "/v1/styles/nothing/thumbnail", "/v1/styles/..%2f__init__.py"):
        assert client.ask(path).status == 404


def test_what_it_says_of_itself(client):
    model = client.ask("/v1/model").json
    assert model["name"] == "drawn"
    assert model["aliases"] == ["champion"]
    assert set(model) >= {"version", "digest", "metrics", "licence", "method", "encoder"}
    assert client.ask("/healthz").json == {"status": "alive"}
    assert client.ask("/readyz").json == {"status": "ready"}
    metrics = client.ask("/metrics").body.decode()
    assert re.search(r'ieast_requests_total{route="/v1/stylize",status="200"} [1-9]', metrics)
    assert 'ieast_model_info{digest="digest-1",name="drawn",version="1"} 1.0' in metrics


def test_every_answer_keeps_a_browser_in(client):
    for path in ("/", "/docs", "/static/page.js", "/v1/styles", "/nothing", "/docs/static/swagger-ui.css", "/favicon.ico"):
        headers = client.ask(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert re.fullmatch("[0-9a-f]{16}", headers["x-request-id"])
        assert "server" not in headers
    assert client.ask("/healthz", X_Request_ID="mine-7").headers["x-request-id"] == "mine-7"
    for path in ("/", "/docs"):
        assert not re.search(r'(src|href)="(?!/)', client.ask(path).body.decode())


def test_the_example_of_the_documentation_works(client):
    described = client.ask("/openapi.json").json
    operation = described["paths"]["/v1/stylize"]["post"]
    assert operation["x-codeSamples"][0]["source"] == CURL
    assert CURL in described["info"]["description"]
    words = shlex.split(CURL)
    fields = [word.split("=", 1) for flag, word in itertools.pairwise(words) if flag == "-F"]
    parts = [(name, CONTENT[1] if value == "@photo.jpg" else value) for name, value in fields]
    assert client.stylize(*parts).picture.size == PHOTO.size
    schema = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    examples = [(name, field["example"]) for name, field in schema.items() if "example" in field]
    texts = [(name, ",".join(value) if isinstance(value, list) else str(value)) for name, value in examples]
    assert client.stylize(CONTENT, *texts).status == 200
    assert set(operation["responses"]) >= {"200", "401", "413", "422", "429", "503"}


def test_a_key_is_asked_for_where_it_matters(stylizer):
    with served(Service(model_of(stylizer), SMALL, api_key="sésame")) as client:
        assert client.stylize(CONTENT, STYLE).status == 401
        assert client.stylize(CONTENT, STYLE, X_API_Key="open").detail == (
            "This API key is not the right one. Send it as the header X-API-Key."
        )
        key = "sésame".encode().decode("latin-1")
        assert client.stylize(CONTENT, STYLE, X_API_Key=key).status == 200
        assert client.stylize(CONTENT, STYLE, Authorization=f"Bearer {key}").status == 200
        assert {client.ask(path).status for path in ("/v1/model", "/metrics")} == {401}
        assert {client.ask(path).status for path in ("/", "/v1/styles", "/healthz", "/readyz", "/docs")} == {200}


def test_who_finds_no_place_is_told_when_to_come_again(stylizer):
    with served(Service(model_of(stylizer), replace(SMALL, waiting=1))) as client:
        slow = [client.connect(CONTENT, STYLE, missing=9) for _ in range(2)]
        until(lambda: client.ask("/readyz").json == {"status": "full"}, "both places are taken")
        assert client.ask("/readyz").status == 503
        refused = client.stylize(CONTENT, STYLE)
        assert refused.status == 429
        assert refused.detail.startswith("All 2 places are taken just now. Come again in about")
        assert int(refused.headers["retry-after"]) >= 1
        body, _ = encode_form((CONTENT, STYLE))
        for connection in slow:
            connection.sendall(body[-9:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            connection.close()
        until(lambda: client.metric("ieast_admitted") == 0, "the places are free")
        assert client.stylize(CONTENT, STYLE).status == 200


def test_who_sends_too_slowly_loses_the_place(stylizer):
    with (
        served(Service(model_of(stylizer), replace(SMALL, seconds=0.3))) as client,
        client.connect(CONTENT, STYLE, missing=9) as slow,
    ):
        until(lambda: client.metric("ieast_admitted") == 1, "the place is taken")
        until(lambda: client.metric("ieast_admitted") == 0, "the place is free")
        slow.sendall(encode_form((CONTENT, STYLE))[0][-9:])
        assert b"503" in slow.recv(100)


def test_what_takes_too_long_is_given_up_and_keeps_its_place_until_it_ends(stylizer, monkeypatch):
    service = Service(model_of(stylizer), replace(SMALL, seconds=0.3))
    ending = threading.Event()
    real = ieast.service.app.paint

    def slow(*arguments):
        ending.wait(30)
        return real(*arguments)

    monkeypatch.setattr(ieast.service.app, "paint", slow)
    with served(service) as client:
        answer = client.stylize(CONTENT, STYLE)
        assert answer.status == 503
        assert "took longer than 0.3 s" in answer.detail
        assert service.gate.admitted == 1
        ending.set()
        until(lambda: service.gate.admitted == 0, "the thread is free")
        assert client.stylize(CONTENT, STYLE).status == 200


def test_work_for_a_client_that_left_is_not_begun(stylizer, monkeypatch, caplog):
    service = Service(model_of(stylizer), SMALL)
    begun, ending = [], threading.Event()
    real = ieast.service.app.paint

    def slow(*arguments):
        begun.append(1)
        ending.wait(30)
        return real(*arguments)

    monkeypatch.setattr(ieast.service.app, "paint", slow)
    caplog.set_level(logging.INFO, "ieast.service.requests")
    with served(service) as client:
        with client.connect(CONTENT, STYLE):
            until(lambda: begun, "the first is computed")
            waiting = client.connect(CONTENT, STYLE)
            until(lambda: service.gate.admitted == 2, "the second waits")
            waiting.close()
            until(lambda: service.gate.admitted == 1, "its place is free")
            ending.set()
            until(lambda: service.gate.admitted == 0, "the first is done")
        assert begun == [1]
    assert next(json.loads(record.message)["status"] for record in caplog.records if "/v1/stylize" in record.message) == GONE


def test_too_little_memory_is_said(client, monkeypatch):
    def check(*_):
        raise MemoryLimitError("stylizing needs up to 9.9 GB")

    monkeypatch.setattr(ieast.stylizer.base, "check_memory", check)
    answer = client.stylize(CONTENT, STYLE)
    assert answer.status == 503
    assert answer.detail.startswith("There is not enough memory for this picture just now")


def test_what_nobody_foresaw_is_in_the_log_and_not_in_the_answer(client, monkeypatch, caplog):
    monkeypatch.setattr(ieast.service.app, "paint", lambda *_: {}["secret"])
    answer = client.stylize(CONTENT, STYLE)
    assert answer.status == 503
    assert "secret" not in answer.body.decode()
    assert "Traceback" not in answer.body.decode()
    assert answer.json["request"] == answer.headers["x-request-id"]
    [record] = [record for record in caplog.records if record.exc_info]
    assert answer.headers["x-request-id"] in record.message


def requests_logged(caplog, status):
    """What the service's log says of requests to /v1/stylize that ended so; those of earlier tests may end late."""
    lines = [each.getMessage() for each in caplog.records if each.name == "ieast.service.requests"]
    return [line for line in map(json.loads, lines) if line["route"] == "/v1/stylize" and line["status"] == status]


def test_the_log_says_what_was_done_and_nothing_of_the_pictures(client, caplog):
    caplog.set_level(logging.INFO, "ieast.service.requests")
    client.stylize(CONTENT, STYLE)
    line = until(lambda: requests_logged(caplog, 200), "it is logged")[0]
    assert line.items() >= {"method": "POST", "route": "/v1/stylize", "status": 200, "model": "drawn 1", "width": 72}.items()
    assert {"at", "request", "seconds", "waiting_seconds", "stylizing_seconds", "bytes_in", "bytes_out"} <= set(line)
    assert "picture" not in json.dumps(line)  # the files' name


def test_nothing_is_written_to_disk(client, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 240, 3), dtype=np.uint8))
    styles = [("style", file_of(noise.rotate(90 * number))) for number in range(4)]
    assert sum(len(data) for _, data in styles) > 600_000
    large = ("style", file_of(Image.fromarray(np.random.default_rng(1).integers(0, 256, (250, 250, 3), dtype=np.uint8)), "BMP"))
    assert client.stylize(CONTENT, *styles[:3], large).status == 200


def test_told_to_stop_it_finishes_what_it_began(stylizer, monkeypatch):
    begun = threading.Event()
    real = ieast.service.app.paint

    def slow(*arguments):
        begun.set()
        time.sleep(0.5)
        return real(*arguments)

    monkeypatch.setattr(ieast.service.app, "paint", slow)
    answers = []
    with served(Service(model_of(stylizer), SMALL)) as client:
        asking = [threading.Thread(target=lambda: answers.append(client.stylize(CONTENT, STYLE).status)) for _ in range(2)]
        for thread in asking:
            thread.start()
        begun.wait(30)
        until(lambda: client.metric("ieast_admitted") == 2, "one is computed and one waits")
        client.server.should_exit = True
        for thread in asking:
            thread.join(30)
    assert answers == [200, 200]


def test_a_client_that_leaves_while_it_sends_is_no_fault_of_the_service(stylizer, caplog):
    caplog.set_level(logging.INFO)
    with served(Service(model_of(stylizer), SMALL)) as client:
        client.connect(CONTENT, STYLE, missing=9).close()
        until(lambda: requests_logged(caplog, GONE), "it is logged")
    assert not any(record.exc_info for record in caplog.records)


def test_a_model_may_have_any_name(stylizer):
    model = replace(model_of(stylizer), name="模型 1")
    with served(Service(model, SMALL)) as client:
        answer = client.stylize(CONTENT, STYLE)
        assert answer.status == 200
        assert urllib.parse.unquote(answer.headers["x-model"]) == "模型 1"
