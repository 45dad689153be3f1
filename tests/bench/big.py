"""One big file, in order and at random."""

from measure import (RAW, in_turns, measured, medians, pick, raw, target,
                     value)
from report import show
from systems import find
from world import MIB, drop_page_cache

TITLE = "One big file"
KEYS = ("case", "system")
NAME = "big.bin"
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
                                                  case, action))

    def run(self):
        world, system = self.world, self.system
        system.start(self.data)
        if system.cold:
            self.row("4 KiB random, cold", lambda: self.random(COLD_READS))
            system.start(self.data)
            self.row("1 MiB in order, cold", self.stream)
        else:
            self.add("1 MiB in order, cold", RAW, raw(
                world, world.big_parts(), self.data.top, CONNECTIONS))
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


def shown(r):
    """A table's cell."""
    if r["case"].startswith("4 KiB"):
        return "p50 %s µs, %s µs" % (show(r["p50 us"]), show(r["CPU us"]))
    return "%s MB/s, %s µs/MiB" % (
        show(r["MB/s"]), show(r["CPU us"] * r["per s"] / r["MB/s"] * MIB / 1e6))


def targets(rows):
    said = "1 MiB in order, "
    cold, again = (pick(rows, system="acached", case=said + case)
                   for case in ("cold", "restarted"))
    return [target("S3 bytes / data", value(cold, "S3 bytes / data"), 1.02,
                   True, case=said + "cold"),
            target("GETs", value(again, "GETs"), 0, True,
                   case=said + "restarted")]


def bench(world):
    rows = []
    data = world.big()
    in_turns(world, find(world), lambda turn, system: Turn(
        world, data, system, turn, rows).run())
    rows = medians(rows, KEYS)
    for r in rows:
        r["shown"] = shown(r)
    return rows, targets(rows)
