"""Connections on real sockets around a core that is told by the test when to answer what."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from tickertape.base.errors import PeerError
from tickertape.base.world import SystemClock
from tickertape.broker.server.core_loop import CoreLoop
from tickertape.broker.server.limits import Limits
from tickertape.broker.state.call import Call

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class ScriptedCore:
    """Answers what begins with "echo" at once and keeps the rest; has nothing to sync."""

    def __init__(self) -> None:
        self.kept: list[tuple[bytes, Call]] = []
        self.ticks = 0

    def handle(self, frame: memoryview, call: Call) -> None:
        request = bytes(frame)
        if request.startswith(b"bad"):
            raise PeerError("got nonsense, want a request")
        if request.startswith(b"bug"):
            raise ZeroDivisionError
        if request.startswith(b"echo"):
            call.answer([request])
        elif request.startswith(b"silent"):
            call.no_answer()
        else:
            self.kept.append((request, call))

    def tick(self) -> int:
        self.ticks += 1
        return 60_000

    def dirty(self) -> list[Any]:
        return []

    def synced(self, logs: Any) -> None:  # noqa: ANN401  # never anything in it
        assert not list(logs)

    def compaction_jobs(self) -> list[Any]:
        return []

    def compacted(self, job: Any) -> None:  # noqa: ANN401  # never called
        raise AssertionError(job)

    def take_notices(self) -> list[str]:
        return []


Scenario = Callable[[ScriptedCore, CoreLoop, Callable[[], Awaitable[Client]]], Awaitable[None]]


def play(
    scenario: Scenario, limits: Limits | None = None, core: ScriptedCore | None = None
) -> ScriptedCore:
    """Run the scenario with a listening core loop and a way to connect to it."""
    core = core or ScriptedCore()

    async def main() -> None:
        shell = CoreLoop(core, core.handle, clock=SystemClock(), limits=limits or Limits())
        listener = await asyncio.get_running_loop().create_server(shell.connect, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        writers: list[asyncio.StreamWriter] = []

        async def connect() -> Client:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writers.append(writer)
            return reader, writer

        shell.start()
        try:
            async with asyncio.timeout(20):
                await scenario(core, shell, connect)
        finally:
            for writer in writers:
                writer.close()
            listener.close()
            shell.close()
            await asyncio.sleep(0.01)  # transports close in the loop's next turns

    asyncio.run(main())
    return core


def framed(*requests: bytes) -> bytes:
    return b"".join(len(request).to_bytes(4, "big") + request for request in requests)


async def answer(client: Client) -> bytes:
    size = int.from_bytes(await client[0].readexactly(4), "big")
    return await client[0].readexactly(size)


async def kept(core: ScriptedCore, count: int) -> None:
    await until(lambda: len(core.kept) >= count)


async def until(holds: Callable[[], bool]) -> None:
    """Look until it does; the scenario's own deadline is the limit."""
    while not holds():  # noqa: ASYNC110  # what is awaited has no event to wait on
        await asyncio.sleep(0.001)


def test_answers_leave_in_the_order_of_the_requests() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"slow 1", b"echo 2", b"silent 3", b"slow 4", b"echo 5"))
        await kept(core, 2)
        (_, first), (_, fourth) = core.kept
        fourth.answer([b"fo", b"ur"])
        first.answer([b"one"])
        assert [await answer(client) for _ in range(4)] == [b"one", b"echo 2", b"four", b"echo 5"]

    play(scenario)


@pytest.mark.parametrize(
    ("request_bytes", "says"),
    [
        (framed(b"bad"), "got nonsense, want a request"),
        (framed(b"bug"), "a request failed"),
        (b"\xff\xff\xff\xff", "got a frame of -1 bytes"),
        (b"\x7f\xff\xff\xff", "got a frame of 2147483647 bytes"),
    ],
)
def test_a_bad_client_is_closed_with_one_line_and_others_are_served(
    request_bytes: bytes, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        good, bad = await connect(), await connect()
        bad[1].write(request_bytes + framed(b"echo never"))
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await answer(bad)
        good[1].write(framed(b"echo still here"))
        assert await answer(good) == b"echo still here"

    play(scenario)
    assert len(caplog.records) == 1
    assert says in caplog.records[0].getMessage()


def test_reading_stops_while_too_many_calls_are_unanswered() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(*(b"slow %d" % number for number in range(10))))
        await kept(core, 3)
        await asyncio.sleep(0.05)
        assert len(core.kept) == 3
        answered = 0
        while answered < 10:
            await kept(core, answered + 1)
            request, call = core.kept[answered]
            call.answer([request])
            assert await answer(client) == request
            answered += 1

    play(scenario, Limits(calls_in_flight_max=3))


def test_a_client_that_reads_nothing_costs_bounded_memory_and_is_closed_in_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(held_bytes_max=1 << 20, idle_ms_max=400)
    sent = 0

    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        nonlocal sent
        _, writer = await connect()
        request = framed(b"echo" + bytes(1 << 18))
        with contextlib.suppress(ConnectionError):  # reset, once it has been idle for long enough
            for _ in range(1000):
                writer.write(request)
                await writer.drain()
                sent += len(request)
        good = await connect()
        good[1].write(framed(b"echo"))
        assert await answer(good) == b"echo"

    play(scenario, limits)
    assert sent < 100 << 20  # kernel buffers and the limit, never the 250 MiB
    assert "with answers unread" in caplog.text


def test_an_idle_client_is_closed_but_not_one_that_waits_for_an_answer() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        idle, half, waiting = await connect(), await connect(), await connect()
        half[1].write(framed(b"echo cut short")[:9])
        waiting[1].write(framed(b"slow"))
        assert await idle[0].read() == b""
        assert await half[0].read() == b""
        core.kept[0][1].answer([b"at last"])
        assert await answer(waiting) == b"at last"

    play(scenario, Limits(idle_ms_max=200))


def test_too_many_connections_are_refused_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        first = await connect()
        first[1].write(framed(b"echo 1"))
        assert await answer(first) == b"echo 1"
        for _ in range(3):
            refused = await connect()
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await answer(refused)
        first[1].close()
        await until(lambda: not shell.connections_open)
        second = await connect()
        second[1].write(framed(b"echo 3"))
        assert await answer(second) == b"echo 3"

    play(scenario, Limits(connections_max=1))
    assert [record.getMessage() for record in caplog.records] == [
        "refusing connections: 1 are open"
    ]


def test_a_client_that_sends_nonsense_again_and_again_is_a_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        for _ in range(20):
            client = await connect()
            client[1].write(framed(b"bad"))
            assert await client[0].read() == b""

    play(scenario)
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith(" closed: got nonsense, want a request")
    (record,) = caplog.records
    assert record.__dict__["peer"].startswith("127.0.0.1:")


def test_nonsense_of_many_sizes_is_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        for number in range(20):
            client = await connect()
            client[1].write((2**30 + number).to_bytes(4, "big"))
            assert await client[0].read() == b""

    play(scenario)
    (line,) = [record.getMessage() for record in caplog.records]
    assert f"got a frame of {2**30} bytes" in line


def test_a_short_wait_does_not_end_a_long_one() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"slow 1", b"slow 2"))
        await kept(core, 2)
        for ms, (request, call) in zip((60_000, 1), core.kept, strict=True):
            call.throttle_ms = ms
            call.answer([request])
        assert [await answer(client), await answer(client)] == [b"slow 1", b"slow 2"]
        client[1].write(framed(b"slow 3"))
        await asyncio.sleep(0.1)
        assert len(core.kept) == 2, "muted for a minute"

    play(scenario)


def test_who_has_waited_is_read_again() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        for _ in range(5):
            client[1].write(framed(b"slow", b"echo"))
            await kept(core, 1)
            _, call = core.kept.pop()
            call.throttle_ms = 5
            call.answer([b"done"])
            assert [await answer(client), await answer(client)] == [b"done", b"echo"]

    play(scenario)


def test_a_call_whose_client_has_gone_is_not_alive_and_may_be_answered_in_vain() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"slow"))
        await kept(core, 1)
        call = core.kept[0][1]
        assert call.alive()
        client[1].close()
        await until(lambda: not shell.connections_open)
        assert not call.alive()
        call.answer([b"nobody listens"])

    play(scenario)


def test_draining_sends_what_is_answered_and_takes_nothing_new() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"slow"))
        await kept(core, 1)
        big = bytes(8 << 20)
        core.kept[0][1].answer([big])
        async with asyncio.TaskGroup() as tasks:
            drained = tasks.create_task(shell.drain())
            received = tasks.create_task(answer(client))
        assert drained.result()
        assert received.result() == big
        client[1].write(framed(b"slow, too late"))
        await asyncio.sleep(0.05)
        assert len(core.kept) == 1

    play(scenario)


def test_a_drain_does_not_wait_for_ever() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"slow"))
        await kept(core, 1)
        core.kept[0][1].answer([bytes(32 << 20)])  # more than the reader's buffers take unread
        assert not await shell.drain()

    play(scenario, Limits(drain_ms_max=100))


def test_a_tick_that_fails_is_logged_and_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy(ScriptedCore):
        def tick(self) -> int:
            if super().tick() and self.ticks == 1:
                raise ZeroDivisionError
            return 60_000

    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"echo"))
        assert await answer(client) == b"echo"
        await until(lambda: core.ticks > 1)

    play(scenario, core=Clumsy())
    assert [record.getMessage() for record in caplog.records] == ["a tick failed"]


class Counting(ScriptedCore):
    asked = 0

    def dirty(self) -> list[Any]:
        self.asked += 1
        return []


def test_what_upkeep_leaves_is_synced_also_with_fsync_never() -> None:
    core = Counting()

    async def scenario() -> None:
        shell = CoreLoop(core, core.handle, clock=SystemClock(), limits=Limits(), fsync="never")
        shell.start()
        shell.close()

    asyncio.run(scenario())
    assert (core.ticks, core.asked) == (1, 1)


def test_an_interval_syncs_without_being_asked() -> None:
    core = Counting()

    async def scenario() -> None:
        shell = CoreLoop(
            core,
            core.handle,
            clock=SystemClock(),
            limits=Limits(),
            fsync="interval",
            flush_interval_ms=5,
        )
        shell.start()
        async with asyncio.timeout(20):
            await until(lambda: core.asked >= 3)
        shell.close()

    asyncio.run(scenario())
    assert core.ticks == 1


def test_an_idle_loop_does_not_tick_without_need() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"echo"))
        await answer(client)
        await asyncio.sleep(0.2)

    assert play(scenario).ticks <= 3


def test_an_address_has_so_many_connections(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        clients = [await connect(), await connect()]
        for client in clients:
            client[1].write(framed(b"echo"))
            assert await answer(client) == b"echo"
        for _ in range(3):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await answer(await connect())
        clients.pop()[1].close()
        await until(lambda: shell.connections_open == 1)
        again = await connect()
        again[1].write(framed(b"echo"))
        assert await answer(again) == b"echo"

    limits = Limits(connections_per_ip_max=0, connections_per_ip={"127.0.0.1": 2})
    play(scenario, limits)
    assert [record.getMessage() for record in caplog.records] == [
        "refusing connections from 127.0.0.1: 2 are open"
    ]


def test_a_last_word_is_heard_and_then_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"who"))
        await kept(core, 1)
        core.kept[0][1].answer([b"no" * 100_000])
        core.kept[0][1].hang_up("not welcome")
        assert await answer(client) == b"no" * 100_000
        assert await client[0].read() == b""

    play(scenario)
    assert "not welcome" in caplog.text


def test_who_exceeds_a_quota_is_not_read_from_for_a_while() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"much"))
        await kept(core, 1)
        began = asyncio.get_running_loop().time()
        core.kept[0][1].throttle_ms = 60
        core.kept[0][1].answer([b"later"])
        assert await answer(client) == b"later"
        client[1].write(framed(b"echo"))
        assert await answer(client) == b"echo"
        assert asyncio.get_running_loop().time() - began >= 0.06  # not before; how late is free

    play(scenario)


def test_what_waits_is_told_that_its_client_has_gone() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        client = await connect()
        client[1].write(framed(b"poll", b"poll"))
        await kept(core, 2)
        gone: list[int] = []
        for number, (_, call) in enumerate(core.kept):
            call.on_gone = partial(gone.append, number)
        core.kept[1][1].answer([b"has its answer"])
        client[1].close()
        await until(lambda: not shell.connections_open)
        assert gone == [0]

    play(scenario)


def test_large_requests_share_the_memory_that_there_is() -> None:
    """One is half there and holds all the memory: the next is read on when it is done, or gone."""
    size = 300_000
    large = framed(b"echo" + bytes(size))

    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        assert shell.memory is not None
        first, second, third = await connect(), await connect(), await connect()
        first[1].write(large[: size // 2])
        await until(lambda: shell.memory is not None and shell.memory.bytes_in_use == len(large))
        second[1].write(large)
        third[1].write(framed(b"echo small") + large)
        assert await answer(third) == b"echo small", "small requests need no memory"
        assert shell.memory.bytes_in_use == len(large), "nobody else has begun"
        first[1].write(large[size // 2 :])
        for client in (first, second, third):
            assert len(await answer(client)) == size + 4
        assert shell.memory.bytes_in_use == 0

    play(scenario, Limits(queued_bytes_max=100_000))


def test_a_client_that_goes_gives_its_memory_back() -> None:
    async def scenario(core: ScriptedCore, shell: CoreLoop, connect: Any) -> None:  # noqa: ANN401
        first, second = await connect(), await connect()
        first[1].write(framed(b"echo" + bytes(200_000))[:100_000])
        await until(lambda: shell.memory is not None and shell.memory.bytes_in_use > 0)
        second[1].write(framed(b"echo" + bytes(200_000)))
        first[1].close()
        assert len(await answer(second)) == 200_004

    play(scenario, Limits(queued_bytes_max=1))
