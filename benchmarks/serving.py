"""What `ieast serve` adds to the model, and how it bears load and nonsense: `python -m benchmarks.serving`.

The service runs as people start it, in a process of its own; photograph and style are drawn and equally large, the model is the
shipped one. What the service adds is the time of a whole request less that of the model, which the `Server-Timing` of the same
request says, so that a busy moment of the machine strikes both.
"""

import http.client
import io
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
from PIL import Image

from benchmarks.bad_requests import bad_requests, encode_form
from benchmarks.rows import Row
from ieast.data.sample import draw_artwork, draw_photograph
from ieast.io.images import encode_jpeg
from ieast.service.limits import Limits

SIDE = 512
CLIENTS = 8
MINUTE = 60.0
BAD = 1000
_TURNS = 30


def rows() -> list[Row]:
    """The serving rows of the table."""
    with _service() as (process, port):
        client = _Client(port)
        for _ in range(3):
            client.stylize()
        return [_overhead(client), *_cached(client), *_load(client, port, process), *_nonsense(client, process)]


@contextmanager
def _service() -> Iterator[tuple[int, int]]:
    """Process and port of a service."""
    command = [sys.executable, "-c", "from ieast.cli.main import main; main()", "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        match = re.search(r":(\d+)/", process.stdout.readline())
        if match is None:
            raise RuntimeError("the service did not start; `ieast serve` says why")
        try:
            yield process.pid, int(match[1])
        finally:
            process.send_signal(signal.SIGTERM)


class _Client:
    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.content = encode_jpeg(Image.fromarray(draw_photograph(5, 0, (SIDE, SIDE))))
        self.style = encode_jpeg(Image.fromarray(draw_artwork(1, 0, (SIDE, SIDE))))

    def ask(self, body: bytes, headers: dict[str, str]) -> tuple[int, str]:
        """Status and `Server-Timing`."""
        try:
            self.connection.request("POST", "/v1/stylize", body, headers)
            answer = self.connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Server-Timing", "")
        except (ConnectionError, http.client.RemoteDisconnected):
            self.connection.close()  # the next request connects anew
            return 0, ""

    def stylize(self, styles: Sequence[bytes] = ()) -> tuple[int, float, float]:
        """Status, seconds in all, and those of the model; in `styles`, or in the client's own."""
        parts = (("style", style) for style in styles or [self.style])
        body, headers = encode_form((("content", self.content), *parts))
        start = time.perf_counter()
        status, timing = self.ask(body, headers)
        seconds = time.perf_counter() - start
        model = re.search(r"stylizing;dur=([\d.]+)", timing)
        return status, seconds, float(model[1]) / 1000 if model else 0.0


def _overhead(client: _Client) -> Row:
    asked = [client.stylize() for _ in range(_TURNS)]
    added = 1000 * statistics.median(seconds - model for _, seconds, model in asked)
    model = 1000 * statistics.median(model for _, _, model in asked)
    note = f"beside {model:.0f} ms of the model, {added / model:.1%}; JPEG in and out, style cached"
    return Row(f"the service around the model, {SIDE}x{SIDE}", added, "ms", 10, 5, lower_is_better=True, note=note)


def _cached(client: _Client) -> list[Row]:
    """For styles of the photograph's size, as paintings are photographed, and for several; fresh and cached take turns."""
    whole = Image.open(io.BytesIO(client.style))
    kinds = {
        f"{SIDE}x{SIDE}": [client.style],
        "12 million pixels": [encode_jpeg(whole.resize((4000, 3000)))],
        f"three, {SIDE}x{SIDE}": [client.style, *(encode_jpeg(whole.rotate(angle)) for angle in (90, 180))],
    }
    rows = []
    for name, styles in kinds.items():
        client.stylize(styles)
        turns = [
            (client.stylize([style + b"salt %d" % turn for style in styles])[1], client.stylize(styles)[1])
            for turn in range(_TURNS)
        ]
        fresh, cached = (statistics.median(seconds) for seconds in zip(*turns, strict=True))
        saved = 100 * (1 - statistics.median(after / before for before, after in turns))
        note = f"{fresh:.3f} s become {cached:.3f} s; looked at at {SIDE} pixels a side"
        rows.append(Row(f"saved of a request by cached styles: {name}", saved, "%", 33, 40, note=note))
    return rows


def _load(client: _Client, port: int, process: int) -> list[Row]:
    """`CLIENTS` without a pause for two minutes; memory is compared between the end of the first and of the second."""
    alone = statistics.median(client.stylize()[1] for _ in range(_TURNS))
    end = time.monotonic() + 2 * MINUTE
    asked: list[tuple[int, float, float]] = []

    def press() -> None:
        own = _Client(port)
        while time.monotonic() < end:
            asked.append(own.stylize())

    threads = [threading.Thread(target=press) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(MINUTE)
    before = _resident(process)
    for thread in threads:
        thread.join()
    grown = (_resident(process) - before) / 1e6
    errors = sum(status != 200 for status, _, _ in asked)
    slow = statistics.quantiles([seconds for _, seconds, _ in asked], n=20)[-1]
    what = f"{CLIENTS} clients for {2 * MINUTE:.0f} s"
    note = f"p95 {slow:.2f} s, alone {alone:.3f} s; {len(asked)} requests, {errors} errors"
    memory = f"{before / 1e6:.0f} MB after the first minute"
    return [
        Row(f"{what}: p95 over the latency alone", slow / alone, "x", 10, 9, lower_is_better=True, note=note),
        Row(f"{what}: errors", errors, "", 0, 0, lower_is_better=True),
        Row(f"{what}: memory gained in the second minute", grown, "MB", 20, 5, lower_is_better=True, note=memory),
    ]


def _nonsense(client: _Client, process: int) -> list[Row]:
    """Bad requests in a row, kind after kind; memory is compared between the middle and the end."""
    limits = Limits()
    kinds = [(bad, *bad.encoded()) for bad in bad_requests(limits.body_bytes, limits.stylized_pixels)]
    client.connection.close()  # which the service closed, or is about to, because nothing came for so long
    wrong: list[str] = []
    before, start = 0, time.perf_counter()
    for number in range(BAD):
        bad, body, headers = kinds[number % len(kinds)]
        if client.ask(body, headers)[0] != bad.status:
            wrong.append(bad.kind)
        if number == BAD // 2:
            before = _resident(process)
    seconds = time.perf_counter() - start
    grown = (_resident(process) - before) / 1e6
    note = f"{seconds:.0f} s in all{'; ' * bool(wrong)}{', '.join(wrong[:3])}"
    memory = f"{before / 1e6:.0f} MB after the first"
    what = f"{BAD} bad requests of {len(kinds)} kinds"
    return [
        Row(f"{what}: answers with another status", len(wrong), "", 0, 0, lower_is_better=True, note=note),
        Row(f"{what}: memory gained by the second half", grown, "MB", 20, 5, lower_is_better=True, note=memory),
    ]


def _resident(process: int) -> int:
    """Bytes of memory that a process has."""
    return int(psutil.Process(process).memory_info().rss)


if __name__ == "__main__":
    for row in rows():
        print(row)
