"""acached admin fsck: what it says of a good cluster, and of a damaged one."""

import os
import re

import pytest

import data

SIZES = {"a": 100, "b": 70000, "c": 300000, "d": 3 << 20}


@pytest.fixture
def cached(cluster, workdir):
    """A cluster whose worker has all files; it has no mountpoint."""
    cluster.source = os.path.join(workdir, "source")
    os.makedirs(cluster.source)
    for n, name in enumerate(SIZES):
        path = os.path.join(cluster.source, name)
        data.fill(path, SIZES[name], n)
        os.utime(path, (2000, 2000))
    cluster.start("--ufs", "file://" + cluster.source, mountpoint=False)
    cluster.fs("load", "/")
    return cluster


def backing_files(cluster):
    """By size."""
    top = os.path.join(cluster.state, "worker")
    found = [os.path.join(where, name) for where, _, names in os.walk(top)
             for name in names if re.fullmatch(r"[0-9a-f]{16}\.[0-9a-f]{8}",
                                               name)]
    return {os.path.getsize(path): path for path in found}


def findings(cluster):
    done = cluster.admin("fsck", check=False)
    lines = [line[len("wrong: "):] for line in done.stdout.splitlines()
             if line.startswith("wrong: ")]
    assert done.returncode == (1 if lines else 0), done.stdout + done.stderr
    return lines


def test_a_good_cluster_has_nothing_wrong(cached):
    done = cached.admin("fsck")
    assert "worker:1: 4 files" in done.stdout
    assert done.stdout.endswith("nothing is wrong\n")
    said = cached.admin_json("fsck")
    assert said["found"] == 0 and said["findings"] == []
    assert said["master"]["inodes"] == 5 and said["master"]["mounts"] == 1
    assert said["worker:1"]["files"] == 4
    assert said["worker:1"]["bytes"] >= sum(SIZES.values())


def test_backing_files_that_are_not_what_the_index_says_are_named(cached):
    files = backing_files(cached)
    os.unlink(files[SIZES["b"]])
    os.truncate(files[SIZES["d"]], 1 << 20)
    stray = os.path.join(os.path.dirname(files[SIZES["a"]]),
                         "00000000000000ff.00000007")
    with open(stray, "w") as f:
        f.write("nobody's")
    found = sorted(findings(cached))
    assert len(found) == 3, found
    by_name = {os.path.basename(line.split(": ")[1]): line for line in found}
    gone, short = (os.path.basename(files[SIZES[n]]) for n in "bd")
    assert "in the index, but missing" in by_name[gone]
    assert "1048576 bytes, the index has 3145728" in by_name[short]
    assert "not in the index" in by_name[os.path.basename(stray)]
    assert all(line.startswith("worker:1: ") for line in found)


def test_it_is_right_while_files_come_and_go(cached):
    """Loads and frees go on meanwhile."""
    for _ in range(3):
        cached.fs("free", "/")
        cached.fs("load", "/")
        assert findings(cached) == []
