"""A great many small files, all cached: how soon acached serves again after it
was stopped, or killed, and what memory its processes take.

The files are hard links to few in a local directory, which is the
under-storage, so that the disk needs room for one copy only: the cache's."""

import os
import random
import subprocess
import time

import acached
from measure import medians, target
from systems import memory_of
from world import MIB, Problem, drop_page_cache, remove

TITLE = "Tiny files, all cached"
KEYS = ("case", "files", "system")
ONCE = True
IDLE = "idle, nothing mounted"
STOPPED, KILLED = "restarted after a stop", "restarted after kill -9"
LINKS = 60000      # ext4 allows 65 000
A_DIRECTORY = 1000
BYTES = b"a small file, of which there are many\n"
READS = 200
SECONDS = 1200
SETTLE_S = 2
FILE_TAKES = 4096 + 512  # bytes on disk: a block, an inode, two names
SPARE = 1 << 30


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


class Disk:
    """A file system in a file: to remove a million files from the machine's own
    may take a quarter of an hour.  A plain directory where that is refused."""

    def __init__(self, path, files):
        self.top = path
        self.image = path + ".image"
        os.makedirs(path)
        with open(self.image, "wb") as f:
            f.truncate(files * FILE_TAKES + SPARE)
        self.mounted = not any(subprocess.run(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            check=False).returncode for argv in (
                ["mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-N",
                 str(files * 11 // 10 + 20000), self.image],
                ["mount", "-o", "loop", self.image, path]))

    def close(self):
        if self.mounted:
            acached.wait_for("the disk is unmounted", lambda: subprocess.run(
                ["umount", self.top], stderr=subprocess.DEVNULL,
                check=False).returncode == 0, every=0.2)
        else:
            remove(self.top)
        os.unlink(self.image)


class Many:
    def __init__(self, world):
        self.world = world
        self.n = world.sizes.many
        self.disk = Disk(world.path("disk"), self.n)
        self.source = os.path.join(self.disk.top, "source")
        self.cluster = acached.Cluster(os.path.join(self.disk.top, "cluster"),
                                       world.program)
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

    @staticmethod
    def said(r):
        return "%.0f MB PSS; RSS master %.0f, worker %.0f, fuse %.0f" % (
            r["PSS MB"], *(r["%s RSS MB" % role]
                           for role in ("master", "worker", "fuse")))

    def row(self, case, **more):
        r = {"case": case, "system": "acached",
             "files": None if case == IDLE else self.n, **more,
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
        r = self.row(case, seconds=seconds)
        r["shown"] = "%.1f s to serving, %s" % (seconds, self.said(r))

    def run(self):
        world = self.world
        self.start_idle()
        world.say("making %d files" % self.n)
        make(self.source, self.n)
        self.start("--ufs", "file://" + self.source)
        began = time.monotonic()
        self.cluster.fs("load", "/", seconds=SECONDS)
        seconds = time.monotonic() - began
        r = self.row("loaded", seconds=seconds, **{
            "per s": self.n / seconds})
        r["shown"] = "%.0f files/s, %s" % (r["per s"], self.said(r))
        self.again(STOPPED, self.cluster.stop)
        self.again(KILLED, self.cluster.kill_tree)

    def start_idle(self):
        """An empty tree, whose roles have nothing to do."""
        self.cluster.start()
        time.sleep(SETTLE_S)
        r = self.row(IDLE)
        r["shown"] = self.said(r)
        self.cluster.stop()
        remove(self.cluster.state)

    def close(self):
        self.cluster.destroy()
        self.disk.close()


def bench(world):
    one = Many(world)
    try:
        one.run()
    finally:
        one.close()
    of = {r["case"]: r for r in one.rows}
    return medians(one.rows, KEYS), [
        target("MiB PSS", of[IDLE]["PSS MB"], 100, True, case=IDLE)] + [
        target("s", of[case]["seconds"], 5, True, case=case, files=one.n)
        for case in (STOPPED, KILLED)]
