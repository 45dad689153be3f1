"""Storages that are slow or refuse: how much they are asked, and that others
do not wait for them."""

import os
import re
import threading
import time

import pytest

import acached
import data
from conftest import Bucket


def metric(c, name, labels=""):
    """Of all processes together."""
    found = re.findall(r"^%s%s(?:\{[^}]*\})? (\d+)$" %
                       (name, re.escape(labels)), c.admin("metrics").stdout,
                       re.M)
    return sum(map(int, found))


@pytest.fixture
def other(rgw, request):
    made = Bucket(rgw, "o%x" % (abs(hash(request.node.nodeid)) % (1 << 40)))
    yield made
    made.proxy.close()


class Readers:
    """Threads that each read one file."""

    def __init__(self, paths):
        self.bytes = {}
        self.threads = [threading.Thread(target=self.read, args=(p,),
                                         daemon=True) for p in paths]
        for t in self.threads:
            t.start()

    def read(self, path):
        with open(path, "rb") as f:
            self.bytes[path] = f.read()

    def join(self, seconds):
        end = time.monotonic() + seconds
        for t in self.threads:
            t.join(max(0, end - time.monotonic()))
        return not any(t.is_alive() for t in self.threads)


def test_a_mount_does_not_wait_for_the_storage_of_another(cluster, bucket,
                                                          other, workdir):
    quick, slow = os.path.join(workdir, "quick"), os.path.join(workdir, "slow")
    files = data.make_tree(quick, files=80)
    many = data.make_tree(slow, files=150, seed=2, sizes=(30000,))
    bucket.upload(quick, files)
    other.upload(slow, many)
    cluster.start()
    cluster.mount_s3("/quick", bucket.name, bucket.proxy.endpoint)
    cluster.mount_s3("/slow", other.name, other.proxy.endpoint)
    for d in os.listdir(cluster.at("slow")):
        os.listdir(cluster.at("slow", d))
    half = len(files) // 2

    def read(names):
        times = []
        for n in names:
            with open(os.path.join(quick, n), "rb") as f:
                wanted = f.read()
            start = time.monotonic()
            with open(cluster.at("quick", n), "rb") as f:
                assert f.read() == wanted, n
            times.append(time.monotonic() - start)
        return sorted(times)

    before = read(files[:half])
    other.proxy.inject({"fault": "stall"})
    readers = Readers([cluster.at("slow", n) for n in many])
    acached.wait_for("requests hang at the slow storage",
                     lambda: other.proxy.held() >= 60)
    during = read(files[half:])
    held = other.proxy.held()
    assert not readers.bytes
    other.proxy.clear()
    assert readers.join(30)
    for n in many:
        with open(os.path.join(slow, n), "rb") as f:
            assert readers.bytes[cluster.at("slow", n)] == f.read(), n
    print("cold reads of a mount: median %.1f ms and at most %.1f ms; with %d "
          "requests held by another's storage %.1f and %.1f ms" % (
              before[half // 2] * 1e3, before[-1] * 1e3, held,
              during[half // 2] * 1e3, during[-1] * 1e3))
    assert held >= 60
    assert during[-1] < 3, during  # the other one hangs for twenty


def test_a_storage_that_refuses_is_asked_less_at_once(serve):
    served = serve()
    c = served.cluster
    c.fs("ls", "/s3")
    served.proxy.inject({"fault": "status", "status": 503, "count": 20})
    served.read_all("--threads", "16")
    lowered = metric(c, "acached_ufs_limit_lowered_total",
                     '{reason="refused"}')
    now = metric(c, "acached_ufs_requests_limit")
    print("20 answers of SlowDown: limit of master and worker from 128 to %d, "
          "lowered %d times" % (now, lowered))
    assert 1 <= lowered <= 10
    assert now < 128
    assert "storage is sent fewer requests at once" in c.log_text()
