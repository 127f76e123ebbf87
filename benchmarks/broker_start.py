"""From the command to the broker's first answer, and what it weighs when idle.

Goal: ready in less than 300 ms, less than 60 MB resident. Prints the best and the median of several
starts, Python's bytecode cached by the first: the rest is the machine's other work.
"""

import statistics
import time

from benchmarks._lib import CLIENT_CORE, arguments, broker, pin


def main() -> None:
    """Start it again and again."""
    given = arguments(__doc__, starts=10)
    pin(CLIENT_CORE)
    ready, cpu, weight = [], [], []
    for _ in range(given.starts):
        with broker("--fsync", given.fsync, folder=given.folder) as server:
            ready.append(server.ready_ms)
            cpu.append(server.cpu_s() * 1000)
            time.sleep(0.3)
            weight.append(server.rss_mb())
    print(
        f"  ready for clients: best {min(ready):.0f} ms, median {statistics.median(ready):.0f} ms"
        f" ({statistics.median(cpu):.0f} ms of CPU); idle {max(weight):.0f} MB resident"
    )


if __name__ == "__main__":
    main()
