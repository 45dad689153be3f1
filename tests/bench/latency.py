"""Cold small files where every answer of S3 takes 20 ms longer."""

import time

from measure import RAW, measured, medians, pick, raw, target, turns
from systems import Acached, find

TITLE = "Small files, cold, with 20 ms of latency before S3"
KEYS = ("case", "readers", "system")
MS = 20
READERS = (8, 64)
CONNECTIONS = (8, 32, 64, 128)
LOAD_S = 300


def load(system, data):
    """acached's own way to fill its cache, in the reader's words."""
    began = time.monotonic()
    system.cluster.fs("load", "/", seconds=LOAD_S)
    return {"operations": len(data.names), "bytes": data.bytes,
            "seconds": time.monotonic() - began, "cpu": 0}


def one_system(world, data, system, turn, add):
    for readers in READERS:
        system.start(data)
        add("cold", readers, system.name, measured(
            world, system, lambda n=readers: world.read(
                "files", system.top, data.list, n, turn + 1, 1)))
    if isinstance(system, Acached):
        system.start(data)
        add("load", None, system.name, measured(world, system,
                                                lambda: load(system, data)))


def targets(rows):
    def of(system, **want):
        r = pick(rows, system=system, **want)
        return r and r["per s"]

    best = max((r["per s"] for r in rows if r["system"] == RAW), default=0)
    said = "20 ms: files/s, %s, / best raw client's"
    return [target(said % what, mine and best and mine / best, 0.9)
            for what, mine in (
                ("8 readers", of("acached", case="cold", readers=8)),
                ("64 readers", of("acached", case="cold", readers=64)),
                ("load", of("acached", case="load")))]


def bench(world):
    rows = []
    data = world.few()

    def add(case, readers, name, r):
        rows.append({"case": case, "readers": readers, "system": name, **r})
        world.say("%s, %s, %s readers: %.0f files/s" % (
            name, case, readers, r["per s"]))

    def bare(turn):
        for n in CONNECTIONS:
            add("cold", n, RAW, {"round": turn, **raw(
                world, data.targets, data.top, n)})

    world.relay.delay(MS)
    try:
        for turn, system in turns(world, [s for s in find(world) if s.cold],
                                  bare):
            one_system(world, data, system, turn, add)
    finally:
        world.relay.delay(0)
    rows = medians(rows, KEYS)
    return rows, targets(rows)
