"""One big file, in order and at random."""

from measure import (RAW, measured, medians, pick, ratio, raw, target, turns,
                     value)
from systems import find
from world import MIB, drop_page_cache

TITLE = "One big file"
KEYS = ("case", "system")
NAME = "big.bin"
PART = 8 * MIB
CONNECTIONS = 8
COLD_READS = 100


class Turn:
    """One system in one round."""

    def __init__(self, world, data, system, turn, rows):
        self.world = world
        self.data = data
        self.system = system
        self.turn = turn
        self.rows = rows

    def stream(self):
        return self.world.read("stream", self.system.top, NAME, MIB)

    def random(self, count):
        return self.world.read("random", self.system.top, NAME, 4096, count,
                               self.turn + 1)

    def add(self, case, name, r):
        self.rows.append({"case": case, "system": name, "round": self.turn,
                          **r})
        self.world.say("%s, %s: %.1f MB/s, p50 %.1f us, %.0f us CPU a read" %
                       (name, case, r["MB/s"], r["p50 us"], r["CPU us"]))

    def row(self, case, action):
        self.add(case, self.system.name, measured(self.world, self.system,
                                                  action))

    def run(self):
        world, system = self.world, self.system
        system.start(self.data)
        if system.cold:
            self.row("4 KiB random, cold", lambda: self.random(COLD_READS))
            system.start(self.data)
            self.row("1 MiB in order, cold", self.stream)
        else:
            self.add("1 MiB in order, cold", RAW, raw(
                world, parts_of(world, self.data), self.data.top, CONNECTIONS))
        self.stream()
        self.row("1 MiB in order, warm", self.stream)
        self.row("4 KiB random, warm",
                 lambda: self.random(world.sizes.random_reads))
        if system.cold:
            system.restart()
            drop_page_cache(system.stores())
            self.row("1 MiB in order, restarted", self.stream)
        drop_page_cache(system.stores())
        self.row("1 MiB in order, page cache dropped", self.stream)
        drop_page_cache(system.stores())
        self.row("4 KiB random, page cache dropped",
                 lambda: self.random(world.sizes.random_reads // 10))


def parts_of(world, data):
    """The ranges of the object for a list of requests."""
    path = world.path("big.parts")
    with open(data.targets) as f:
        line = f.read().strip()
    with open(path, "w") as f:
        f.writelines("%s\t%d\t%d\n" % (line, at, PART)
                     for at in range(0, data.size, PART))
    return path


def shown(r):
    """A table's cell."""
    if r["case"].startswith("4 KiB"):
        return "p50 %.3g µs, %.3g µs CPU" % (r["p50 us"], r["CPU us"])
    return "%.0f MB/s" % r["MB/s"] if r["system"] == RAW else \
        "%.0f MB/s, %.0f µs CPU/MiB" % (r["MB/s"], r["CPU us"])


def targets(rows):
    def of(system, case):
        return pick(rows, system=system, case=case)

    cold = of("acached", "1 MiB in order, cold")
    return [
        target("big file cold: MB/s / 8 connections' raw GETs",
               ratio(cold, of(RAW, "1 MiB in order, cold"), "MB/s"), 0.9),
        target("big file cold: bytes from S3 / data",
               value(cold, "S3 bytes / data"), 1.02, True),
        target("big file restarted: GETs", value(
            of("acached", "1 MiB in order, restarted"), "GETs"), 0, True)]


def bench(world):
    rows = []
    data = world.big()
    for turn, system in turns(world, find(world)):
        Turn(world, data, system, turn, rows).run()
    rows = medians(rows, KEYS)
    for r in rows:
        r["shown"] = shown(r)
    return rows, targets(rows)
