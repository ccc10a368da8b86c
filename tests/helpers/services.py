"""A real service on a real port, and people who ask it."""

import contextlib
import io
import json
import socket
import threading
import urllib.error
import urllib.request

import numpy as np
from PIL import Image

from benchmarks.bad_requests import encode_form
from ieast.io.ports import listen
from ieast.service.app import Service, make_app
from ieast.service.limits import Limits
from ieast.service.models import ServedModel
from ieast.service.server import server_of

SMALL = Limits(body_bytes=1 << 20, stylized_pixels=512 * 512, waiting=8, seconds=30)


def model_of(stylizer, version="1") -> ServedModel:
    return ServedModel(stylizer, "drawn", version, ("champion",), "ieast", "vgg19-compact", f"digest-{version}")


@contextlib.contextmanager
def served(service: Service, follower=None):
    """The address at which `service` answers; the server is at `.server`."""
    with listen("127.0.0.1", 0) as listener:
        server = server_of(make_app(service, follower), 10)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield Client(listener.getsockname()[1], server, thread)
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


class Answer:
    def __init__(self, response) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def detail(self) -> str:
        assert set(self.json) == {"detail", "request"}
        return self.json["detail"]

    @property
    def picture(self) -> Image.Image:
        assert self.status == 200, self.body
        return Image.open(io.BytesIO(self.body)).convert("RGB")

    @property
    def pixels(self) -> np.ndarray:
        return np.asarray(self.picture)


class Client:
    def __init__(self, port, server, thread) -> None:
        self.port, self.server, self.thread = port, server, thread
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, path, body=None, method=None, timeout=60, **headers) -> Answer:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.address + path, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as response:
                return Answer(response)
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error)

    def stylize(self, *parts, **headers) -> Answer:
        body, form_headers = encode_form(parts)
        return self.ask("/v1/stylize", body, **form_headers, **headers)

    def connect(self, *parts, missing=0) -> socket.socket:
        """A connection over which the request has been sent, less its last `missing` bytes."""
        body, headers = encode_form(parts)
        lines = [f"{name}: {value}" for name, value in (headers | {"Content-Length": str(len(body)), "Host": "x"}).items()]
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        head = "\r\n".join(["POST /v1/stylize HTTP/1.1", *lines, "Connection: close", "", ""])
        connection.sendall(head.encode() + body[: len(body) - missing])
        return connection

    def metric(self, name) -> float:
        lines = self.ask("/metrics").body.decode().splitlines()
        return float(next(line.rsplit(" ", 1)[1] for line in lines if line.startswith(name)))


def file_of(image: Image.Image, kind="PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()
