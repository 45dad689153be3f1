"""Three tiers on one worker: what is wanted comes up, nothing is lost."""

import os
import re
import shutil
import tempfile
import time
import urllib.request

import pytest

import acached
import data

MIB = 1 << 20
TIERS = ("memory", "ssd", "hdd")


@pytest.fixture
def memory():
    """A directory on a tmpfs."""
    if not os.path.isdir("/dev/shm"):
        pytest.skip("no /dev/shm")
    path = tempfile.mkdtemp(prefix="ac-", dir="/dev/shm")
    yield os.path.join(path, "cache")
    shutil.rmtree(path)


class Tiered:
    """A cluster with three tiers, the fastest smaller than what is wanted."""

    def __init__(self, cluster, bucket, workdir, memory):
        self.cluster, self.proxy = cluster, bucket.proxy
        self.top = os.path.join(workdir, "source")
        self.names = data.make_tree(self.top, 120,
                                    sizes=(200000, 400000, 700000))
        bucket.upload(self.top, self.names)
        cluster.start(
            "--set", "worker.dirs=%s=8M,%s=16M:ssd,%s=80M:hdd" % (
                memory, os.path.join(workdir, "ssd"),
                os.path.join(workdir, "hdd")),
            "--set", "worker.move-rate=4M",
            "--set", "worker.http=127.0.0.1:0")
        cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)

    def read(self, names, times=1, shuffle=1):
        only = os.path.join(self.cluster.dir, "only")
        with open(only, "w") as f:
            f.write("\n".join(names))
        acached.read_all(self.cluster.at("s3"), self.top, "--only", only,
                         "--times", times, "--shuffle", shuffle)

    def tier(self, name):
        told = self.cluster.fs("explain", "--json", "/s3/" + name).stdout
        return re.search(r'"tier": *"(\w*)"', told).group(1)

    def metrics(self):
        url = "http://%s/metrics" % self.cluster.ready["worker.http"]
        with urllib.request.urlopen(url, timeout=10) as r:
            return {name: float(value) for name, value in re.findall(
                r"^(\w+(?:{[^}]*})?) (\S+)$", r.read().decode(), re.M)}

    def by_tier(self, what):
        m = self.metrics()
        return {t: int(m['acached_%s{tier="%s"}' % (what, t)]) for t in TIERS}


@pytest.fixture
def tiered(cluster, bucket, workdir, memory):
    return Tiered(cluster, bucket, workdir, memory)


def heat(tiered, hot, rounds):
    """Opens of what a client holds are told once a second."""
    for i in range(rounds):
        tiered.read(hot, shuffle=i)
        time.sleep(1.1)


def test_what_is_wanted_comes_up_through_three_tiers(tiered, capsys):
    t = tiered
    t.read(t.names)
    assert t.proxy.counts()["objects"] == len(t.names)
    t.proxy.reset()
    acached.wait_for("all is told", lambda: sum(
        t.by_tier("tier_files").values()) == len(t.names))
    files, used = t.by_tier("tier_files"), t.by_tier("tier_used_bytes")
    assert all(files.values()), files
    assert 4 * MIB < used["memory"] <= 8 * MIB
    metrics = t.metrics()
    assert metrics["acached_cache_memory_used_bytes"] == used["memory"]
    assert metrics["acached_cache_memory_capacity_bytes"] == 8 * MIB

    cold = [n for n in t.names if t.tier(n) == "hdd"]
    hot = cold[:8]
    t.read(t.names, shuffle=7)
    heat(t, hot, 7)
    acached.wait_for("the hot files lie in memory", lambda: all(
        t.tier(n) == "memory" for n in hot))
    before = t.by_tier("tier_hits_total")
    heat(t, hot, 3)
    acached.wait_for("these are counted", lambda: t.by_tier(
        "tier_hits_total")["memory"] >= before["memory"] + 2 * len(hot))
    hits = t.by_tier("tier_hits_total")
    up, down = t.by_tier("promotions_total"), t.by_tier("demotions_total")
    assert up["memory"] >= len(hot) and down["memory"] > 0
    moved = t.by_tier("promoted_bytes_total")["memory"]
    assert moved >= sum(os.path.getsize(os.path.join(t.top, n)) for n in hot)
    assert t.metrics()["acached_evictions_total"] == 0
    t.read(t.names, shuffle=9)
    assert t.proxy.gets() == 0
    with capsys.disabled():
        print("\n   52 MB over tiers of 8, 16 and 80 MB: hits by tier %s; "
              "%d files up to memory, %d down from it" % (
                  hits, up["memory"], down["memory"]))

    report = t.cluster.admin_json("report")["workers"][0]
    assert [x["tier"] for x in report["tiers"]] == list(TIERS)
    assert [x["capacity"] // MIB for x in report["tiers"]] == [8, 16, 80]
    assert sum(x["files"] for x in report["tiers"]) == len(t.names)
    assert re.search(r"^  memory: .* of 8.*used, \d+ files$",
                     t.cluster.admin("report").stdout, re.M)


def test_killed_while_files_move_nothing_is_fetched_again(tiered):
    t = tiered
    t.read(t.names)
    t.read(t.names, shuffle=3)
    t.proxy.reset()
    for i in range(3):
        hot = [n for n in t.names if t.tier(n) == "hdd"][:8]
        heat(t, hot, 4)
        old = t.cluster.kill("worker")
        t.cluster.wait_restarted("worker", old)
        t.read(t.names, shuffle=i)
    t.cluster.stop()
    assert t.proxy.gets() == 0
