"""Capacity and eviction, on disk and by the proxy's counts."""

import os
import random
import threading
import time

import pytest

import acached
import data

MIB = 1 << 20


def used(path):
    """What `du` would say: blocks, not lengths; a file may go meanwhile."""
    total = 0
    for where, dirs, names in os.walk(path):
        for name in dirs + names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except FileNotFoundError:
                pass
    return total


class Sampler(threading.Thread):
    """Watches how much disk a directory takes."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path = path
        self.most = self.samples = 0
        self.stop = threading.Event()
        self.start()

    def run(self):
        while not self.stop.wait(0.01):
            self.most = max(self.most, used(self.path))
            self.samples += 1

    def end(self):
        self.stop.set()
        self.join()
        return self.most


def test_three_times_the_capacity_streams_through(serve, tree):
    top, names = tree
    for n in range(60):
        name = "more/%d" % n
        data.fill(os.path.join(top, name), 2 * MIB - n * 1000, n)
        names.append(name)
    served = serve("--set", "worker.capacity=40M")
    worker = os.path.join(served.cluster.state, "worker")
    sampler = Sampler(worker)
    served.read_all("--shuffle", 1, "--times", 2)
    most = sampler.end()
    assert sampler.samples > 5
    assert most <= 40 * MIB, "%d MiB on disk" % (most // MIB)
    assert most > 20 * MIB, "only %d MiB on disk" % (most // MIB)


def epochs(serve_again, served, n, files):
    """Hit ratios of `n` shuffled epochs, each on a new mountpoint."""
    ratios = []
    for epoch in range(n):
        served.proxy.reset()
        served.read_all("--shuffle", 10 + epoch)
        ratios.append(1 - served.proxy.counts()["objects"] / files)
        serve_again()
    return ratios


@pytest.mark.parametrize("policy", ["retain", "lru"])
def test_hits_over_a_cache_of_60_percent(cluster, bucket, workdir, policy,
                                         capsys):
    top = os.path.join(workdir, "source")
    names = data.make_tree(top, 300, sizes=(100000, 130000, 200000))
    size = sum(os.path.getsize(os.path.join(top, n)) for n in names)
    bucket.upload(top, names)
    sets = ("--set", "worker.capacity=%d" % (size * 6 // 10), "--set",
            "worker.evictor=" + policy)
    cluster.start(*sets)
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)

    class Here:
        proxy = bucket.proxy

        @staticmethod
        def read_all(*more):
            return acached.read_all(cluster.at("s3"), top, *more)

    def again():
        cluster.stop()
        cluster.start(*sets)
    ratios = epochs(again, Here, 3, len(names))
    with capsys.disabled():
        print("\n   %-6s over a cache of 60 %%: hits of epochs 1 to 3 %s" % (
            policy, ", ".join("%.1f %%" % (100 * r) for r in ratios)))
    assert ratios[0] < 0.02
    if policy == "retain":
        assert min(ratios[1:]) >= 0.55, ratios


def test_load_free_location_and_explain(served):
    c = served.cluster
    c.fs("load", "/s3")
    full = [n for n in served.names
            if os.path.getsize(os.path.join(served.top, n))]
    assert served.proxy.counts()["objects"] == len(full)
    served.proxy.reset()
    served.read_all()
    assert served.proxy.gets() == 0
    name = full[3]
    assert c.fs("location", "/s3/" + name).stdout.strip()
    assert c.fs("explain", "/s3/" + name).stdout.strip()
    c.fs("free", "/s3/" + os.path.dirname(name))
    served.cluster.stop()
    served.cluster.start()
    served.proxy.reset()
    served.read_all()
    again = served.proxy.counts()["objects"]
    assert 0 < again <= len(full) // 4


def test_cat_and_du(served):
    c = served.cluster
    name = served.names[9]
    p = acached.subprocess.run(
        [c.program, "fs", "cat", "--state", c.state, "/s3/" + name],
        env=c.env(), capture_output=True, timeout=30)
    with open(os.path.join(served.top, name), "rb") as f:
        assert p.stdout == f.read()
    total = sum(os.path.getsize(os.path.join(served.top, n))
                for n in served.names)
    assert str(total) in c.fs("du", "/s3").stdout
