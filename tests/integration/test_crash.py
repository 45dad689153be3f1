"""Processes die in the middle of an epoch, and the job that reads sees no
error."""

import os
import signal
import subprocess
import time

import pytest

import acached


def slow_epoch(served):
    """Starts two shuffled epochs, slow enough to be interrupted; returns when
    files are being fetched."""
    served.proxy.inject({"fault": "latency", "ms": 40})
    reader = served.reader("--shuffle", 3, "--times", 2, "--threads", 2)
    acached.wait_for("GETs", lambda: served.proxy.gets() > 5)
    assert reader.running()
    return reader


def finish(served, reader):
    result = reader.result()
    assert not result["failed"], result["wrong"]
    assert result["files"] == 2 * len(served.names)


@pytest.mark.parametrize("role", ["worker", "master", "fuse"])
def test_a_role_is_killed_in_mid_epoch(served, role):
    reader = slow_epoch(served)
    old = served.cluster.kill(role)
    served.cluster.wait_restarted(role, old)
    finish(served, reader)
    served.cluster.stop()


def test_every_role_is_killed_many_times(served):
    reader = served.reader("--shuffle", 5, "--times", 30, "--threads", 4)
    end = time.monotonic() + 8
    while time.monotonic() < end and reader.running():
        for role in ("fuse", "worker", "master"):
            served.cluster.wait_restarted(role, served.cluster.kill(role))
            acached.wait_for("the mountpoint answers", lambda: os.stat(
                os.path.join(served.data, served.names[0])))
    reader.end()
    served.read_all()


def test_the_s3_server_is_killed_in_mid_epoch(served):
    reader = slow_epoch(served)
    served.bucket.server.kill_gateway()
    before = served.proxy.counts()["requests"]["get"]
    acached.wait_for("retries", lambda: served.proxy.gets() > before + 3)
    served.bucket.server.start_gateway()
    finish(served, reader)


def test_everything_is_killed_and_the_cache_is_warm_afterwards(serve):
    served = serve()
    served.read_all()
    gets = served.proxy.gets()
    assert gets
    served.cluster.kill_tree()
    served.cluster.start()
    served.proxy.reset()
    served.read_all("--listing")
    assert served.proxy.gets() == 0
    served.cluster.stop()


def test_a_clean_restart_keeps_the_cache_too(serve):
    served = serve()
    served.read_all()
    served.cluster.stop()
    served.cluster.start()
    served.proxy.reset()
    served.read_all("--listing")
    assert served.proxy.gets() == 0


def test_everything_is_killed_in_mid_epoch(serve):
    served = serve()
    reader = slow_epoch(served)
    served.cluster.kill_tree()
    acached.wait_for("the reader ends", lambda: not reader.running(), 30)
    reader.end()
    served.cluster.start()
    served.proxy.clear()
    served.read_all("--listing")
    served.proxy.reset()
    served.read_all()
    assert served.proxy.gets() == 0


def test_children_end_with_their_supervisor(served):
    c = served.cluster
    pids = c.pids()
    supervisor = c.started[0].pid
    assert len(pids) == 4 and supervisor in pids
    os.kill(supervisor, signal.SIGKILL)
    acached.wait_for("the children are gone", lambda: not c.pids())
    c.started[0].process.wait()
    c.started = []
    # the mountpoint it left is dead, and the next start clears it
    with pytest.raises(OSError):
        os.listdir(c.mountpoint)
    c.start()
    served.read_all()
    c.stop()


def test_500_held_reads_leave_the_rest_alive(served, workdir):
    names = ["held/%03d" % n for n in range(500)]
    for n in names:
        served.bucket.put(n, n.encode() * 100)
    served.cluster.fs("loadMetadata", "-R", "/s3")
    held = os.path.join(served.data, "held")
    assert acached.wait_for("the new names are seen",
                            lambda: len(os.listdir(held)) == 500)
    served.proxy.inject({"fault": "stall", "key": "/held/"})
    code = """
import os, sys, threading
def read(n):
    fd = os.open("%s/%%03d" %% n, os.O_RDONLY)
    os.read(fd, 10)
ts = [threading.Thread(target=read, args=(n,)) for n in range(500)]
for t in ts: t.start()
for t in ts: t.join()
""" % held
    stuck = subprocess.Popen([acached.sys.executable, "-c", code],
                             preexec_fn=acached.die_with_parent)
    try:
        acached.wait_for("reads are held", lambda: served.proxy.held() > 50, 20)
        started = time.monotonic()
        os.stat(os.path.join(held, "007"))
        subprocess.run(["ls", "-l", held], check=True, timeout=10,
                       stdout=subprocess.DEVNULL)
        assert time.monotonic() - started < 1
        started = time.monotonic()
        stuck.kill()
        stuck.wait(10)
        assert time.monotonic() - started < 1
    finally:
        stuck.kill()
    served.proxy.clear()
    served.read_all()
