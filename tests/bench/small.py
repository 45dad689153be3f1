"""Many small files in random order, by 1, 4 and 8 threads."""

from measure import measured, medians, pick, ratio, target, value
from systems import Raw, find
from world import drop_page_cache

TITLE = "Small files of 100 KB in random order"
KEYS = ("case", "threads", "system")
THREADS = (1, 4, 8)
# Enough of them that what a process used is more than its clock's grain.
WARM_PASSES = 3


def read(world, data, system, threads, seed, passes=1):
    if isinstance(system, Raw):
        return world.read("http", world.relay.port, "GET", data.top,
                          data.targets, threads, seed)
    return world.read("files", system.top, data.list, threads, seed, passes)


class Turn:
    """One system in one round."""

    def __init__(self, world, data, system, turn, rows):
        self.world = world
        self.data = data
        self.system = system
        self.turn = turn
        self.rows = rows

    def row(self, case, threads, passes=1):
        seed = self.turn * 100 + threads
        r = measured(self.world, self.system, self.data, lambda: read(
            self.world, self.data, self.system, threads, seed, passes))
        self.rows.append({"case": case, "threads": threads,
                          "system": self.system.name, "round": self.turn, **r})
        self.world.say("%s, %s, %d threads: %.0f files/s, %.0f us CPU a file" %
                       (self.system.name, case, threads, r["per s"],
                        r["CPU us"]))

    def cold(self):
        for threads in THREADS:
            self.system.start(self.data)
            self.row("cold", threads)

    def warm(self):
        """What was read a moment ago: a kernel may drop pages that rest."""
        for threads in THREADS:
            read(self.world, self.data, self.system, 4, threads)
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


def targets(rows):
    def of(system, case, threads=4):
        return pick(rows, system=system, case=case, threads=threads)

    cold, warm = of("acached", "cold"), of("acached", "warm")
    again, disk = of("acached", "restarted"), of("acached",
                                                 "page cache dropped")
    cpu = value(cold, "system CPU us")
    return [
        target("cold, 4 threads: our CPU ms a file, all processes",
               cpu and cpu / 1000, 0.35, True),
        target("cold: bytes from S3 / data", value(cold, "S3 bytes / data"),
               1.02, True),
        target("warm, 4 threads: files/s / s3fs's",
               ratio(warm, of("s3fs", "warm"), "per s"), 3),
        target("warm, 4 threads: CPU us of reader and acached a file",
               value(warm, "CPU us"), 100, True),
        target("restarted, 4 threads: files/s / those with the page cache "
               "dropped", ratio(again, disk, "per s"), 0.9),
        target("restarted: GETs", value(again, "GETs"), 0, True)]


def bench(world):
    rows = []
    data = world.small()
    systems = find(world)
    for turn in range(world.rounds):
        at = turn % len(systems)
        for system in systems[at:] + systems[:at]:
            try:
                one = Turn(world, data, system, turn, rows)
                if system.cold:
                    one.cold()
                else:
                    system.start(data)
                if system.keeps:
                    one.warm()
                    one.restarted()
                    one.dropped()
            finally:
                system.destroy()
    rows = medians(rows, KEYS)
    return rows, targets(rows)
