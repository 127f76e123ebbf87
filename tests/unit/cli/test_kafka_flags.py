"""Reaching a broker, or saying in one line that none answers; aliases that the help leaves out."""

from threading import Event

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from tickertape.base.errors import PeerError
from tickertape.base.fakes import FakeClock
from tickertape.cli.kafka_flags import Complaints, make_client, reach
from tickertape.cli.main import run

DOWN = KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down")
REFUSED = KafkaError(KafkaError._TRANSPORT, "x:1/bootstrap: Connect failed")
UNKNOWN = KafkaError(
    KafkaError._RESOLVE,
    "x:1/bootstrap: Failed to resolve 'x:1': Name or service not known"
    " (after 0ms in state CONNECT)",
)


class Absent:
    """A client whose brokers answer from the given attempt on; a vain attempt takes its time."""

    def __init__(self, clock: FakeClock, complaints: Complaints, *errors: KafkaError) -> None:
        self._clock = clock
        self._complaints = complaints
        self._errors = errors
        self.answers_at = 1_000
        self.asked = 0

    def list_topics(self, *, timeout: float) -> object:
        self.asked += 1
        if self.asked >= self.answers_at:
            return {}
        self._clock.advance(int(timeout * 1000))
        raise KafkaException(REFUSED)

    def poll(self, timeout: float) -> object:
        for error in self._errors:
            self._complaints(error)
        return timeout


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ((REFUSED, DOWN), "no broker answers at x:1: Connect failed"),
        (
            (UNKNOWN, DOWN),
            "no broker answers at x:1: Failed to resolve 'x:1': Name or service not known",
        ),
    ],
)
def test_nobody_there_is_one_line(
    errors: tuple[KafkaError, ...], told: str, said: list[str]
) -> None:
    clock, complaints = FakeClock(), Complaints(said.append)
    client = Absent(clock, complaints, *errors)
    with pytest.raises(PeerError) as caught:
        reach(client, "x:1", complaints, clock=clock, patience_ms=10_000)
    assert str(caught.value) == told
    assert said == []
    assert client.asked == 5


def test_a_broker_that_does_not_take_us_is_not_asked_again(said: list[str]) -> None:
    clock, complaints = FakeClock(), Complaints(said.append)
    login = KafkaError(KafkaError._AUTHENTICATION, "x:1/bootstrap: Authentication failed")
    client = Absent(clock, complaints, login, DOWN)
    with pytest.raises(PeerError, match=r"^no broker answers at x:1: Authentication failed$"):
        reach(client, "x:1", complaints, clock=clock, patience_ms=10_000)
    assert client.asked == 1


def test_a_mistyped_property_is_named_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    make_client(Producer, {"bootstrap.servers": "127.0.0.1:1", "compresion.type": "lz4"})
    assert capsys.readouterr().err == (
        "property compresion.type is not known to this client: no effect"
        " (did you mean compression.type?)\n"
    )


@pytest.mark.parametrize("command", ["produce", "consume"])
def test_the_help_lists_the_file_of_properties(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    assert "--command-config" in capsys.readouterr().out


def test_what_went_wrong_before_a_broker_answered_is_no_news(said: list[str]) -> None:
    clock, complaints = FakeClock(), Complaints(said.append)
    client = Absent(clock, complaints, REFUSED)
    client.answers_at = 3
    reach(client, "x:1", complaints, clock=clock, patience_ms=10_000)
    assert said == []
    complaints(DOWN)
    complaints(DOWN)
    assert said == ["1/1 brokers are down"]


def test_a_stop_ends_the_search(said: list[str]) -> None:
    clock, complaints, stop = FakeClock(), Complaints(said.append), Event()
    stop.set()
    client = Absent(clock, complaints)
    reach(client, "x:1", complaints, clock=clock, patience_ms=10_000, stop=stop)
    assert client.asked == 0


def test_produce_and_consume_say_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tickertape.cli.produce.REACH_MS", 200)
    monkeypatch.setattr("tickertape.cli.consume.REACH_MS", 200)
    why = "Connect to ipv4#127.0.0.1:1 failed: Connection refused"
    told = f"tape: no broker answers at 127.0.0.1:1: {why}\n"
    assert run(["produce", "-b", "127.0.0.1:1", "-t", "x"]) == 1
    assert capsys.readouterr() == ("", told)
    for group in ([], ["-g", "g"]):
        assert run(["consume", "-b", "127.0.0.1:1", "-t", "x", *group]) == 1
        assert capsys.readouterr() == ("", f"Processed a total of 0 messages\n{told}")


@pytest.mark.parametrize("command", ["produce", "consume"])
def test_every_option_says_what_it_does_and_aliases_are_left_out(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "--help"]) == 0
    shown = capsys.readouterr().out
    for alias in (
        "--broker-list",
        "--brokers",
        "-servers",
        "--command-property",
        "reader-",
        "formatter-",
    ):
        assert alias not in shown
    lines = shown.partition("Options:\n")[2].splitlines()
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if line.startswith("  -"):
            described = line[34:].strip() or following.strip()
            assert described[:1] not in {"", "[", "-"}, line  # a default alone says nothing
