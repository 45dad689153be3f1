"""A million objects in one directory: what listing it costs, and whether the
master still serves meanwhile."""

import os
import re
import threading
import time

import pytest

import acached
from pages import Pages

N = 1000000
MAX_TURN_US = 10000


@pytest.fixture
def pages():
    server = Pages(N)
    yield server
    server.close()


def memory_kib(pid):
    with open("/proc/%d/status" % pid) as f:
        return {line.split(":")[0]: int(line.split()[1]) for line in f
                if line.startswith("Vm")}


def metric(c, name, label):
    """Of the master: the others have none."""
    return max(map(int, re.findall(r"^%s\{[^}]*%s[^}]*\} (\d+)" % (
        name, label), c.admin("metrics").stdout, re.M)))


def longest_us(c, clock):
    return metric(c, "acached_master_longest_turn_microseconds",
                  'clock="%s"' % clock)


class Asking(threading.Thread):
    """Somebody else who asks the master for something small all the time."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.waits = []
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.wait(0.01):
            start = time.monotonic()
            os.listdir(self.path)
            self.waits.append(time.monotonic() - start)

    def stop(self):
        self.over.set()
        self.join(30)
        return sorted(self.waits)


def test_a_million_objects_are_listed_while_others_are_served(cluster, pages,
                                                              workdir):
    small = os.path.join(workdir, "small")
    os.makedirs(os.path.join(small, "d"))
    cluster.start()
    cluster.fs("mount", "/small", "file://" + small)
    cluster.fs("mount", "/s3", "s3://bucket", "--option", "s3.anonymous=true",
               "--option", "s3.endpoint=" + pages.endpoint)
    master = cluster.child("master")
    before = memory_kib(master)["VmRSS"]
    asking = Asking(cluster.at("small/d"))
    pages.requests = 0
    start = time.monotonic()
    names = os.listdir(cluster.at("s3/p"))
    first = time.monotonic() - start
    requests = pages.requests
    waits = asking.stop()
    start = time.monotonic()
    assert len(os.listdir(cluster.at("s3/p"))) == N
    second = time.monotonic() - start
    kib = memory_kib(master)

    def checkpoints():
        return metric(cluster, "acached_checkpoints_total", 'result="done"')

    acached.wait_for("a checkpoint", checkpoints)
    assert checkpoints() >= 1
    cpu, wall = longest_us(cluster, "cpu"), longest_us(cluster, "wall")
    print("\n1,000,000 objects: listed in %.1f s by %d requests, again in "
          "%.1f s by %d; the master's memory grew from %d to %d MiB, at most "
          "%d; with %d checkpoints its longest turn used %.1f ms of its CPU and lasted %.1f ms; "
          "others waited %.1f ms in the median and %.0f ms at most" %
          (first, requests, second, pages.requests - requests, before >> 10,
           kib["VmRSS"] >> 10, kib["VmHWM"] >> 10, checkpoints(), cpu / 1e3, wall / 1e3,
           waits[len(waits) // 2] * 1e3, waits[-1] * 1e3))
    assert sorted(names) == ["%07d" % i for i in range(N)]
    assert N // 1000 <= requests <= N // 1000 + 10
    assert pages.requests == requests
    assert kib["VmHWM"] <= kib["VmRSS"] + 32 * 1024, kib
    assert cpu <= MAX_TURN_US
