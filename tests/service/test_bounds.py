"""Thirty kinds of bad requests: the right status, a sentence that helps, and a service that goes on."""

import io
import socket

import pytest
from helpers.services import SMALL, model_of, served

from benchmarks.bad_requests import bad_requests, encode_form, picture
from ieast.service.app import Service

KINDS = list(bad_requests(SMALL.body_bytes, SMALL.stylized_pixels))


@pytest.fixture(scope="module")
def client(stylizer):
    with served(Service(model_of(stylizer), SMALL)) as client:
        yield client
        assert client.metric("ieast_admitted") == 0


def test_there_are_thirty_kinds():
    assert len({bad.kind for bad in KINDS}) == 30


@pytest.mark.parametrize("bad", KINDS, ids=lambda bad: bad.kind)
def test_it_is_refused_with_a_sentence(client, bad):
    body, headers = bad.encoded()
    answer = client.ask(bad.path, body, bad.method, **headers)
    assert answer.status == bad.status, answer.body
    assert bad.says in answer.detail
    assert answer.detail.endswith(".")
    assert not answer.detail.endswith("..")
    assert "Traceback" not in answer.detail
    assert answer.headers["cache-control"] == "no-store"


def test_a_body_of_unknown_length_is_counted(client):
    body, headers = encode_form((("content", bytes(SMALL.body_bytes)), ("style", picture(40, 40))))
    assert client.ask("/v1/stylize", io.BytesIO(body), **headers).status == 413  # sent in chunks


def test_a_length_is_believed_before_anything_is_read(client):
    with socket.create_connection(("127.0.0.1", client.port), timeout=3) as connection:
        head = "POST /v1/stylize HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        connection.sendall(f"{head}Content-Length: {10**9}\r\n\r\n".encode())
        assert b"413" in connection.recv(100)


def test_other_methods_and_addresses(client):
    assert client.ask("/v1/stylize").status == 405
    assert "/docs" in client.ask("/v1/stylize").detail
    assert client.ask("/v2").status == 404
    assert client.ask("/v1/model", method="DELETE").status == 405


def test_after_all_of_it_a_good_request_is_answered(client):
    assert client.stylize(("content", picture(48, 40)), ("style", picture(40, 48))).status == 200
