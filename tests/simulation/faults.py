"""What goes wrong, and when: a task that breaks things as the seed says.

Each seed has only some kinds of faults, so that rare combinations get their turn and a broker that
is never killed is also seen. After a fault of the disk the process is restarted at last, as an
operator would: a log that could not be synced takes no records until then.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from tests.simulation.server import Server
from tests.simulation.world import World

from tickertape.base.fake_fs import Loss

WRITES: Final = frozenset({"append", "pwrite", "create", "make_dir"})
DAY_MS: Final = 86_400_000
LOSSES: Final = (Loss.TORN, Loss.SCATTERED, Loss.ALL, Loss.NOTHING)


class Faults:
    """See the module. ``kinds`` are the names of its methods."""

    def __init__(self, world: World, server: Server, kinds: list[str], pace_ms: int) -> None:
        self.world = world
        self.server = server
        self.kinds: list[Callable[[], Awaitable[None]]] = [getattr(self, kind) for kind in kinds]
        self.pace_ms = pace_ms
        self.stopping = False

    async def run(self) -> None:
        while self.kinds and not self.stopping:
            await self.world.sleep(self.world.rng.randrange(2 * self.pace_ms))
            fault = self.world.rng.choice(self.kinds)
            if self.server.is_up and not self.stopping:
                self.world.say("faults", fault.__name__.replace("_", " "))
                await fault()

    async def power_cut(self) -> None:
        """Inside a call to the disk, not far from now."""
        self.server.loss = self.world.rng.choice(LOSSES)
        self.server.disk.cut_at(1 + self.world.soon_ms(60))

    async def killed(self) -> None:
        self.server.kill(self.world.rng.choice(LOSSES))

    async def restarted(self) -> None:
        self.server.stop()

    async def sync_fails(self) -> None:
        self.server.disk.fail_always(frozenset({"sync"}))
        await self._mend()

    async def call_fails(self) -> None:
        """One write, sync, rename or removal."""
        self.server.disk.fail_at(1 + self.world.soon_ms(60), "Input/output error")
        await self._mend()

    async def disk_is_full(self) -> None:
        self.server.disk.fail_always(WRITES)
        await self._mend()

    async def syncs_are_slow(self) -> None:
        self.server.sync_ms = 2_500
        await self.world.sleep(3_000)
        self.server.sync_ms = self.server.usual_sync_ms

    async def clock_jumps(self) -> None:
        self.world.clock.jump_wall(self.world.rng.randrange(-600_000, 600_000))

    async def clock_goes_back(self) -> None:
        """By days, and the process starts anew in that past."""
        self.world.clock.jump_wall(-self.world.rng.randrange(3 * DAY_MS))
        self.server.kill(self.world.rng.choice(LOSSES))

    async def network_is_down(self) -> None:
        self.server.network.is_down = True
        self.server.network.cut_all()
        await self.world.sleep(1 + self.world.soon_ms(5_000))
        self.server.network.is_down = False

    async def network_is_slow(self) -> None:
        self.server.network.latency_ms = 900
        await self.world.sleep(3_000)
        self.server.network.latency_ms = 4

    async def _mend(self) -> None:
        """The disk is well again; later somebody looks at the broker."""
        await self.world.sleep(1 + self.world.soon_ms(3_000))
        self.server.disk.fail_always(frozenset())
        await self.world.sleep(1 + self.world.soon_ms(2_000))
        if self.server.failed_logs:
            self.server.stop()


KINDS: Final = (
    "power_cut", "killed", "restarted", "sync_fails", "call_fails", "disk_is_full",
    "syncs_are_slow", "clock_jumps", "clock_goes_back", "network_is_down", "network_is_slow",
)  # fmt: skip
