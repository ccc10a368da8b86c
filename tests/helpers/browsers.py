"""A headless Chromium, driven by its DevTools protocol; tests that need one skip where there is none."""

import base64
import contextlib
import itertools
import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
PATIENCE = 60.0
KEYS = {
    "Tab": (9, ""),
    "Enter": (13, "\r"),
    " ": (32, " "),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "ArrowLeft": (37, ""),
    "Escape": (27, ""),
}


@contextlib.contextmanager
def chromium(folder: Path, scripts=False):
    """A browser with a fresh profile in `folder`; its one page runs scripts only if told to."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no Chromium or Chrome is on the PATH")
    client = pytest.importorskip("websockets.sync.client")
    command = [program, *FLAGS, f"--user-data-dir={folder}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port = until(lambda: _port(folder), "Chromium opens its port")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=PATIENCE) as response:
                target = next(each for each in json.load(response) if each["type"] == "page")
            # Of a goodbye that nobody reads beside all that the browser had to say, it would wait for an answer.
            with client.connect(target["webSocketDebuggerUrl"], max_size=None, close_timeout=0.2) as socket:
                yield Browser(socket, scripts)
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def _port(folder: Path) -> str:
    file = folder / "DevToolsActivePort"
    return file.read_text().split("\n")[0] if file.is_file() else ""


def until(condition, what):
    """The first true value of `condition`, which is asked again and again."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if actual := condition():
            return actual
        time.sleep(0.05)
    raise TimeoutError(f"waited {PATIENCE:.0f} s until {what}")


class Browser:
    """One page: moves, clicks, keys, and what it loaded and complained about."""

    def __init__(self, socket, scripts) -> None:
        self.socket = socket
        self.numbers = itertools.count(1)
        self.loads = 0
        self.complaints: list[str] = []
        self.responses: dict[str, int] = {}
        for domain in ("Page", "DOM", "Log", "Network", "Runtime"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setScriptExecutionDisabled", value=not scripts)

    def send(self, method, **parameters):
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE))
            if message.get("id") == number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._note(message)

    def _note(self, message) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Page.loadEventFired":
            self.loads += 1
        elif message.get("method") == "Log.entryAdded":
            self.complaints.append(parameters["entry"]["text"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(parameters["exceptionDetails"]))
        elif message.get("method") == "Network.responseReceived":
            self.responses[parameters["response"]["url"]] = parameters["response"]["status"]

    @contextlib.contextmanager
    def loading(self):
        """What is done here loads a page; goes on once that is there."""
        before = self.loads
        yield
        while self.loads == before:
            self._note(json.loads(self.socket.recv(timeout=PATIENCE)))

    def window(self, width, height, mobile=False) -> None:
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def open(self, url) -> None:
        with self.loading():
            self.send("Page.navigate", url=url)

    def back(self) -> None:
        history = self.send("Page.getNavigationHistory")
        with self.loading():
            self.send("Page.navigateToHistoryEntry", entryId=history["entries"][history["currentIndex"] - 1]["id"])

    @property
    def url(self) -> str:
        history = self.send("Page.getNavigationHistory")
        return history["entries"][history["currentIndex"]]["url"]

    @property
    def page(self) -> str:
        return self.send("DOM.getOuterHTML", nodeId=self._root())["outerHTML"]

    def _root(self) -> int:
        return self.send("DOM.getDocument", depth=0)["root"]["nodeId"]

    def boxes(self, selector) -> list[tuple[float, float, float, float]]:
        """Left, top, width and height of each element, in pixels of the page as it is scrolled."""
        actual = self.send("DOM.querySelectorAll", nodeId=self._root(), selector=selector)["nodeIds"]
        boxes = []
        for node in actual:
            corners = self.send("DOM.getBoxModel", nodeId=node)["model"]["border"]
            left, top, right, bottom = corners[0], corners[1], corners[4], corners[5]
            boxes.append((left, top, right - left, bottom - top))
        return boxes

    def boxes_shown(self, selector) -> list[tuple[float, float, float, float]]:
        """As `boxes`, of those that can be seen."""
        code = f"""[...document.querySelectorAll({json.dumps(selector)})].filter((one) => one.checkVisibility())
            .map((one) => one.getBoundingClientRect()).map(({{x, y, width, height}}) => [x, y, width, height])"""
        return self.ask(code)

    def click(self, selector, number=0, times=1) -> None:
        actual = self.send("DOM.querySelectorAll", nodeId=self._root(), selector=selector)["nodeIds"]
        self.send("DOM.scrollIntoViewIfNeeded", nodeId=actual[number])
        left, top, width, height = self.boxes(selector)[number]
        place = {"x": left + width / 2, "y": top + height / 2}
        for count in range(1, times + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.send("Input.dispatchMouseEvent", type=kind, button="left", clickCount=count, **place)

    def drag(self, start, end) -> None:
        """Press the mouse at one place, move it to another and let go."""
        for kind, place in (("mousePressed", start), ("mouseMoved", end), ("mouseReleased", end)):
            self.send("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", buttons=1, clickCount=1)

    def drop(self, selector, *files: Path) -> None:
        """Drop files on the middle of an element."""
        left, top, width, height = self.boxes(selector)[0]
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=left + width / 2, y=top + height / 2, data=data)

    def choose(self, selector, *files: Path) -> None:
        """Choose files in the dialog of a field."""
        [node] = self.send("DOM.querySelectorAll", nodeId=self._root(), selector=selector)["nodeIds"]
        self.send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def ask(self, expression):
        """The value of a JavaScript expression, for what a test wants to know and a person sees."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector) -> str:
        return self.ask(f"document.querySelector({json.dumps(selector)}).innerText")

    def shows(self, selector) -> bool:
        return self.ask(f"Boolean(document.querySelector({json.dumps(selector)})?.checkVisibility())")

    def press(self, key) -> None:
        code, text = KEYS[key]
        down = {"type": "keyDown" if text else "rawKeyDown", "key": key, "windowsVirtualKeyCode": code, "text": text}
        self.send("Input.dispatchKeyEvent", **down)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def widths(self) -> tuple[float, float]:
        """Of the page's content and of the window, in pixels."""
        metrics = self.send("Page.getLayoutMetrics")
        return metrics["cssContentSize"]["width"], metrics["cssLayoutViewport"]["clientWidth"]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))
