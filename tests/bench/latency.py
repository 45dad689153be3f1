"""Cold reads where every answer of S3 takes 20 ms longer: small files by 8 and
64 readers, and one big one in order."""

import time

from measure import RAW, in_turns, measured, medians, ratio, raw, target
from report import show
from systems import Acached, find
from world import MIB

TITLE = "Cold with 20 ms before S3: files/s, CPU a file; big file MB/s"
KEYS = ("case", "readers", "system")
MS = 20
READERS = (8, 64)
CONNECTIONS = (8, 32, 64, 128)
SMALL, BIG, LOAD = "small files", "1 MiB in order", "load of small files"
LOAD_S = 300


def load(system, data):
    """acached's own way to fill its cache, in the reader's words."""
    began = time.monotonic()
    system.cluster.fs("load", "/", seconds=LOAD_S)
    return {"operations": len(data.names), "bytes": data.bytes,
            "seconds": time.monotonic() - began, "cpu": 0}


class Turn:
    def __init__(self, world, turn, rows):
        self.world = world
        self.turn = turn
        self.rows = rows

    def add(self, case, readers, name, r):
        self.rows.append({"case": case, "readers": readers, "system": name,
                          "round": self.turn, **r})
        self.world.say("%s, %s%s: %s/s, %.0f MB/s" % (
            name, case, "" if readers is None else ", %d readers" % readers,
            show(r["per s"]), r["MB/s"]))

    def bare(self):
        small, big = self.world.few(), self.world.big()
        for n in CONNECTIONS:
            self.add(SMALL, n, RAW, raw(self.world, small.targets, small.top,
                                        n))
        self.add(BIG, None, RAW, raw(self.world, self.world.big_parts(),
                                     big.top, CONNECTIONS[1]))

    def run(self, system):
        world, small, big = self.world, self.world.few(), self.world.big()
        for readers in READERS:
            system.start(small)
            self.add(SMALL, readers, system.name, measured(
                world, system, "20 ms %d" % readers,
                lambda n=readers: world.read("files", system.top, small.list,
                                             n, self.turn + 1, 1)))
        if isinstance(system, Acached):
            system.start(small)
            self.add(LOAD, None, system.name, measured(
                world, system, "20 ms load", lambda: load(system, small)))
        system.start(big)
        self.add(BIG, None, system.name, measured(
            world, system, "20 ms big", lambda: world.read(
                "stream", system.top, big.names[0], MIB)))


def targets(rows):
    def of(system, case, readers=None):
        return next((r for r in rows if (r["system"], r["case"], r.get(
            "readers")) == (system, case, readers)), None)

    best = max((r for r in rows if r["system"] == RAW and r["case"] == SMALL),
               key=lambda r: r["per s"], default=None)
    mine = {n: of("acached", SMALL, n) for n in READERS}
    return [
        target("× 8 raw connections", ratio(
            mine[8], of(RAW, SMALL, 8), "per s"), 0.9, case=SMALL, readers=8),
        target("× best raw", ratio(mine[8], best, "per s"), 0.9, case=SMALL,
               readers=8),
        target("× best raw", ratio(mine[64], best, "per s"), 0.9, case=SMALL,
               readers=64),
        target("× best raw", ratio(of("acached", LOAD), best, "per s"), 0.9,
               case=LOAD),
        target("× raw of 32 connections", ratio(
            of("acached", BIG), of(RAW, BIG), "MB/s"), 0.9, case=BIG)]


def bench(world):
    rows = []
    world.few()
    world.big()
    world.relay.delay(MS)
    try:
        in_turns(world, [s for s in find(world) if s.cold],
                 lambda turn, system: Turn(world, turn, rows).run(system),
                 lambda turn: Turn(world, turn, rows).bare())
    finally:
        world.relay.delay(0)
    rows = medians(rows, KEYS)
    for r in rows:
        if r["case"] == BIG:
            r["shown"] = show(r["MB/s"]) + " MB/s"
    return rows, targets(rows)
