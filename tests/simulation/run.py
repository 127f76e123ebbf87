"""One seed, from an empty disk to the verdict.

The seed chooses the settings, who takes part and what goes wrong. Then all faults end, clients stop
or have vanished, every timeout passes, and everything is read and judged; once more after an
orderly restart, and once more after a last power cut.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.simulation.admin import Admin, create
from tests.simulation.audit import Auditor
from tests.simulation.checks import check_all, check_nothing_is_left
from tests.simulation.client import Client
from tests.simulation.consumers import Consumer, Follower
from tests.simulation.faults import KINDS, Faults
from tests.simulation.members import Member
from tests.simulation.model import Model, Topic
from tests.simulation.moderns import SESSION_MS, Modern
from tests.simulation.producers import IdempotentProducer
from tests.simulation.server import SYNC_MS, Server
from tests.simulation.transactional import SecondProtocol, TransactionalProducer
from tests.simulation.verdict import demand
from tests.simulation.world import Task, World

from tickertape.base.fake_fs import Loss
from tickertape.broker.state.broker import Broker
from tickertape.broker.state.settings import BrokerSettings
from tickertape.log.config import LogConfig

STEPS = 2_500
TIMEOUTS_MS = 20_000  # longer than any session or transaction may be silent
GROUPS = ["members", "moderns", "t0 offsets", "t1 offsets"]


@dataclass
class Outcome:
    """What a seed came to."""

    seed: int
    digest: str
    steps: int
    counts: dict[str, int] = field(default_factory=dict)


def simulate(
    seed: int,
    *,
    steps: int = STEPS,
    listener: Callable[[str], None] | None = None,
    kind: type[Broker] = Broker,
) -> Outcome:
    """Run a seed to its end, on a broker of that ``kind``.

    Raises ViolationError, or whatever the broker raised.
    """
    world = World(seed, listener)
    simulation = Simulation(world, kind)
    try:
        simulation.prepare()
        simulation.live(steps)
        simulation.end()
    finally:
        world.close()
    return Outcome(seed, world.digest, world.step, simulation.model.counts)


class Simulation:
    """See the module."""

    def __init__(self, world: World, kind: type[Broker]) -> None:
        self.world = world
        rng = world.rng
        self.server = Server(world, _settings(rng), kind)
        self.model = Model(world)
        self.clients: list[Client] = []
        self.tasks: dict[Client, Task] = {}
        pace_ms = rng.choice((200, 600, 2_000))
        kinds = rng.sample(KINDS, rng.randint(0, 5))
        self.faults = Faults(world, self.server, kinds, pace_ms)
        world.say("faults", f"every {pace_ms} ms: {kinds}")

    def add(self, client: Client) -> Client:
        self.clients.append(client)
        self.tasks[client] = self.world.spawn(client.name, client.run())
        return client

    # -- the beginning

    def prepare(self) -> None:
        """A broker with topics, and everybody who takes part."""
        rng = self.world.rng
        self.server.start()
        self.topics = [
            Topic("plain", "plain", rng.randint(1, 2)),
            Topic("other", "plain", 1),
            Topic("keys", "compacted", 1),
            Topic("short", "retained", 1),
            Topic("comes-and-goes", "volatile", 1),
        ]
        self.model.topics = {topic.name: topic for topic in self.topics}
        self.create_topics()
        self.server.network.cut_chance = rng.choice((0.0, 0.01, 0.05))
        self.server.sync_ms = self.server.usual_sync_ms = rng.choice((SYNC_MS, 60, 400))
        self.server.cut_recovery = rng.choice((0.0, 0.3))
        self.server.whole_disk = rng.choice((0.0, 0.0, 0.8))
        self.world.spawn("faults", self.faults.run())
        for number in range(rng.randint(0, 2)):
            some = rng.sample(self.topics, rng.randint(1, 3))
            by_id = rng.random() < 0.4
            self.add(IdempotentProducer(f"p{number}", *self._parts, topics=some, by_id=by_id))
        for number in range(rng.randint(0, 2)):
            self._begin_transactions(f"t{number}")
        for number in range(rng.randint(0, 2)):
            lasting = [topic for topic in self.topics if topic.kind != "volatile"]
            one = Consumer(f"c{number}", *self._parts, topics=lasting, committed=rng.random() < 0.6)
            self.add(one)
        for number in range(rng.choice((0, 1, 3))):
            topics = [self.topics[0], self.topics[4]]
            self.add(Member(f"m{number}", *self._parts, group="members", topics=topics))
        for number in range(rng.choice((0, 0, 2, 3))):
            self.add(Modern(f"n{number}", *self._parts, group="moderns", topics=self.topics))
        if rng.random() < 0.4:
            self.add(Follower("follower", *self._parts, topic=self.topics[4]))
        if rng.random() < 0.7:
            self.add(Admin("admin", *self._parts, topics=self.topics))
        self.world.spawn("reaper", self._reap())

    def create_topics(self) -> None:
        """Those that do not exist."""
        operator = Client("operator", *self._parts)
        for topic in self.topics:
            self.world.run_task("create", create(operator, topic), ms=10_000)

    @property
    def _parts(self) -> tuple[World, Server, Model]:
        return self.world, self.server, self.model

    def _begin_transactions(self, transactional_id: str) -> None:
        lasting = [topic for topic in self.topics if topic.kind != "volatile"]
        number = sum(client.name.startswith(transactional_id) for client in self.clients)
        name = f"{transactional_id}@{number}"
        kind = self.world.rng.choice((TransactionalProducer, SecondProtocol))
        one = kind(name, *self._parts, topics=lasting)
        one.offsets = (f"{transactional_id} offsets", ("plain", 0))
        one.base_offset = 1_000 * number
        self.add(one)

    async def _reap(self) -> None:
        """Processes end without a word, and others begin in their place."""
        rng = self.world.rng
        while not self.faults.stopping:
            await self.world.sleep(rng.randrange(6_000))
            client = rng.choice(self.clients) if self.clients else None
            if client is None or self.faults.stopping:
                continue
            if isinstance(client, TransactionalProducer):
                if rng.random() < 0.3:
                    self._vanish(client)  # else it goes on, and is a zombie
                self._begin_transactions(client.transactional_id)
            elif isinstance(client, Member) and not self.tasks[client].over:
                self._vanish(client)
                name = f"m{len(self.clients)}"
                topics = [self.topics[0], self.topics[4]]
                self.add(Member(name, *self._parts, group="members", topics=topics))
            elif isinstance(client, Modern) and not self.tasks[client].over:
                self._vanish(client)
                name = f"n{len(self.clients)}"
                self.add(Modern(name, *self._parts, group="moderns", topics=self.topics))

    def _vanish(self, client: Client) -> None:
        if not self.tasks[client].over:
            client.say("vanishes")
            self.tasks[client].stop()
            client.hang_up()

    # -- the middle and the end

    def live(self, steps: int) -> None:
        """Until so many events have happened."""
        self.world.run(until_ms=120_000, steps=steps)

    def end(self) -> None:
        """Quiet, then the verdict."""
        world, server = self.world, self.server
        world.say("world", "all faults end")
        self.faults.stopping = True
        server.network.calm()
        server.cut_recovery = 0.0
        server.sync_ms = SYNC_MS
        server.disk.fail_always(frozenset())
        server.disk.cut_at(1 << 60)
        server.loss = Loss.NOTHING
        for client in self.clients:
            client.stopping = True
            if world.chance(0.3):
                self._vanish(client)
        world.run(until_ms=world.now_ms + 5_000)
        if server.failed_logs:
            server.stop()
        world.run(until_ms=world.now_ms + TIMEOUTS_MS)
        demand(server.is_up, "the broker does not start on a sound disk")
        late = [client.name for client in self.clients if not self.tasks[client].over]
        demand(not late, f"still not done on a sound machine: {late}")
        self.create_topics()
        before = self.audit("first audit")
        check_nothing_is_left(before, server)
        server.stop()
        world.run(until_ms=world.now_ms + 3_000)
        self._compare(before, self.audit("audit after a restart"), "an orderly restart")
        server.kill(Loss.ALL)
        world.run(until_ms=world.now_ms + 3_000)
        self._compare(before, self.audit("audit after a power cut"), "a power cut in peace")

    def audit(self, name: str) -> Auditor:
        auditor = Auditor(name, *self._parts, groups=GROUPS)
        self.world.run_task(name, auditor.run(), ms=60_000)
        auditor.hang_up()
        check_all(auditor, self.model)
        return auditor

    def _compare(self, before: Auditor, after: Auditor, what: str) -> None:
        for where, copy in before.copies.items():
            if self.model.topics[where[0]].kind in {"plain", "volatile"}:
                deletable = self.model.marks_of(where).deletable_below
                same = copy.same_as(after.copies[where], deletable)
                demand(same, f"{where} changed in {what}")
        demand(before.offsets == after.offsets, f"committed offsets changed in {what}")


def _settings(rng: random.Random) -> BrokerSettings:
    """Everything small, so that little traffic reaches every corner."""
    segment = rng.choice((300, 700, 2_000))
    return BrokerSettings(
        offsets_topic_num_partitions=2,
        # One batch may tell of every member that was lost while the disk refused: it must fit.
        offsets_topic_segment_bytes=rng.choice((4_000, 8_000)),
        transaction_state_log_num_partitions=2,
        transaction_state_log_segment_bytes=rng.choice((1_500, 4_000)),
        log_retention_check_interval_ms=rng.choice((1_000, 5_000)),
        log_cleaner_backoff_ms=rng.choice((1_000, 5_000)),
        log_cleaner_min_cleanable_ratio=rng.choice((0.1, 0.5)),
        group_min_session_timeout_ms=1_000,
        group_consumer_min_session_timeout_ms=1_000,
        group_consumer_session_timeout_ms=SESSION_MS,
        log=LogConfig(
            segment_bytes=segment,
            index_interval_bytes=rng.choice((60, 4_096)),
            message_timestamp_after_max_ms=1 << 62,  # else no clock may go back
        ),
    )
