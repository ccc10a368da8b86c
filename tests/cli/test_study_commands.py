"""`ieast study build`, `serve`, `score` and `scorer`, as people type them."""

import re
import signal
import socket
import subprocess
import sys

import pandas as pd
import pytest
from helpers.studies import Visitor
from typer.testing import CliRunner

from ieast.cli.main import app
from ieast.errors import ConfigError, IeastError, StudyError
from ieast.evaluation.preference import read_scorer
from ieast.installation import install_with
from ieast.study.store import Store

SIZES = ("--participants", 3, "--pairs", 2, "--per-method", 1, "--real", 1)


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")


def ieast(*arguments):
    return CliRunner().invoke(app, ["study", *map(str, arguments)])


def succeeds(*arguments):
    result = ieast(*arguments)
    assert result.exception is None, result.output + repr(result.exception)
    return result.output


def refusal(*arguments):
    result = ieast(*arguments)
    assert isinstance(result.exception, IeastError), result.output + repr(result.exception)
    return result.exception


def vote(study, answers):
    store = Store(study, haste=0)
    token = store.claim(f"{answers[0]:032x}")
    for number, answer in enumerate(answers, start=1):
        store.vote(token, number, answer)


def test_build_says_what_it_laid_out_and_what_comes_next(benchmark_folder, tmp_path):
    said = succeeds("build", benchmark_folder, "-o", tmp_path / "study", *SIZES, "--seed", 1)
    assert f"{tmp_path / 'study'}  3 participants, 2 preference and 4 deception questions for each\n" in said
    assert f"methods   adain+el+cl, ieast, sanet\nnext      ieast study serve {tmp_path / 'study'}\n" in said
    assert Store(tmp_path / "study").counts() == {"deception": 4, "preference": 2}


def test_the_papers_numbers_are_the_defaults(benchmark_folder, tmp_path):
    error = refusal("build", benchmark_folder, "-o", tmp_path / "study")
    assert "--pairs is 20, and the benchmark has 9 pairs" in str(error)
    error = refusal("build", benchmark_folder, "-o", tmp_path / "study", "--pairs", 9)
    assert "--per-method is 10" in str(error)
    error = refusal("build", benchmark_folder, "-o", tmp_path / "study", "--pairs", 9, "--per-method", 9)
    assert "--real is 10, and there are 4 artworks" in str(error)


def test_artworks_from_another_folder(benchmark_folder, tmp_path):
    succeeds("build", benchmark_folder, "-o", tmp_path / "study", *SIZES, "--artworks", benchmark_folder / "styles")
    with Store(tmp_path / "study").reading() as db:
        names = {name for (name,) in db.execute("SELECT name FROM picture WHERE kind = 'artwork'")}
    assert names
    assert names <= {"s0.png", "s1.png", "s2.png"}


def test_score_prints_tables_and_writes_them(benchmark_folder, tmp_path):
    succeeds("build", benchmark_folder, "-o", tmp_path / "study", *SIZES)
    vote(tmp_path / "study", [1, 1, 1, 1, 1, 2])
    vote(tmp_path / "study", [0, 0, 0])
    said = succeeds("score", tmp_path / "study")
    assert "2 participants, 1 finished; 9 answers, median unknown\n" in said
    assert "preference score: share of votes" in said
    assert re.search(r"artworks .* [01] of \d .*0\.875", said)
    assert re.search(r"ieast .* [0-2] of 2 .*0\.267", said)
    assert "note: only 2 participants" in said
    assert "note: 1 of 2 participants have not finished" in said
    assert f"table     {tmp_path / 'study' / 'scores' / 'preference.csv'}" in said
    succeeds("score", tmp_path / "study", "-o", tmp_path / "elsewhere", "--seed", 2)
    assert len(pd.read_csv(tmp_path / "elsewhere" / "votes.csv")) == 4 + 3 + 2 * 3


def test_scorer_says_what_it_learnt_from_how_good_it_is_and_what_comes_next(benchmark_folder, tmp_path):
    succeeds("build", benchmark_folder, "-o", tmp_path / "study", *SIZES)
    file = tmp_path / "scorer.safetensors"
    said = succeeds("scorer", tmp_path / "study", "-o", file, "--encoder-weights", "untrained")
    card = read_scorer(file).card
    assert f"{file}  learnt from {card.comparisons} comparisons (degraded pictures; fewer than 30 preference answers)\n" in said
    assert f"on {card.pairs} held-out pairs\n" in said
    assert f"next      set evaluation.preference to {file}\n" in said
    assert card.encoder_name == "vgg19-compact, untrained"


def test_an_encoder_that_there_is_not_makes_no_scorer(study, tmp_path):
    error = refusal("scorer", study, "-o", tmp_path / "scorer.safetensors", "--encoder", "vgg16")
    assert isinstance(error, ConfigError)
    assert "--encoder is not a valid configuration" in str(error)
    assert not (tmp_path / "scorer.safetensors").exists()


def test_what_is_no_study_is_refused(tmp_path):
    for command in ("serve", "score"):
        error = refusal(command, tmp_path)
        assert isinstance(error, StudyError)
        assert "is not a study" in str(error)


def test_a_port_that_is_taken_is_said(study):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        error = refusal("serve", study, "--port", taken.getsockname()[1])
    assert isinstance(error, ConfigError)
    assert "Choose others with --host and --port" in str(error)
    assert "cannot listen on 192.0.2.1" in str(refusal("serve", study, "--host", "192.0.2.1"))


def test_without_the_extra_serve_says_what_to_install(study, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else find(name))
    assert str(refusal("serve", study)) == f"ieast study serve needs uvicorn: {install_with('study')}"


def test_importing_the_commands_loads_nothing_heavy():
    code = (
        "import ieast.cli.main, sys; print([name for name in ('fastapi', 'torch', 'scipy', 'pandas') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_serve_shows_the_page_until_interrupted_and_goes_on_when_started_again(study):
    command = [sys.executable, "-c", "from ieast.cli.main import main; main()", "study", "serve", str(study), "--port", "0"]
    link = ""
    for turn in range(2):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
            try:
                address = re.search(r"people vote at (http://127\.0\.0\.1:\d+)/", server.stdout.readline()).group(1)
                visitor = Visitor(address)
                visitor.get(link) if link else visitor.begin()
                assert f"Question {turn + 1} of 13" in visitor.page
                while f"Question {turn + 1} of 13" in visitor.page:  # until it has been shown for as long as a look takes
                    visitor.answer(1)
                link = f"/s/{visitor.token}"
                assert not visitor.headers.get("server")
            finally:
                server.send_signal(signal.SIGINT)
                output, errors = server.communicate(timeout=60)
        assert server.returncode == 0, errors
        assert f"stopped; all votes are in {study}" in output
        assert errors == ""
    assert Store(study).progress(link.removeprefix("/s/")) == (2, 13)
