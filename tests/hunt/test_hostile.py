"""Files and requests of people who mean harm: refused with a sentence, in little time and memory, and nothing of them runs."""

import contextlib
import http.client
import json
import random
import resource
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
import torch
from helpers.hunting import SEED, Tally, in_time, trials
from helpers.studies import Visitor, served
from safetensors.numpy import save_file

from ieast import MODELS
from ieast.checkpoint import import_published, load_model
from ieast.errors import ConfigError, IeastError, WeightsError
from ieast.evaluation.preference import read_scorer
from ieast.experiment import ExperimentConfig
from ieast.io.weights import read_weights
from ieast.models.references import released_or_folder
from ieast.onnx.folder import read_onnx_card
from ieast.study import web
from ieast.study.benchmark import read_benchmark

SECONDS, MEGABYTES = 20, 400


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """What is in the block takes neither long nor much memory."""
    began, before = time.monotonic(), peak()
    yield
    assert peak() - before < MEGABYTES
    assert time.monotonic() - began < SECONDS


def peak() -> float:
    """The most megabytes that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 10)
)
CONFIGURATIONS = {
    "a billion laughs in place of a section": (
        f"{LAUGHS}parameters: {{config: {{data: *a9}}}}",
        r"data: Input should be a valid dictionary",
    ),
    "a billion laughs in place of a list": (
        f"{LAUGHS}parameters: {{config: {{promotion: {{thresholds: *a9}}}}}}",
        r"promotion.thresholds.0: Input should be a valid dictionary",
    ),
    "a billion laughs in place of a name": (
        f"{LAUGHS}parameters: {{config: {{registry: {{name: *a9}}}}}}",
        r"registry.name: Input should be a valid string",
    ),
    "an anchor within itself": ("parameters: &a\n  config: *a\n", "config: unknown key"),
    "a tag that runs code": (
        "parameters: {config: !!python/object/apply:os.mkdir [MARKER]}",
        "is not valid YAML: could not determine a constructor for the tag",
    ),
    "a tag that imports": (
        "parameters: {config: !!python/name:os.system ''}",
        "is not valid YAML: could not determine a constructor for the tag",
    ),
    "nesting without end": ("parameters: {config: " + "[" * 1200, "is not valid YAML: maximum recursion depth"),
    "a number of 5000 digits": ("parameters: {config: {training: {seed: " + "9" * 5000 + "}}}", "is not valid YAML: Exceeds"),
    "a day that is none": ("parameters: {config: {training: {seed: 2024-02-30}}}", "is not valid YAML: day is out of range"),
    "a byte that is no letter": ("parameters: {config: \0}", "is not valid YAML: unacceptable character"),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations(name, tmp_path):
    text, message = CONFIGURATIONS[name]
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("MARKER", str(tmp_path / "it-ran")))
    with bounded(), pytest.raises(ConfigError, match=message) as refusal:
        ExperimentConfig.load(path)
    assert len(str(refusal.value)) < 10_000
    assert not (tmp_path / "it-ran").exists()


def test_a_folder_in_the_place_of_a_configuration(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read as a configuration file \(Is a directory\)"):
        ExperimentConfig.load(tmp_path)


def tensors(header: bytes, length: int | None = None) -> bytes:
    """A .safetensors file with this header, which is said to be of this length."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header


SAFETENSORS = {
    "a header of 2^60 bytes": tensors(b"{}", 2**60),
    "a header of 99 MB that is not there": tensors(b"{}", 99_000_000),
    "a header of 99 MB of nothing": tensors(b"{" + b" " * 99_000_000 + b"}"),
    "a shape of 4 TB": tensors(b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'),
    "a shape that overflows": tensors(
        b'{"a":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,4]}}1234'
    ),
    "nesting without end": tensors(b'{"a":' + b"[" * 100_000),
    "bytes behind the end": tensors(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}12341234'),
}


@pytest.mark.parametrize("name", SAFETENSORS)
def test_weights(name, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(SAFETENSORS[name])
    with bounded(), pytest.raises(WeightsError, match=r"weights.safetensors (cannot be read as weights|is not a state dict)"):
        read_weights(path)
    with bounded(), pytest.raises(WeightsError):
        import_published(path, path, path, tmp_path / "model")
    with pytest.raises(WeightsError, match=r"weights.safetensors (cannot be read as a|holds no) preference scorer"):
        read_scorer(path)


def test_tensors_that_claim_more_than_they_hold(tmp_path):
    """One number, seen a million million times."""
    path = tmp_path / "weights.pth"
    torch.save({"0.weight": torch.zeros(1).expand(3, 3, 1, 10**12)}, path)
    with bounded(), pytest.raises(WeightsError, match="is not a VGG-19 this project knows"):
        import_published(path, path, path, tmp_path / "model")


@pytest.mark.parametrize("metadata", ["no JSON", "[]", "[" * 100_000, '{"format": ' + "9" * 5000 + "}", '{"format": 1}', "7"])
def test_scorers(metadata, tmp_path):
    numbers = {name: np.zeros(1) for name in ("weights", "centre", "spread")}
    save_file(numbers, tmp_path / "scorer.safetensors", {"preference_scorer": metadata})
    with bounded(), pytest.raises(WeightsError, match=r"[Mm]ake it again"):
        read_scorer(tmp_path / "scorer.safetensors")


def replaced(name: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        card = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(card | {name: value}))

    return change


def linked(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("/dev/zero")


MODEL_FOLDERS = {
    "files outside": (replaced("files", {"../../etc/passwd": "0" * 64}), r"must vouch for model.safetensors"),
    "files beside": (
        replaced("files", {"model.safetensors": "0" * 64, "/etc/passwd": "0"}),
        r"must vouch for model.safetensors",
    ),
    "a file that never ends": (linked, r"lacks its file model.safetensors"),
    "code outside": (replaced("network", "../../tmp/evil"), r"there is no method '../../tmp/evil'"),
    "code of Python's": (replaced("network", "os"), r"there is no method 'os'"),
    "an encoder outside": (
        replaced("encoder", {"name": "../vgg", "digest": "0", "source": "x", "tap_scales": []}),
        r"config.json",
    ),
    "nesting without end": (lambda folder: (folder / "config.json").write_text("[" * 100_000), "config.json is damaged"),
    "5000 digits": (
        lambda folder: (folder / "config.json").write_text('{"format": ' + "9" * 5000 + "}"),
        "config.json is damaged",
    ),
    "no text": (lambda folder: (folder / "config.json").write_bytes(bytes(range(256))), "config.json is damaged"),
    "a folder as card": (
        lambda folder: ((folder / "config.json").unlink(), (folder / "config.json").mkdir()),
        r"config.json cannot be read \(Is a directory\)",
    ),
}


@pytest.mark.parametrize("name", MODEL_FOLDERS)
def test_model_folders(name, tmp_path):
    change, message = MODEL_FOLDERS[name]
    folder = shutil.copytree(MODELS["sanet"], tmp_path / "model")
    change(folder)
    with bounded(), pytest.raises(WeightsError, match=message):
        load_model(folder)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", "null", "\ud800"])
def test_cards_of_exported_models(text, tmp_path):
    (tmp_path / "onnx.json").write_bytes(text.encode(errors="surrogatepass"))
    with bounded(), pytest.raises(WeightsError):
        read_onnx_card(tmp_path)


@pytest.mark.parametrize("name", ["../../etc", "..", "/etc", "sanet/../../..", "\0", "a" * 5000])
def test_names_of_models(name):
    with pytest.raises(IeastError):
        load_model(released_or_folder(name))


@pytest.mark.parametrize("column", ["pair", "content", "style"])
@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..\\x", ".hidden", ""])
def test_names_in_a_benchmark(benchmark_folder, tmp_path, column, name):
    folder = shutil.copytree(benchmark_folder, tmp_path / "benchmark")
    lines = (folder / "pairs.csv").read_text().splitlines()
    cells = dict(zip(("pair", "content", "style"), lines[1].split(","), strict=True)) | {column: name}
    (folder / "pairs.csv").write_text("\n".join([lines[0], ",".join(cells.values()), *lines[2:]]))
    with pytest.raises(IeastError, match="it must be a file's name without its suffix"):
        read_benchmark(folder)


SEEDS = (
    *(
        "",
        "0",
        "1",
        "-1",
        "1e9",
        "9" * 6,
        "9" * 300,
        "\u0661",
        "NaN",
        "None",
        "../../study.db",
        "%00",
        "a\0b",
        "\r\nX: y",
        "'--",
    ),
    *("{{7*7}}", "<script>", "%f0%28%8c%28", "=", "&&&&", "question=1", "[]", "\ud7ff", "😀" * 40),
)


def request(draw: random.Random, tokens: list[str]) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body and headers of a request that no page makes."""
    word = lambda: draw.choice(SEEDS)  # noqa: E731 - said often
    token = draw.choice([*tokens, "0" * 32, word()])
    paths = ("/", "/begin", f"/s/{token}", f"/s/{token}/{word()}", f"/pictures/{word()}.jpg", f"/{word()}", "/style.css", "//")
    names = ("question", "answer", "visit", "token", word())
    fields = "&".join(f"{quote(draw.choice(names))}={quote(word())}" for _ in range(draw.randint(0, 9)))
    body = draw.choice([fields.encode(), fields.encode(), draw.randbytes(draw.randint(0, 60)), b"=" * 3000])
    headers = {"Cookie": f"place={quote(draw.choice([token, word()]))}"} if draw.random() < 0.5 else {}
    if draw.random() < 0.3:
        kinds = ("application/json", "multipart/form-data; boundary=x", "text/plain; charset=utf-16", "")
        headers["Content-Type"] = draw.choice(kinds)
    return draw.choice(["POST", "POST", "GET", "HEAD", "PUT", "BREW"]), quote(draw.choice(paths), safe="/%"), body, headers


@pytest.mark.timeout(900)
def test_every_field_of_the_study(study):
    """No request makes a fault of the server's, nor a vote, nor is what others voted changed."""
    tally = Tally("requests to a study that no page makes")
    draw = random.Random(SEED)
    with served(study) as address:
        voter, other = Visitor(address).begin(), Visitor(address).begin()
        voter.answer(voter.form.answers[0])
        other.answer(other.form.answers[-1])
        before = votes(study)
        host = address.removeprefix("http://")
        for number in in_time(range(trials(20) * 20)):
            method, path, body, headers = request(draw, [voter.token])
            with tally.trial(f"{number}: {method} {path} {body!r} {headers}"):
                connection = http.client.HTTPConnection(host, timeout=30)
                connection.request(method, path, body, headers)
                response = connection.getresponse()
                page = response.read()
                connection.close()
                assert response.status < 500, page
                assert b"Traceback" not in page
                assert b"49" not in page or b"{{7*7}}" not in body
        # A fuzzed vote may have been one, with the link and an answer that was offered; others' are as they were.
        assert [vote for vote in votes(study) if vote[0] == 2] == [vote for vote in before if vote[0] == 2]
        for visitor in (voter, other):
            visitor.get(f"/s/{visitor.token}")
            visitor.finish(lambda form: form.answers[0])
    with sqlite3.connect(study / "study.db") as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    rows = votes(study)
    assert len(rows) == len({(participant, number) for participant, number, _ in rows}) == 26
    tally.conclude()


def votes(study: Path) -> list[tuple[int, int, int]]:
    with sqlite3.connect(study / "study.db") as db:
        return db.execute("SELECT participant, number, answer FROM vote ORDER BY 1, 2").fetchall()


def test_one_does_not_answer_for_another(study):
    """With one's own link, a question that is only open to somebody else; with somebody else's cookie, their place alone."""
    with served(study) as address:
        ann, bob = Visitor(address).begin(), Visitor(address).begin()
        for _ in range(3):
            ann.answer(ann.form.answers[0])
        before = votes(study)
        bob.post(bob.url, **ann.form.hidden, answer=ann.form.answers[0])
        assert bob.status in (400, 200)
        assert votes(study) == before


def test_slow_clients_do_not_keep_others_waiting(study, monkeypatch):
    monkeypatch.setattr(web, "FORM_SECONDS", 1.0)
    with served(study) as address, contextlib.ExitStack() as stack:
        host, port = address.removeprefix("http://").split(":")
        slow = [stack.enter_context(socket.create_connection((host, int(port)), 30)) for _ in range(60)]
        for number, client in enumerate(slow):
            head = b"POST /begin HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
            client.sendall(head if number % 2 else head + b"\r\nvisit=")
        began = time.monotonic()
        visitor = Visitor(address).begin()
        visitor.finish(lambda form: form.answers[0])
        assert time.monotonic() - began < SECONDS
        for client in slow[::2]:
            client.settimeout(SECONDS)
            assert client.recv(100).startswith(b"HTTP/1.1 408")
