"""``tape produce`` and ``tape consume`` by Kafka's flags, against our broker and Apache Kafka."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.interop.harness import PATIENCE_S, Broker, create_topic, unique

TAPE = Path(sys.executable).parent / "tape"


def tape(*arguments: object, lines: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [TAPE, *map(str, arguments)],
        input=lines,
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )


def produce(broker: Broker, topic: str, lines: bytes, *flags: str) -> None:
    done = tape("produce", "--broker-list", broker.bootstrap, "-t", topic, *flags, lines=lines)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def consume(
    broker: Broker, topic: str, *flags: str, beginning: bool = True
) -> "subprocess.CompletedProcess[bytes]":
    begin = ["--from-beginning"] if beginning else []
    return tape("consume", "--bootstrap-server", broker.bootstrap, "-t", topic, *begin, *flags)


def test_lines_come_back_as_they_went_in(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("console"))
    produce(target, topic, "plain\n\n체결\r\n".encode() + b"\xff\x00\nno end")
    done = consume(target, topic, "--max-messages", "5")
    assert done.stdout == "plain\n\n체결\n".encode() + b"\xff\x00\nno end\n"
    assert (done.returncode, done.stderr) == (0, b"Processed a total of 5 messages\n")


def test_keys_and_what_the_formatter_prints(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("console"))
    keyed = ["--property", "parse.key=true", "--property", "key.separator=:"]
    produce(target, topic, b"AAPL:187.1:x\n", *keyed)
    produce(target, topic, b"MSFT|NULL\n", "-k", "|", "--property", "null.marker=NULL")
    produce(target, topic, b"alone\n")
    shown = ["offset", "partition", "key", "headers"]
    flags = [word for name in shown for word in ("--property", f"print.{name}=true")]
    done = consume(target, topic, "-n", "3", *flags, "--property", "key.separator= ")
    assert done.stdout.decode().splitlines() == [
        "Partition:0 Offset:0 NO_HEADERS AAPL 187.1:x",
        "Partition:0 Offset:1 NO_HEADERS MSFT null",
        "Partition:0 Offset:2 NO_HEADERS null alone",
    ]
    done = consume(target, topic, "-n", "1", "--formatter-property", "print.timestamp=true")
    assert done.stdout.startswith(b"CreateTime:1")


def test_a_group_continues_where_it_was(target: Broker) -> None:
    topic, group = create_topic(target.bootstrap, unique("console")), unique("group")
    produce(target, topic, b"a\nb\nc\n")
    first = consume(target, topic, "--group", group, "--max-messages", "3")
    assert first.stdout == b"a\nb\nc\n"
    produce(target, topic, b"d\n")
    again = consume(target, topic, "--group", group, "--max-messages", "1")
    assert again.stdout == b"d\n"


def test_one_partition_from_an_offset(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("console"))
    produce(target, topic, b"a\nb\nc\n")
    place = ["--partition", "0", "--offset", "1"]
    done = consume(target, topic, *place, "--max-messages", "2", beginning=False)
    assert done.stdout == b"b\nc\n"


def test_it_ends_when_nothing_comes(target: Broker) -> None:
    topic = create_topic(target.bootstrap, unique("console"))
    done = consume(target, topic, "--timeout-ms", "300")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr == b"Processed a total of 0 messages\n"


@pytest.mark.parametrize("more", [[], ["--group", "console"], ["--partition", "0"]])
def test_it_ends_when_there_is_no_such_topic(target: Broker, more: list[str]) -> None:
    topic = unique("console")
    done = consume(target, topic, "--timeout-ms", "1500", *more)
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.decode().splitlines() == [
        f"topic {topic} does not exist yet: waiting for it",
        "Processed a total of 0 messages",
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["produce", "-t", "x", "--property", "parse.keys=true"], "want one of parse.key"),
        (["produce", "-t", "x", "--property", "parse.key"], "want KEY=VALUE"),
        (["consume", "-t", "x", "--offset", "3"], "--offset needs --partition"),
        (["consume", "-t", "x", "--property", "print.kay=true"], "print.key"),
        (["consume"], "Missing option '-t' / '--topic'"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], says: str) -> None:
    done = tape(*arguments)
    assert done.returncode == 2
    assert says in done.stderr.decode()


def test_a_line_without_its_separator_is_named(tickertape_broker: Broker) -> None:
    topic = unique("console")
    keyed = ["produce", "-b", tickertape_broker.bootstrap, "-t", topic, "-k", ":"]
    done = tape(*keyed, lines=b"a:1\nb\n")
    assert done.returncode == 1
    assert b"line 2: no key separator in b'b'" in done.stderr
    assert consume(tickertape_broker, topic, "-n", "1").stdout == b"1\n"


def test_properties_of_the_java_client_are_left_out_by_name(tickertape_broker: Broker) -> None:
    topic = unique("console")
    java = ["--producer-property", "key.serializer=org.example.Own"]
    bootstrap = tickertape_broker.bootstrap
    done = tape("produce", "-b", bootstrap, "-t", topic, *java, lines=b"a\n")
    assert done.returncode == 0
    assert b"property key.serializer is not known to this client: no effect" in done.stderr


def test_a_line_too_long_ends_it_and_what_went_before_is_there(tickertape_broker: Broker) -> None:
    topic = create_topic(tickertape_broker.bootstrap, unique("console"))
    lines = b"a\n" + b"x" * 2_000_000 + b"\nb\n"
    done = tape("produce", "-b", tickertape_broker.bootstrap, "-t", topic, lines=lines)
    advice = "allow more with -X message.max.bytes=N, and by max.message.bytes of the topic"
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "1 lines acknowledged; the rest was not sent",
        f"tape: line 2: 2,000,000 bytes, more than message.max.bytes=1000000: {advice}",
    ]
    assert consume(tickertape_broker, topic, "-n", "1").stdout == b"a\n"


def test_lines_that_the_broker_refuses_are_named(tickertape_broker: Broker) -> None:
    topic = create_topic(
        tickertape_broker.bootstrap, unique("console"), config={"max.message.bytes": "1000"}
    )
    done = tape(
        *("produce", "-b", tickertape_broker.bootstrap, "-t", topic, "-X", "batch.num.messages=1"),
        lines=b"a\n" + b"x" * 5_000 + b"\nb\n",
    )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        "line 2: not delivered: Broker: Message size too large",
        "2 lines acknowledged, 1 refused",
    ]


def test_an_interrupt_delivers_what_was_read_and_ends(tickertape_broker: Broker) -> None:
    topic = create_topic(tickertape_broker.bootstrap, unique("console"))
    command = [str(TAPE), "produce", "-b", tickertape_broker.bootstrap, "-t", topic]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stderr is not None
        running.stdin.write(b"tick\n" * 100_000)
        running.stdin.flush()  # more than a pipe holds: it is reading
        running.send_signal(signal.SIGINT)
        told = running.stderr.read().decode()
        assert running.wait(PATIENCE_S) == 130
    number, words = told.split(" ", 1)
    assert words == "lines acknowledged; the rest was not sent\n"
    assert int(number) > 0


def test_a_full_disk_is_one_line(tickertape_broker: Broker) -> None:
    topic = create_topic(tickertape_broker.bootstrap, unique("console"))
    produce(tickertape_broker, topic, b"a\n")
    command = [str(TAPE), "consume", "-b", tickertape_broker.bootstrap, "-t", topic]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*command, "--from-beginning", "-n", "1"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines()[1:] == ["tape: No space left on device"]


def test_an_interrupt_while_it_imports_is_quiet() -> None:
    code = (
        "import os, signal, sys; from tickertape.cli.interrupts import quiet_interrupt\n"
        "with quiet_interrupt(): os.kill(os.getpid(), signal.SIGINT); print('went on')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
