"""The study's server killed while twenty people vote: none of their votes is lost, none counts twice."""

import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
from pathlib import Path

import pytest
from helpers.hunting import SEED, Tally, environment_of, trials
from helpers.studies import Visitor

from ieast.study.build import build_study
from ieast.study.plan import Plan

VOTERS = 20
# Like `ieast study serve`, whose store passes over hasty answers; tests are faster than people.
SERVE = """
import sys
from pathlib import Path
from ieast.io.ports import listen
from ieast.study.store import Store
from ieast.study.web import serve
serve(Store(Path(sys.argv[1]), haste=0.0), listen("127.0.0.1", int(sys.argv[2])))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server that is started again on the same port."""

    def __init__(self, study: Path, port: int):
        self.study, self.port = study, port
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-c", SERVE, str(self.study), str(self.port)]
        self.process = subprocess.Popen(command, env=environment_of(self.study), stderr=subprocess.PIPE, text=True)

    def end(self, number: int) -> str:
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[1]


def vote(
    address: str, person: int, sent: dict[tuple[str, int], set[int]], acknowledged: set[tuple[str, int]], stop: float
) -> None:
    """Vote to the end as a person would: who gets no answer loads the page again, and votes again if it is still open."""
    draw = random.Random(person)
    visitor, token = Visitor(address), ""
    while time.monotonic() < stop:
        try:
            if not token:
                visitor.get(f"{address}/")
                visitor.post("/begin", **visitor.form.hidden)
                token = visitor.token
            visitor.get(f"{address}/s/{token}")
            while visitor.form.kind:
                form = visitor.form
                number, chosen = int(form.hidden["question"]), int(draw.choice(form.answers))
                sent.setdefault((token, number), set()).add(chosen)
                visitor.answer(chosen)
                if visitor.status == 200:
                    acknowledged.add((token, number))
            if visitor.status == 200:
                return
        except (OSError, urllib.error.URLError, ValueError, AttributeError):  # no server just now
            time.sleep(0.05)
    raise TimeoutError(f"person {person} could not vote to the end")


@pytest.mark.timeout(1800)
def test_a_study_whose_server_is_killed_while_people_vote(benchmark_folder, tmp_path):
    tally = Tally("the study's server, killed under 20 voters")
    draw = random.Random(SEED)
    study = tmp_path / "study"
    build_study(benchmark_folder, study, Plan(participants=VOTERS, pairs=4, per_method=2, real=3))
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = Server(study, port)
    kills = trials(2)
    sent: dict[tuple[str, int], set[int]] = {}
    acknowledged: set[tuple[str, int]] = set()
    failures: list[BaseException] = []

    def person(number: int) -> None:
        try:
            vote(address, number, sent, acknowledged, time.monotonic() + 60 + 20 * kills)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=person, args=(number,)) for number in range(VOTERS)]
    for thread in threads:
        thread.start()
    total = VOTERS * 13
    for number in range(kills):
        with tally.trial(number):
            # After as many votes as this kill's share, and a little time more.
            while len(acknowledged) < total * number / (kills + 1) and any(thread.is_alive() for thread in threads):
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 0.05))
            assert "Traceback" not in server.end(signal.SIGTERM if number % 4 == 3 else signal.SIGKILL)
            server.start()
    for thread in threads:
        thread.join()
    server.end(signal.SIGTERM)
    with tally.trial("the end"):
        assert failures == []
        with sqlite3.connect(study / "study.db") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            rows = db.execute("SELECT token, number, answer FROM vote JOIN participant ON participant = id").fetchall()
        recorded = {(token, number): answer for token, number, answer in rows}
        assert len(rows) == len(recorded) == total
        assert acknowledged <= recorded.keys()
        assert all(answer in sent[key] for key, answer in recorded.items())
    tally.trials -= 1  # the end is none
    tally.conclude()
