"""Several workers: processes on loopback, and on hosts that are network
namespaces."""

import os
import random
import re
import signal
import threading
import time

import pytest

import acached
import data
import hosts as net
from acached import wait_for
from s3proxy import S3Proxy

MIB = 1 << 20
PLACES = ("loopback", "hosts")


class Several:
    """A master, workers and mountpoints, each a process of its own."""

    def __init__(self, cluster, rgw, bucket, place):
        self.cluster = cluster
        self.bucket = bucket
        self.hosts = None
        self.proxy = bucket.proxy
        self.made = []
        if place == "hosts":
            self.hosts = net.Hosts(4)
            self.proxy = S3Proxy(rgw.endpoint, host=self.hosts.gateway)
            self.made.append(self.proxy)
        self.workers = []
        self.mounts = []

    def host(self, i):
        return self.hosts[i % 4] if self.hosts else None

    def start(self, workers, mounts=0, *more):
        """Their names count from 1; a mountpoint lies on the host of the
        worker of its number."""
        where = self.hosts.gateway if self.hosts else "127.0.0.1"
        self.master = self.cluster.master_node(*more, listen=where + ":0")
        for _ in range(workers):
            self.add_worker(wait=False)
        for w in self.workers:
            w.wait_ready()
        for _ in range(mounts):
            self.add_mount(wait=False)
        for m in self.mounts:
            m.wait_ready()
        self.cluster.mount_s3("/s3", self.bucket.name, self.proxy.endpoint)
        self.cluster.wait_workers(workers)
        return self

    def add_worker(self, wait=True):
        i = len(self.workers)
        w = self.cluster.worker_node("worker%d" % (i + 1), host=self.host(i),
                                     wait=wait)
        self.workers.append(w)
        return w

    def add_mount(self, wait=True, host=None):
        i = len(self.mounts)
        m = self.cluster.fuse_node(
            "fuse%d" % (i + 1), wait=wait,
            host=self.host(i if host is None else host))
        self.mounts.append(m)
        return m

    def close(self):
        for m in self.made:
            m.close()
        if self.hosts:
            self.hosts.close()


@pytest.fixture
def several(cluster, rgw, bucket, request):
    """several(place) gives a Several, closed after the processes' end."""
    made = []

    def make(place="loopback"):
        why = net.missing() if place == "hosts" else None
        if why:
            pytest.skip("hosts are not to be had: " + why)
        made.append(Several(cluster, rgw, bucket, place))
        return made[-1]

    yield make
    cluster.destroy()
    for s in made:
        s.close()


def put_files(bucket, workdir, n=40, size=100000):
    top = os.path.join(workdir, "source")
    names = data.make_tree(top, files=n, sizes=(size,))
    bucket.upload(top, names)
    return top, names


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


def total(nodes, name):
    return sum(n.metrics()[name] for n in nodes)


def print_line(capsys, text):
    with capsys.disabled():
        print("\n    " + text, flush=True)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_share_what_is_cached(several, bucket, workdir, workers,
                                      place):
    top, names = put_files(bucket, workdir)
    s = several(place).start(workers, 2)
    acached.read_all(s.mounts[0].at("s3"), top)
    assert s.proxy.gets() == len(names)
    s.proxy.reset()
    acached.read_all(s.mounts[1].at("s3"), top)  # on another host
    assert s.proxy.gets() == 0
    per = [w.metrics()["acached_cache_used_bytes"] for w in s.workers]
    assert all(b >= len(names) * 100000 / workers / 3 for b in per), per
    report = s.cluster.workers()
    assert len(report) == workers
    now_ms = time.time() * 1000
    for w in report.values():
        assert w["live"] and w["capacity"] > 0
        assert now_ms - w["last_heartbeat_ms"] < 5000
    if place == "hosts":
        assert {w["host"] for w in report.values()} == {
            "host%d" % (i + 1) for i in range(workers)}
    text = s.cluster.admin("report").stdout
    for i in report:
        assert re.search(r"worker %d: live, .* used, .*heartbeat \S+ s ago" %
                         i, text), text
    s.cluster.stop()


@pytest.mark.parametrize("place", PLACES)
def test_sixty_four_readers_in_four_mountpoints(several, bucket, workdir,
                                                place, capsys):
    path = os.path.join(workdir, "big")
    size = 9 * MIB + 12345
    data.fill(path, size, 7)
    want = read_file(path)
    bucket.put("big", want)
    s = several(place).start(2, 4, "--set", "block.size=1M")
    failed = []

    def read(m):
        try:
            with open(m.at("s3/big"), "rb") as f:
                if f.read() != want:
                    failed.append("wrong bytes at " + m.name)
        except OSError as e:
            failed.append(str(e))

    threads = [threading.Thread(target=read, args=(m,))
               for m in s.mounts for _ in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not failed, failed
    check_one_get_a_range(s, size)
    served = [w.metrics()["acached_rpcs_total"] for w in s.workers]
    assert min(served) > 10, served
    print_line(capsys, "64 readers, 4 mountpoints, 2 workers (%s): %d GETs "
               "for %d bytes" % (place, s.proxy.gets(), size))


def check_one_get_a_range(s, size):
    """Each byte of the object was got once."""
    spans = []
    for _, _, span, status, _ in s.proxy.log("get"):
        assert status in (200, 206)
        a, b = re.match(r"bytes=(\d+)-(\d+)", span).groups() if span else \
            (0, size - 1)
        spans.append((int(a), min(int(b), size - 1)))
    spans.sort()
    assert spans[0][0] == 0 and spans[-1][1] == size - 1
    for (_, end), (start, _) in zip(spans, spans[1:]):
        assert start == end + 1, spans


@pytest.mark.parametrize("place", PLACES)
def test_a_third_worker_takes_its_share_from_its_peers(several, bucket,
                                                       workdir, place, capsys):
    top, names = put_files(bucket, workdir, n=90)
    s = several(place).start(2, 1)
    epoch = s.cluster.report()["epoch"]
    acached.read_all(s.mounts[0].at("s3"), top)
    s.proxy.reset()
    before = total(s.workers, 'acached_reads_total{source="peer"}')
    third = s.add_worker()
    s.cluster.wait_workers(3)
    assert s.cluster.report()["epoch"] > epoch
    s.add_mount(host=2)
    acached.read_all(s.mounts[1].at("s3"), top)
    assert s.proxy.gets() == 0
    moved = third.metrics()['acached_reads_total{source="peer"}']
    assert len(names) / 6 <= moved <= len(names) / 2
    # Nothing else moved, and the old mountpoint is told of the new set.
    assert total(s.workers[:2], 'acached_reads_total{source="peer"}') == before
    acached.read_all(s.mounts[0].at("s3"), top)
    assert s.proxy.gets() == 0
    print_line(capsys, "a third worker took %d of %d files from its peers, "
               "no GET (%s)" % (moved, len(names), place))


class Readers:
    """Threads that read files through a mountpoint, compare every byte and
    note when each read began and how long it took."""

    def __init__(self, top, source, names, threads=4, seed=1):
        self.top, self.source = top, source
        self.names = list(names)
        self.over = False
        self.done = []  # (start, seconds)
        self.failed = []
        self.random = random.Random(seed)
        self.threads = [threading.Thread(target=self.run, daemon=True)
                        for _ in range(threads)]
        for t in self.threads:
            t.start()

    def run(self):
        while not self.over:
            name = self.random.choice(self.names)
            start = time.monotonic()
            try:
                fd = os.open(os.path.join(self.top, name), os.O_RDONLY)
                try:
                    # Past the page cache, so that a worker is asked.
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    got = b""
                    while True:
                        part = os.read(fd, MIB)
                        if not part:
                            break
                        got += part
                finally:
                    os.close(fd)
                if got != read_file(os.path.join(self.source, name)):
                    self.failed.append("wrong bytes: " + name)
            except OSError as e:
                self.failed.append("%s: %s" % (name, e))
            self.done.append((start, time.monotonic() - start))

    def between(self, a, b):
        return sorted(s for start, s in list(self.done) if a <= start < b)

    def end(self):
        self.over = True
        for t in self.threads:
            t.join(60)


def p99(seconds):
    return seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))]


def leave(s, node, how):
    if how == "stopped":
        node.signal(signal.SIGSTOP)
    elif how == "killed":
        node.kill()
    else:
        node.host.unplug()


def come_back(s, node, how):
    if how == "stopped":
        node.signal(signal.SIGCONT)
    elif how == "killed":
        node.restart()
    else:
        node.host.plug()


@pytest.mark.parametrize("how", ["stopped", "killed", "unplugged"])
def test_a_worker_that_is_away_costs_one_hop(several, bucket, workdir, how,
                                             capsys):
    top, names = put_files(bucket, workdir, n=100, size=200000)
    warm, cold = names[:60], names[60:]
    s = several("hosts").start(3, 1)
    # The readers are on the host of the first worker; the third goes away.
    gone = s.workers[2]
    mounted = s.mounts[0].at("s3")
    for name in warm:
        read_file(os.path.join(mounted, name))
    r = Readers(mounted, top, warm)
    begin = time.monotonic()
    time.sleep(1)
    went = time.monotonic()
    leave(s, gone, how)
    for name in cold:
        assert read_file(os.path.join(mounted, name)) == \
            read_file(os.path.join(top, name))
    cold_s = time.monotonic() - went
    time.sleep(1.5)
    back = time.monotonic()
    noticed = "it was back before the master noticed"
    if how == "unplugged":  # one through to the end, the others are shorter
        silent = wait_for("it is lost", lambda: re.search(
            r'event="worker lost" .*silent_ms=(\d+)', s.cluster.log_text()),
            15).group(1)
        assert 9000 <= int(silent) <= 10000
        noticed = "the master noticed %s ms after its last heartbeat" % silent
        epoch = s.cluster.report()["epoch"]
    come_back(s, gone, how)
    s.cluster.wait_workers(3)
    time.sleep(0.5)
    r.end()
    assert not r.failed, r.failed[:5]
    before, during = r.between(begin, went), r.between(went, back)
    slow = [x for x in during if x > 0.3]
    print_line(capsys, "a worker is %s: reads p99 %.1f ms before, %.1f ms "
               "after, time to switch %.2f s, %d of %d reads over 0.3 s, "
               "%d cold files in %.1f s; %s" % (
                   how, p99(before) * 1e3, p99(during) * 1e3, max(during),
                   len(slow), len(during), len(cold), cold_s, noticed))
    assert max(during) < 4 and cold_s < 20
    assert s.mounts[0].metrics("fuse")["acached_reads_elsewhere_total"] > 0
    # Who was under way when it went waits; nobody else does.
    assert 0 < len(slow) <= 20
    check_it_is_back(s, top, warm)
    if how == "unplugged":
        assert s.cluster.report()["epoch"] > epoch
        assert "kept_reports=1" in s.cluster.log_text()


def check_it_is_back(s, top, names):
    """With all that it had, as far as a mountpoint without any pages sees."""
    s.proxy.reset()
    mounted = s.add_mount(host=1).at("s3")
    for name in names:
        assert read_file(os.path.join(mounted, name)) == \
            read_file(os.path.join(top, name))
    assert s.proxy.gets() == 0


def test_load_asks_the_home_of_each_block(several, bucket, workdir):
    top = os.path.join(workdir, "source")
    sizes = {"a": 9 * MIB + 5, "b": 6 * MIB, "c": 100}
    for i, (name, size) in enumerate(sizes.items()):
        data.fill(os.path.join(top, name), size, i)
    bucket.upload(top, list(sizes))
    s = several().start(3, 1, "--set", "block.size=1M")
    job = s.cluster.fs_json("load", "/s3")
    assert job["state"] == "done" and job["files_done"] == 3
    assert s.proxy.counts()["bytes"]["get"] == sum(sizes.values())
    used = [w.metrics()["acached_cache_used_bytes"] for w in s.workers]
    assert all(u > MIB for u in used), used
    assert sum(used) < sum(sizes.values()) + 2 * MIB
    s.proxy.reset()
    acached.read_all(s.mounts[0].at("s3"), top)
    assert s.proxy.gets() == 0
    job = s.cluster.fs_json("load", "/s3")
    assert job["state"] == "done" and s.proxy.gets() == 0
