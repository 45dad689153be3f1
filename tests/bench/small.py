"""Many small files in random order, by 1, 4 and 8 threads."""

from measure import (RAW, in_turns, measured, medians, pick, ratio, raw, target,
                     value)
from systems import find
from world import drop_page_cache

TITLE = "Files of 100 KB in random order: files/s, CPU a file"
KEYS = ("case", "threads", "system")
THREADS = (1, 4, 8)
# Enough of them that what a process used is more than its clock's grain.
WARM_PASSES = 3


class Turn:
    """One system in one round."""

    def __init__(self, world, data, system, turn, rows):
        self.world = world
        self.data = data
        self.system = system
        self.turn = turn
        self.rows = rows

    def read(self, threads, passes=1):
        return self.world.read("files", self.system.top, self.data.list,
                               threads, self.turn * 100 + threads, passes)

    def row(self, case, threads, passes=1):
        r = measured(self.world, self.system, "%s %d" % (case, threads),
                     lambda: self.read(threads, passes))
        self.add(case, threads, self.system.name, r)

    def add(self, case, threads, name, r):
        self.rows.append({"case": case, "threads": threads, "system": name,
                          "round": self.turn, **r})
        self.world.say("%s, %s, %d threads: %.0f files/s, %.0f us CPU a file" %
                       (name, case, threads, r["per s"], r["CPU us"]))

    def cold(self):
        for threads in THREADS:
            self.system.start(self.data)
            self.row("cold", threads)

    def raw(self):
        for threads in THREADS:
            self.add("cold", threads, RAW, raw(
                self.world, self.data.targets, self.data.top, threads))

    def warm(self):
        """What was read a moment ago: a kernel may drop pages that rest."""
        for threads in THREADS:
            self.read(threads)
            self.row("warm", threads, WARM_PASSES)

    def restarted(self):
        for threads in THREADS:
            self.system.restart()
            drop_page_cache(self.system.stores())
            self.row("restarted", threads)

    def dropped(self):
        for threads in THREADS:
            drop_page_cache(self.system.stores())
            self.row("page cache dropped", threads)


def run(one):
    """All that one system does in a round."""
    if one.system.cold:
        one.cold()
    else:
        one.system.start(one.data)
        one.raw()
    one.warm()
    if one.system.cold:
        one.restarted()
    one.dropped()


def targets(rows):
    def of(system, case, threads=4):
        return pick(rows, system=system, case=case, threads=threads)

    cold, warm = of("acached", "cold"), of("acached", "warm")
    again, disk = of("acached", "restarted"), of("acached",
                                                 "page cache dropped")
    cpu = value(cold, "system CPU us")
    at = {"threads": 4}
    return [
        target("our CPU ms a file", cpu and cpu / 1000, 0.35, True,
               case="cold", **at),
        target("S3 bytes / data", value(cold, "S3 bytes / data"), 1.02, True,
               case="cold", **at),
        target("× s3fs", ratio(warm, of("s3fs", "warm"), "per s"), 3,
               case="warm", **at),
        target("CPU µs", value(warm, "CPU us"), 100, True, case="warm", **at),
        target("× page cache dropped", ratio(again, disk, "per s"), 0.9,
               case="restarted", **at),
        target("GETs", value(again, "GETs"), 0, True, case="restarted", **at)]


def bench(world):
    rows = []
    data = world.small()
    in_turns(world, find(world), lambda turn, system: run(
        Turn(world, data, system, turn, rows)))
    rows = medians(rows, KEYS)
    return rows, targets(rows)
