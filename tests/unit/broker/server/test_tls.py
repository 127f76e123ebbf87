"""PEM stores, certificates' names, and bytes under TLS."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from tickertape.base.errors import MisuseError, PeerError
from tickertape.base.fake_fs import FakeFileSystem
from tickertape.base.fakes import FakeClock, SeededRng
from tickertape.base.world import SystemClock
from tickertape.broker.server.core_loop import CoreLoop
from tickertape.broker.server.limits import Limits
from tickertape.broker.server.listeners import Door, Guests, ListenerSettings
from tickertape.broker.server.tls import TlsSettings, distinguished_name, server_context
from tickertape.broker.server.tls_listener import TlsListener
from tickertape.broker.state.call import Call
from tickertape.broker.state.security import Security
from tickertape.config.principals import principal_rules
from tickertape.wire.parts import FileSlice


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def stores(authority: trustme.CA, folder: Path) -> TlsSettings:
    issued = authority.issue_cert("127.0.0.1")
    path, trusted = folder / "server.pem", folder / "ca.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(str(path))
    authority.cert_pem.write_to_path(str(trusted))
    return TlsSettings(keystore=str(path), truststore=str(trusted), client_auth="required")


def test_a_name_as_java_writes_it() -> None:
    subject = (
        (("countryName", "CH"),),
        (("organizationName", 'A, "B" <C>'),),
        (("organizationalUnitName", "#1 "), ("commonName", " x=y+z")),
        (("emailAddress", "a@b"),),
    )
    assert distinguished_name({"subject": subject}) == (
        '1.2.840.113549.1.9.1=#1603614062,OU=\\#1\\ +CN=\\ x=y\\+z,O=A\\, \\"B\\" \\<C\\>,C=CH'
    )


def test_stores_that_cannot_be_used_are_refused_with_what_to_do(
    authority: trustme.CA, tmp_path: Path
) -> None:
    good = stores(authority, tmp_path)
    server_context(good)
    inline = authority.issue_cert("127.0.0.1")
    chain = b"".join(blob.bytes() for blob in inline.cert_chain_pems).decode()
    key = inline.private_key_pem.bytes().decode()
    server_context(TlsSettings(chain=chain, key=key))
    for head, says in (
        (b"\xfe\xed\xfe\xed", "JKS store, want PEM"),
        (b"\x30\x82", "openssl pkcs12"),
        (b"nonsense", "want a PEM private key"),
    ):
        path = tmp_path / "store.jks"
        path.write_bytes(head + bytes(100))
        with pytest.raises(MisuseError, match=says):
            server_context(TlsSettings(keystore=str(path)))
    with pytest.raises(MisuseError, match="No such file"):
        server_context(TlsSettings(keystore=str(tmp_path / "absent.pem")))
    with pytest.raises(MisuseError, match=r"ssl\.keystore\.location: got nothing"):
        server_context(TlsSettings())
    with pytest.raises(MisuseError, match=r"ssl\.truststore\.location: got nothing"):
        server_context(TlsSettings(keystore=good.keystore, client_auth="requested"))
    assert key not in repr(TlsSettings(chain=chain, key=key, key_password="p"))


def test_bytes_and_file_ranges_arrive_whole_and_the_certificate_is_known(
    authority: trustme.CA, tmp_path: Path
) -> None:
    fs = FakeFileSystem()
    file = fs.open("/big", create=True)
    content = bytes(range(256)) * 8192
    file.append([content])
    seen: list[str] = []

    def handle(frame: memoryview, call: Call) -> None:
        seen.append(call.session.principal)
        call.answer([bytes(frame), FileSlice(file, 1, len(content) - 1), b"end"])

    rules = principal_rules(r"RULE:.*CN=([^,]*).*/$1/L")
    settings = stores(authority, tmp_path)
    tls = TlsSettings(
        keystore=settings.keystore, truststore=settings.truststore, client_auth="required",
        rules=rules,
    )  # fmt: skip
    guests = Guests(Security(fs, "/data", SeededRng()), FakeClock(), SeededRng())
    door = Door(ListenerSettings(name="SSL", tls=tls), ("here", 1), guests)

    async def scenario() -> None:
        core = _Idle()
        shell = CoreLoop(core, handle, clock=SystemClock(), limits=Limits())
        listener = await asyncio.get_running_loop().create_server(
            lambda: shell.connect(door), "127.0.0.1", 0, ssl=door.tls
        )
        port = listener.sockets[0].getsockname()[1]
        client = ssl.create_default_context(cafile=settings.truststore)
        authority.issue_cert("me@example.org", common_name="Carol").configure_cert(client)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        for _ in range(3):
            writer.write((4).to_bytes(4, "big") + b"ping")
        for _ in range(3):
            size = int.from_bytes(await reader.readexactly(4), "big")
            assert await reader.readexactly(size) == b"ping" + content[1:] + b"end"
        writer.close()
        listener.close()
        shell.close()
        await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 20))
    assert seen == ["User:carol"] * 3


def test_who_does_not_shake_hands_is_counted_all_the_same(
    authority: trustme.CA, tmp_path: Path
) -> None:
    given = stores(authority, tmp_path)
    guests = Guests(Security(FakeFileSystem(), "/data", SeededRng()), FakeClock(), SeededRng())
    door = Door(ListenerSettings(tls=TlsSettings(keystore=given.keystore)), None, guests)

    def handle(frame: memoryview, call: Call) -> None:
        call.answer([bytes(frame)])

    async def scenario() -> None:
        limits = Limits(connections_per_ip_max=2)
        shell = CoreLoop(_Idle(), handle, clock=SystemClock(), limits=limits)
        sock = socket.create_server(("127.0.0.1", 0))
        listener = TlsListener(shell, door, sock, 10)
        where = sock.getsockname()
        silent = [await asyncio.open_connection(*where) for _ in range(2)]
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*where)
            assert await reader.read() == b"", "closed before any handshake"
            writer.close()
        assert shell.connections_refused == 3
        silent[0][1].write(b"no TLS at all")
        await silent[0][0].read()
        client = ssl.create_default_context(cafile=given.truststore)
        for _ in range(3):
            reader, writer = await asyncio.open_connection(*where, ssl=client)
            writer.write((4).to_bytes(4, "big") + b"ping")
            assert await reader.readexactly(8) == (4).to_bytes(4, "big") + b"ping"
            assert shell.connections_open == 1
            writer.close()
            await writer.wait_closed()
            while shell.connections_open:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)
        listener.close()
        assert await silent[1][0].read() == b"", "cut off in its handshake"
        for _, writer in silent:
            writer.close()
        shell.close()
        sock.close()
        await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_a_certificate_that_no_rule_fits_is_nobodys(authority: trustme.CA, tmp_path: Path) -> None:
    class Certified:
        def getpeercert(self) -> dict[str, Any]:
            return {"subject": ((("commonName", "x"),),)}

    given = stores(authority, tmp_path)
    tls = TlsSettings(
        keystore=given.keystore, truststore=given.truststore, client_auth="required",
        rules=principal_rules("RULE:CN=y/y/"),
    )  # fmt: skip
    guests = Guests(Security(FakeFileSystem(), "/data", SeededRng()), FakeClock(), SeededRng())
    door = Door(ListenerSettings(tls=tls), None, guests)
    with pytest.raises(PeerError, match="no rule"):
        door.session("h", Certified())  # type: ignore[arg-type]  # all that is asked of it


class _Idle:
    """A core with nothing to do."""

    def tick(self) -> int:
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
