"""What a server does beside answering goes on whatever happens to a part of it, and ends with the server."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import pytest
from fastapi import FastAPI

from mlflow_rank.registry.outside.tending import Chore, Tending, ring, tend

LONG = 3600.0  # seconds between rounds, so that only a ring can be why there was one


def wait_for(happened: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def failing(_: Callable[[], bool]) -> None:
    raise RuntimeError("no database")


def test_a_chore_that_fails_is_logged_once_and_keeps_no_other_from_being_done(caplog: pytest.LogCaptureFixture) -> None:
    done: list[int] = []
    tending = Tending([Chore("the first", failing), Chore("the second", lambda _: done.append(1))])

    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            tending.round()

    assert len(done) == 3
    assert [record.message for record in caplog.records] == ["the first failed; it is tried again every 5 s"]


def test_it_is_logged_again_once_it_had_been_well_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    well = [False, True, False]

    def sometimes(_: Callable[[], bool]) -> None:
        if not well.pop(0):
            raise RuntimeError

    tending = Tending([Chore("it", sometimes)])
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            tending.round()

    assert len(caplog.records) == 2


def test_the_first_round_is_at_once_and_the_next_when_it_is_rung_for() -> None:
    rounds: list[int] = []
    tending = Tending([Chore("it", lambda _: rounds.append(1))], every=LONG)
    ring()  # as whoever promoted something in this process before did: the first round is enough for that
    tending.start()
    try:
        wait_for(lambda: len(rounds) >= 1)
        time.sleep(0.2)
        assert len(rounds) == 1
        ring()
        wait_for(lambda: len(rounds) == 2)
    finally:
        tending.stop()


def test_it_goes_round_by_itself() -> None:
    rounds: list[int] = []
    tending = Tending([Chore("it", lambda _: rounds.append(1))], every=0.01)
    tending.start()
    try:
        wait_for(lambda: len(rounds) > 3)
    finally:
        tending.stop()


def test_a_server_does_chores_from_its_start_to_its_end() -> None:
    asked: list[bool] = []
    begun = threading.Event()

    def patient(stopping: Callable[[], bool]) -> None:
        begun.set()
        while not stopping():
            time.sleep(0.01)
        asked.append(True)

    app = FastAPI()
    tend(app, Tending([Chore("it", patient)], every=LONG))

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            await asyncio.to_thread(begun.wait, 30)
            assert asked == []

    asyncio.run(serve())

    assert begun.is_set()
    assert asked == [True]
    assert not [thread for thread in threading.enumerate() if thread.name == "mlflow-rank-tending"]
