"""A way to a server on this machine that can be shut and led elsewhere, as when the server is stopped; what it holds stays."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from helpers.servers import free_port


class Door:
    """A port that leads to another one, while it leads anywhere.

    Attributes:
        port: Of the door.
    """

    def __init__(self):
        self.port = free_port()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def lead_to(self, port: int) -> None:
        """Have connections go to `port` from here on; those that lead elsewhere end."""
        self.shut()
        listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()

    def shut(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket, port: int) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", port))
            with self._lock:
                self._open |= {client, server}
            for pair in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        with self._lock:
            self._open -= {source, target}


@contextlib.contextmanager
def door(port: int) -> Iterator[Door]:
    """A door that leads to `port` at first."""
    made = Door()
    made.lead_to(port)
    try:
        yield made
    finally:
        made.shut()


@contextlib.contextmanager
def answering(status: int, code: str = "") -> Iterator[str]:
    """A server that answers every request in the same way; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # of clients that wait for `100 Continue`

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

        def log_message(self, *_):
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
