"""All at once, by chance: processes are killed and stopped, S3 stalls, fails
and sends wrong bytes, objects are replaced, disks fill, caches are dropped,
while readers check every byte.  The seed is printed; CHAOS_SEED runs it again
(the order of what is broken, not that of the threads)."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

import acached
import chaosread
from rgw import free_ports

MIB = 1 << 20
OBJECTS = 96
READERS = 3
SETTLE_S = 3  # after a refresh, until no kernel shows an older name


class Node:
    """A worker's disk, small, in memory, so that it can be filled."""

    def __init__(self, path):
        self.path = path
        os.makedirs(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none",
                        path], check=True)
        self.junk = os.path.join(path, "junk")
        self.cache = os.path.join(path, "cache")

    @property
    def settings(self):
        return "--set", "worker.dirs=%s=56M" % self.cache

    def fill(self):
        with open(self.junk, "wb", buffering=0) as f:
            try:
                while f.write(bytes(MIB)):
                    pass
            except OSError:
                pass

    def clear(self):
        if os.path.exists(self.junk):
            os.unlink(self.junk)

    def used(self):
        """Bytes of backing files, as du has it; a file may go meanwhile."""
        total = 0
        for where, _, names in os.walk(self.cache):
            for n in names:
                try:
                    total += os.lstat(os.path.join(where, n)).st_blocks * 512
                except FileNotFoundError:
                    pass
        return total


class Chaos:
    def __init__(self, clusters, bucket, workdir, seed):
        self.random = random.Random(seed)
        self.seed = seed
        self.bucket = bucket
        self.workdir = workdir
        self.nodes = [Node(os.path.join(workdir, "disk%d" % n))
                      for n in range(2)]
        self.first = clusters("one")
        self.second = clusters("two")
        self.done = {}
        self.versions = [1] * OBJECTS
        self.refreshed = []  # (when, object, version): not yet a floor
        path = os.path.join(workdir, "board")
        self.board = chaosread.Board(path, OBJECTS)
        self.readers = []

    def start(self):
        for i in range(OBJECTS):
            self.bucket.put(chaosread.name(i), chaosread.body(i, 1))
        # Where the second worker finds the master after each restart of it.
        self.address = "127.0.0.1:%d" % free_ports(1)[0]
        self.first.start("--set", "master.listen=" + self.address,
                         *self.nodes[0].settings)
        self.first.mount_s3("/s3", self.bucket.name,
                            self.bucket.proxy.endpoint, "--option",
                            "s3.verify=md5")
        self.start_second()
        self.warm_up()
        self.before = self.sizes()
        for n in range(READERS):
            self.readers.append(subprocess.Popen(
                [sys.executable, chaosread.__file__, self.top,
                 os.path.join(self.workdir, "board"), "--seed",
                 str(self.seed + n)], stdout=subprocess.PIPE, text=True,
                preexec_fn=acached.die_with_parent))

    @property
    def top(self):
        return self.first.at("s3")

    def start_second(self):
        self.second.started = []
        self.second.spawn(
            "--role=worker", "--master", self.address,
            "--state", self.second.state, "--set", "cluster.key-file=" +
            os.path.join(self.first.state, "cluster.key"),
            *self.nodes[1].settings).wait_ready()

    def warm_up(self):
        for i in range(OBJECTS):
            with open(os.path.join(self.top, chaosread.name(i)), "rb") as f:
                assert f.read() == chaosread.body(i, self.versions[i])

    # what is broken

    def proxy_fault(self, **fault):
        self.bucket.proxy.inject(fault)
        time.sleep(self.random.uniform(0.5, 3))
        self.bucket.proxy.clear()

    def kill(self, role):
        old = self.first.kill(role)
        self.first.wait_restarted(role, old, 60)

    def kill_second(self):
        self.second.started[0].process.kill()
        self.second.started[0].process.wait()
        time.sleep(self.random.uniform(0, 3))
        self.start_second()

    def stop_a_while(self, pid):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(0.5, 4))
        os.kill(pid, signal.SIGCONT)

    def replace(self):
        some = self.random.sample(range(OBJECTS), 4)
        for i in some:
            v = self.versions[i] + 1
            self.board.set(i, v, self.board.get(i)[1], time.time())
            self.bucket.put(chaosread.name(i), chaosread.body(i, v))
            self.versions[i] = v
            self.board.set(i, v, self.board.get(i)[1], time.time())
        self.first.fs("loadMetadata", "-R", "/s3", seconds=120)
        now = time.monotonic()
        self.refreshed += [(now, i, self.versions[i]) for i in some]

    def raise_floors(self):
        old = time.monotonic() - SETTLE_S
        for when, i, v in [r for r in self.refreshed if r[0] < old]:
            begun, floor, put = self.board.get(i)
            self.board.set(i, begun, max(floor, v), put)
        self.refreshed = [r for r in self.refreshed if r[0] >= old]

    def fill_disk(self):
        node = self.random.choice(self.nodes)
        node.fill()
        time.sleep(self.random.uniform(0.5, 3))
        node.clear()

    def break_one(self):
        what = [
            ("kill worker", lambda: self.kill("worker")),
            ("kill master", lambda: self.kill("master")),
            ("kill fuse", lambda: self.kill("fuse")),
            ("kill second worker", self.kill_second),
            ("stop worker", lambda: self.stop_a_while(
                self.first.child("worker"))),
            ("stop second worker", lambda: self.stop_a_while(
                self.second.started[0].pid)),
            ("stop master", lambda: self.stop_a_while(
                self.first.child("master"))),
            ("S3 503", lambda: self.proxy_fault(
                fault="status", status=503, every=2, kind="any")),
            ("S3 latency", lambda: self.proxy_fault(
                fault="latency", ms=300, kind="any")),
            ("S3 stall", lambda: self.proxy_fault(fault="stall")),
            ("S3 stalls in bodies", lambda: self.proxy_fault(
                fault="stall-body")),
            ("S3 reset", lambda: self.proxy_fault(fault="reset", every=2)),
            ("S3 resets in bodies", lambda: self.proxy_fault(
                fault="reset-body", every=2)),
            ("S3 short bodies", lambda: self.proxy_fault(
                fault="short-body", every=2)),
            ("S3 wrong bytes", lambda: self.proxy_fault(
                fault="wrong-bytes", key="object", every=2)),
            ("replace", self.replace),
            ("replace", self.replace),
            ("fill disk", self.fill_disk),
            ("free", lambda: self.first.fs("free", "/s3", seconds=120)),
        ]
        word, act = self.random.choice(what)
        act()
        self.done[word] = self.done.get(word, 0) + 1

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.break_one()
            self.raise_floors()
            for r in self.readers:
                assert r.poll() is None, "a reader has ended: %s" % \
                    r.communicate()[0]
            time.sleep(self.random.uniform(0, 1))
        self.board.end()

    # the end

    def results(self):
        total = {"reads": 0, "bytes": 0, "lists": 0, "estale": 0}
        failed = []
        for r in self.readers:
            out, _ = r.communicate(timeout=120)
            said = acached.json.loads(out)
            failed += said.pop("failed")
            for k, v in said.items():
                total[k] += v
        return total, failed

    def sizes(self):
        """{process: (descriptors, resident KiB)}"""
        pids = {role: self.first.child(role)
                for role in ("master", "worker", "fuse")}
        pids["supervisor"] = self.first.started[0].pid
        pids["second worker"] = self.second.started[0].pid
        found = {}
        for role, pid in pids.items():
            with open("/proc/%d/status" % pid) as f:
                rss = [int(line.split()[1]) for line in f
                       if line.startswith("VmRSS")]
            found[role] = len(os.listdir("/proc/%d/fd" % pid)), rss[0]
        return found

    def said(self):
        """What the processes have to say of requests that failed."""
        lines = (self.first.log_text() + self.second.log_text()).splitlines()
        return [m for m in lines if "failed" in m or "wrong" in m][-60:]

    def check_leaks(self):
        after = self.sizes()
        for role, (fds, rss) in after.items():
            was_fds, was_rss = self.before[role]
            # A grant for each object, in any process, is no leak.
            assert fds <= was_fds + OBJECTS + 40, (role, self.before, after)
            assert rss <= 2 * was_rss + (96 << 10), (role, self.before, after)
        for node, cluster in zip(self.nodes, (self.first, self.second)):
            assert node.used() <= 56 * MIB, node.used()
        return after


def run_chaos(clusters, bucket, workdir, seconds, capsys):
    def say(text):
        with capsys.disabled():
            print("\n    " + text, flush=True)

    if os.geteuid():
        pytest.skip("needs root, to mount small disks")
    seed = int(os.environ.get("CHAOS_SEED", 0)) or \
        random.SystemRandom().randrange(1, 1 << 30)
    say("CHAOS_SEED=%d, %d s" % (seed, seconds))
    c = Chaos(clusters, bucket, workdir, seed)
    c.start()
    try:
        c.run(seconds)
        total, failed = c.results()
        say("%s, %d faults of %d kinds" % (
            ", ".join("%d %s" % (n, word) for word, n in total.items()),
            sum(c.done.values()), len(c.done)))
        assert not failed, "CHAOS_SEED=%d: %s\n%s" % (
            seed, "\n".join(failed), "\n".join(c.said()))
        c.first.fs("loadMetadata", "-R", "/s3", seconds=120)
        time.sleep(SETTLE_S)
        c.warm_up()
        after = c.check_leaks()
        say("descriptors and resident KiB: " + ", ".join(
            "%s %d, %d to %d, %d" % ((role,) + c.before[role] + after[role])
            for role in after))
        c.first.stop()
        c.second.stop()
    finally:
        for r in c.readers:
            if r.poll() is None:
                r.kill()


@pytest.mark.slow
def test_two_minutes_of_chaos(clusters, bucket, workdir, capsys):
    run_chaos(clusters, bucket, workdir,
              int(os.environ.get("CHAOS_SECONDS", 120)), capsys)


@pytest.mark.long
@pytest.mark.timeout(3600 + 600)
def test_an_hour_of_chaos(clusters, bucket, workdir, capsys):
    run_chaos(clusters, bucket, workdir, 3600, capsys)
