"""A loop that runs out of descriptors says so in one line; anything else is reported in full."""

import asyncio
import errno
import os
from collections.abc import Iterator

import pytest

from tickertape.base.fakes import FakeClock
from tickertape.broker.server.loop_errors import loop_errors


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def exhausted(number: int = errno.EMFILE) -> dict[str, object]:
    return {
        "message": "socket.accept() out of system resource",
        "exception": OSError(number, os.strerror(number)),
    }


def test_a_thousand_failed_accepts_are_a_line_every_ten_seconds(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    loop.set_exception_handler(loop_errors(clock))
    for _ in range(1000):
        loop.call_exception_handler(exhausted())
    clock.advance(10_000)
    loop.call_exception_handler(exhausted())
    line = "cannot accept connections, trying again: Too many open files"
    assert caplog.messages == [line, f"{line} (999 times more since the last line)"]
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize("error", [ValueError("a bug"), OSError(errno.EIO, "input/output error")])
def test_what_is_no_lack_of_resources_keeps_its_traceback(
    loop: asyncio.AbstractEventLoop, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    loop.set_exception_handler(loop_errors(FakeClock()))
    loop.call_exception_handler({"message": "in a callback", "exception": error})
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error
