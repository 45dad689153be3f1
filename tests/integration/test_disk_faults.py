"""Disks that fail below a running cluster: below the journal, below the logs."""

import ctypes
import errno
import json
import mmap
import os
import re
import subprocess

import pytest

import acached
import data

WRITE = 2  # as in tests/lib/fault_dir.h


class Control(ctypes.Structure):
    _fields_ = [("logged", ctypes.c_uint64), ("failed", ctypes.c_uint64),
                ("error", ctypes.c_int32), ("fail", ctypes.c_uint32),
                ("name", ctypes.c_char * 64)]


class FaultFs:
    """A directory that fails on demand, mounted at `where`."""

    def __init__(self, top, where):
        self.where = where
        backing, control, log = (os.path.join(top, n) for n in
                                 ("backing", "control", "calls"))
        os.makedirs(backing)
        os.makedirs(where)
        with open(control, "w+b") as f:
            f.truncate(ctypes.sizeof(Control))
            self.memory = mmap.mmap(f.fileno(), ctypes.sizeof(Control))
        self.control = Control.from_buffer(self.memory)
        build = os.environ.get("top_builddir", acached.TOP)
        self.process = subprocess.Popen(
            [os.path.join(build, "tests/lib/fault_fs"), backing, where,
             control, log])
        acached.wait_for("fault_fs", lambda: os.path.ismount(where))

    def fail(self, calls, error, name):
        self.control.name = name
        self.control.error = error
        self.control.fail = calls

    def heal(self):
        self.control.fail = 0

    def close(self):
        self.heal()
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def source(workdir):
    top = os.path.join(workdir, "source")
    return top, data.make_tree(top)


@pytest.fixture
def journal_disk(workdir, cluster):
    """What is below the master's raft/."""
    if not os.access("/dev/fuse", os.W_OK):
        pytest.skip("no /dev/fuse on this machine")
    disk = FaultFs(workdir, os.path.join(cluster.state, "master/raft"))
    try:
        yield disk
    finally:
        cluster.destroy()
        disk.close()


def mounted(cluster):
    return {m["path"] for m in cluster.fs_json("mount")}


def test_a_journal_that_cannot_be_written_stops_the_master_only(
        cluster, journal_disk, source):
    top, _ = source
    cluster.start("--ufs", "file://" + top)
    cluster.fs("mount", "/before", "file://" + top)
    acached.read_all(cluster.mountpoint, top)
    before = mounted(cluster)
    old = cluster.child("master")
    journal_disk.fail(WRITE, errno.EIO, b"open-")
    late = subprocess.Popen(
        [cluster.program, "fs", "mount", "--state", cluster.state, "/late",
         "file://" + top], env=cluster.env(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        acached.wait_for("the master to end", lambda: not acached.alive(old))
    finally:
        journal_disk.heal()
    said = re.findall(r"master cannot go on.*", cluster.log_text())
    assert said and said[0].endswith(
        "the log cannot be written: Input/output error\""), said
    acached.read_all(cluster.mountpoint, top)
    acached.wait_for("the master again", lambda: cluster.fs(
        "ls", "/", check=False).returncode == 0, seconds=60)
    late.wait(60)
    assert mounted(cluster) - {"/late"} == before
    cluster.fs("mount", "/after", "file://" + top)
    assert "/after" in mounted(cluster)
    acached.read_all(cluster.mountpoint, top)


def test_a_full_disk_below_the_logs_stops_no_role(cluster, source):
    """Logs that lead to /dev/full are as those on a full disk."""
    top, _ = source
    logs = os.path.join(cluster.state, "log")
    os.makedirs(logs)
    for name in ("acached", "master", "worker", "fuse"):
        os.symlink("/dev/full", os.path.join(logs, name + ".log"))
    cluster.run("--role=master,worker,fuse", "--state", cluster.state, "--ufs",
                "file://" + top, "--background", cluster.mountpoint)
    acached.read_all(cluster.mountpoint, top)
    for role in ("worker", "master"):
        old = cluster.child(role)
        assert os.readlink("/proc/%d/fd/2" % old) == "/dev/full"
        cluster.kill(role)
        cluster.wait_restarted(role, old, 30)
        acached.read_all(cluster.mountpoint, top)


def test_a_dump_shows_what_is_only_on_disk_too(cluster, workdir):
    """More than the 8 MiB of the journal that the master has in memory."""
    top = os.path.join(workdir, "source")
    links = 2600
    os.makedirs(top)
    for n in range(links):
        os.symlink("%d/" % n + "x/" * 1900, os.path.join(top, "l%d" % n))
    cluster.start("--ufs", "file://" + top, mountpoint=False)
    cluster.fs("loadMetadata", "-R", "/", seconds=120)
    (raft,) = [os.path.join(where, "raft") for where, dirs, _ in
               os.walk(cluster.state) if "raft" in dirs]
    assert sum(os.path.getsize(os.path.join(raft, n))
               for n in os.listdir(raft)) > 9 << 20
    indexes, counts = [], {"cluster": 0, "learn": 0}
    for line in cluster.admin("journal", "dump", seconds=120) \
            .stdout.splitlines():
        record = json.loads(line)
        indexes.append(record["index"])
        if record["record"] == "learn":
            counts["learn"] += record["count"]
        elif record["record"] == "cluster":
            counts["cluster"] += 1
    assert indexes == sorted(indexes)
    assert counts == {"cluster": 1, "learn": links}
