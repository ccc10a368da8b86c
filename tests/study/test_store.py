import multiprocessing
import sqlite3
import threading
from collections import Counter

import pytest

import ieast.study.store as module
from ieast.errors import StudyError
from ieast.study.build import build_study
from ieast.study.plan import Plan
from ieast.study.store import AnswerError, Store, UnknownLinkError

CONTEXT = multiprocessing.get_context("spawn")


def visit(number):
    return f"{number:032x}"


def votes(study):
    with sqlite3.connect(study / "study.db") as db:
        return db.execute("SELECT participant, number, answer FROM vote ORDER BY 1, 2").fetchall()


def test_places_are_given_in_order_each_with_a_secret_of_its_own(study):
    store = Store(study, haste=0)
    tokens = [store.claim(visit(number)) for number in range(6)]
    assert len(set(tokens)) == 6
    assert all(len(token) == 32 for token in tokens)
    with store.reading() as db:
        assert [token for (token,) in db.execute("SELECT token FROM participant ORDER BY id")] == tokens
    assert not store.has_room()
    assert store.claim(visit(6)) is None


def test_the_same_visit_gets_the_same_place(study):
    store = Store(study, haste=0)
    assert store.claim(visit(1)) == store.claim(visit(1))
    assert store.claim(visit(2)) != store.claim(visit(1))


def test_a_place_nobody_used_goes_to_somebody_else_once_there_are_no_others(study, monkeypatch):
    store = Store(study, haste=0)
    tokens = [store.claim(visit(number)) for number in range(6)]
    store.vote(tokens[0], 1, 1)
    assert store.claim(visit(7)) is None
    monkeypatch.setattr(module, "ABANDONED", -1.0)
    fresh = store.claim(visit(7))
    assert fresh not in tokens
    with pytest.raises(UnknownLinkError):
        store.show(tokens[1])  # the one that began first without a vote
    assert store.show(fresh).number == 1
    assert store.progress(tokens[0]) == (1, 13)


def test_questions_come_in_order_and_end(study):
    store = Store(study, haste=0)
    token = store.claim(visit(0))
    assert store.counts() == {"deception": 9, "preference": 4}
    for number in range(1, 14):
        asked = store.show(token)
        assert (asked.number, asked.total) == (number, 13)
        assert asked.kind == ("deception" if number <= 9 else "preference")
        assert len(asked.pictures) == (1 if number <= 9 else 3)
        assert (asked.content is None) == (number <= 9)
        assert store.vote(token, number, 1)
    assert store.show(token) is None
    assert store.progress(token) == (13, 13)
    assert not store.vote(token, 14, 1)


def test_an_answer_counts_once_and_only_to_the_open_question(study):
    store = Store(study, haste=0)
    token = store.claim(visit(0))
    assert store.vote(token, 1, 1)
    assert not store.vote(token, 1, 0)
    assert not store.vote(token, 3, 1)
    assert votes(study) == [(1, 1, 1)]


@pytest.mark.parametrize(("number", "answer"), [(1, 2), (1, -1), (10, 0), (10, 4)])
def test_an_answer_that_was_not_offered_is_refused(study, number, answer):
    store = Store(study, haste=0)
    token = store.claim(visit(0))
    for before in range(1, number):
        store.vote(token, before, 1)
    with pytest.raises(AnswerError, match=f"{answer} is none of the answers to question {number}"):
        store.vote(token, number, answer)
    assert store.progress(token) == (number - 1, 13)


@pytest.mark.parametrize("token", ["", "0" * 32, "' OR 1=1 --"])
def test_an_unknown_token_may_do_nothing(study, token):
    store = Store(study, haste=0)
    store.claim(visit(0))
    for use in (store.show, store.progress, lambda it: store.vote(it, 1, 1)):
        with pytest.raises(UnknownLinkError):
            use(token)
    assert votes(study) == []


def test_the_time_taken_runs_from_the_last_showing(study, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    store = Store(study, haste=0)
    token = store.claim(visit(0))
    store.show(token)
    now[0] += 3600  # a break, and then the page once more
    store.show(token)
    now[0] += 2.5
    store.vote(token, 1, 1)
    store.vote(token, 2, 1)  # never shown
    with store.reading() as db:
        assert db.execute("SELECT seconds FROM vote ORDER BY number").fetchall() == [(2.5,), (None,)]


def test_what_is_answered_sooner_than_anybody_can_look_is_no_answer(study, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    store = Store(study)
    token = store.claim(visit(0))
    store.show(token)
    now[0] += 0.4
    assert not store.vote(token, 1, 1)
    assert store.show(token).number == 1
    now[0] += 0.2
    assert store.vote(token, 1, 0)
    assert votes(study) == [(1, 1, 0)]


def test_a_clock_that_is_put_back_loses_no_answer(study, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    store = Store(study)
    token = store.claim(visit(0))
    store.show(token)
    now[0] -= 600
    assert store.vote(token, 1, 1)
    store.show(token)
    now[0] -= 600
    store.show(token)  # whose clock starts again
    now[0] += 0.2
    assert not store.vote(token, 2, 1)
    now[0] += 1
    assert store.vote(token, 2, 1)
    with store.reading() as db:
        assert db.execute("SELECT seconds FROM vote ORDER BY number").fetchall() == [(None,), (pytest.approx(1.2),)]


def test_the_tables_themselves_refuse_a_second_vote_and_one_on_no_question(study):
    store = Store(study, haste=0)
    store.vote(store.claim(visit(0)), 1, 1)
    for row in ((1, 1, 0), (1, 99, 0), (77, 1, 0)):
        with store.reading() as db, pytest.raises(sqlite3.IntegrityError):
            db.execute("INSERT INTO vote VALUES (?, ?, ?, NULL, 0)", row)


def test_what_is_no_study_is_refused(study, tmp_path):
    with pytest.raises(StudyError, match=r"nowhere: is not a study, it has no study\.db. Make one with `ieast study build`"):
        Store(tmp_path / "nowhere")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "study.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StudyError, match=r"study\.db: cannot be read"):
        Store(tmp_path / "odd")
    with sqlite3.connect(study / "study.db") as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(StudyError, match="has format 9, and this program knows 1"):
        Store(study, haste=0)


def hurry(folder, first, people, tokens):
    """Several people of one process at once, each clicking twice on everything, in two threads each."""
    store = Store(folder, haste=0)
    gate = threading.Barrier(2 * people)

    def vote(number):
        gate.wait()
        token = store.claim(visit(first + number))
        tokens.append(token)
        while token and (asked := store.show(token)):
            store.vote(token, asked.number, 1 + number % 3 if asked.kind == "preference" else number % 2)

    threads = [threading.Thread(target=vote, args=(number,)) for number in range(people) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def hurried(folder, first, people, queue):
    tokens: list = []
    hurry(folder, first, people, tokens)
    queue.put(tokens)


def test_many_people_in_several_processes_at_once_lose_nothing_and_count_once(benchmark_folder, tmp_path):
    build_study(benchmark_folder, tmp_path / "study", Plan(participants=10, pairs=4, per_method=2, real=3))
    queue = CONTEXT.Queue()
    # Twelve people for ten places, all at once.
    processes = [CONTEXT.Process(target=hurried, args=(tmp_path / "study", 100 * k, 6, queue)) for k in range(2)]
    for process in processes:
        process.start()
    tokens = [token for _ in processes for token in queue.get(timeout=120)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    counts = Counter(tokens)
    assert counts.pop(None) == 2 * 2  # both threads of each of the two who came too late
    assert list(counts.values()) == [2] * 10
    actual = votes(tmp_path / "study")
    assert [row[:2] for row in actual] == [(person, number) for person in range(1, 11) for number in range(1, 14)]
    for person in range(1, 11):
        answers = {answer for who, number, answer in actual if who == person and number <= 9}
        assert len(answers) == 1  # nobody else's vote ended here
