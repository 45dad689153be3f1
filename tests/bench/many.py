"""A great many small files, all cached: how soon acached serves again after it
was stopped, or killed, and what memory its processes take.

The files are hard links to few in a local directory, which is the
under-storage, so that the disk needs room for one copy only: the cache's."""

import os
import random
import time

import acached
from measure import medians, target
from systems import memory_of
from world import MIB, Problem, drop_page_cache, remove

TITLE = "A great many small files, cached"
KEYS = ("case", "system")
ONCE = True
LINKS = 60000      # ext4 allows 65 000
A_DIRECTORY = 1000
BYTES = b"a small file, of which there are many\n"
READS = 200
SECONDS = 1200
SETTLE_S = 2


def name_of(i):
    return "d%04d/f%07d" % (i // A_DIRECTORY, i)


def make(top, n):
    for i in range(n):
        to = os.path.join(top, name_of(i))
        if i % A_DIRECTORY == 0:
            os.makedirs(os.path.dirname(to))
        if i % LINKS == 0:
            first = to
            with open(to, "wb") as f:
                f.write(BYTES)
        else:
            os.link(first, to)


def verify(top, n, seed):
    rng = random.Random(seed)
    for _ in range(READS):
        with open(os.path.join(top, name_of(rng.randrange(n))), "rb") as f:
            if f.read() != BYTES:
                raise Problem("a file is wrong")


class Many:
    def __init__(self, world):
        self.world = world
        self.n = world.sizes.many
        self.source = world.path("many-source", "")
        self.cluster = acached.Cluster(world.path("many"), world.program)
        self.rows = []

    def memory(self):
        found = {}
        for pid in self.cluster.pids():
            argv = acached.argv_of(pid)
            role = argv and (self.cluster.role_of(pid, argv) or "supervisor")
            if role:
                found[role] = memory_of(pid)
        row = {"%s RSS MB" % role: m[0] / MIB for role, m in found.items()}
        row["PSS MB"] = sum(m[1] for m in found.values()) / MIB
        return row

    def row(self, case, **more):
        r = {"case": case, "system": "acached", "files": self.n, **more,
             **self.memory()}
        self.rows.append(r)
        self.world.say("%s: %s" % (case, ", ".join(
            "%s %.4g" % (k, v) for k, v in r.items()
            if isinstance(v, (int, float)))))
        return r

    def start(self, *more):
        """Seconds until a file comes through the mountpoint."""
        began = time.monotonic()
        self.cluster.start(*more, seconds=120)
        verify_one = os.path.join(self.cluster.mountpoint, name_of(0))
        with open(verify_one, "rb") as f:
            if f.read() != BYTES:
                raise Problem("a file is wrong")
        return time.monotonic() - began

    def again(self, case, end):
        end()
        drop_page_cache([self.cluster.state])
        seconds = self.start()
        verify(self.cluster.mountpoint, self.n, 1)
        time.sleep(SETTLE_S)
        self.row(case, seconds=seconds, shown="%.1f s to serving" % seconds)

    def run(self):
        world = self.world
        os.makedirs(self.cluster.mountpoint, exist_ok=True)
        self.start_idle()
        world.say("making %d files" % self.n)
        make(self.source, self.n)
        self.start("--ufs", "file://" + self.source.rstrip("/"))
        began = time.monotonic()
        self.cluster.fs("load", "/", seconds=SECONDS)
        seconds = time.monotonic() - began
        self.row("loaded", seconds=seconds, **{
            "per s": self.n / seconds,
            "shown": "%.0f files/s" % (self.n / seconds)})
        self.again("restarted after a stop", self.cluster.stop)
        self.again("restarted after kill -9", self.cluster.kill_tree)

    def start_idle(self):
        """An empty tree, whose roles have nothing to do."""
        self.cluster.start()
        time.sleep(SETTLE_S)
        r = self.row("idle, nothing mounted")
        r["shown"] = "%.0f MB PSS" % r["PSS MB"]
        self.cluster.stop()
        remove(self.cluster.state)

    def close(self):
        self.cluster.remove()
        remove(self.source)


def bench(world):
    one = Many(world)
    try:
        one.run()
    finally:
        one.close()
    of = {r["case"]: r for r in one.rows}
    said = "%d cached files, %%s: s to serving" % world.sizes.many
    return medians(one.rows, KEYS), [
        target("idle tree: MiB, sum of PSS",
               of["idle, nothing mounted"]["PSS MB"], 100, True),
        target(said % "stopped", of["restarted after a stop"]["seconds"], 5,
               True),
        target(said % "killed", of["restarted after kill -9"]["seconds"], 5,
               True)]
