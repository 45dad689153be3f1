"""What rots in a cache: found by the scrubber, named, fetched again."""

import json
import os
import re

import pytest

import acached
import data

SIZES = {"a": 100, "b": 70000, "c": 300000, "d": 3 << 20}


@pytest.fixture
def cached(cluster, workdir):
    """A cluster whose worker has all files; its directory has no mountpoint."""
    cluster.source = os.path.join(workdir, "source")
    os.makedirs(cluster.source)
    for n, name in enumerate(SIZES):
        path = os.path.join(cluster.source, name)
        data.fill(path, SIZES[name], n)
        os.utime(path, (2000, 2000))
    cluster.start("--ufs", "file://" + cluster.source, mountpoint=False)
    cluster.fs("load", "/")
    return cluster


def backing_files(cluster, size):
    top = os.path.join(cluster.state, "worker")
    return [os.path.join(where, name) for where, _, names in os.walk(top)
            for name in names if re.fullmatch(r"[0-9a-f]{16}\.[0-9a-f]{8}",
                                              name)
            and os.path.getsize(os.path.join(where, name)) == size]


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 16]))


def cat(cluster, name):
    return cluster.fs("cat", "/" + name, text=False).stdout


def original(cluster, name):
    with open(os.path.join(cluster.source, name), "rb") as f:
        return f.read()


def scrubbed(cluster, *more):
    """Runs a scrub to its end; what it says of the one worker."""
    (before,) = cluster.admin_json("scrub").values()
    cluster.admin("scrub", "start", *more)
    acached.wait_for("the scrub to end", lambda: list(
        cluster.admin_json("scrub").values())[0]["passes"] > before["passes"])
    (state,) = cluster.admin_json("scrub").values()
    assert not state["running"] and state["bytes_left"] == 0
    return state


def test_a_scrub_finds_and_names_what_is_damaged(cached):
    state = scrubbed(cached)
    assert state["files"] == len(SIZES) and state["damaged"] == 0
    assert state["bytes"] == sum(SIZES.values())

    (path,) = backing_files(cached, SIZES["d"])
    flip(path, 2500000)
    state = scrubbed(cached, "--rate", "1G", "--target", "worker:1")
    assert state["damaged"] == 1 and state["files"] == len(SIZES)
    assert ("path=%s offset=%d " % (path, 2500000 // 131072 * 131072)
            in cached.log_text())
    acached.wait_for("the metric", lambda: "acached_damaged_files_total 1" in
                     cached.admin("metrics", "--target", "worker").stdout)
    assert not os.path.exists(path)
    assert cat(cached, "d") == original(cached, "d")

    text = cached.admin("scrub", "status").stdout
    assert re.fullmatch(r"worker:1: idle, 4 files and \S+ ?\S* compared, "
                        r"0\S* ?B? left, 1 damaged\n", text), text


def test_what_rots_while_stopped_is_not_served(cached):
    cached.stop()
    for size in SIZES.values():
        (path,) = backing_files(cached, size)
        flip(path, size // 2)
    cached.start("--ufs", "file://" + cached.source, mountpoint=False)
    for name in SIZES:
        assert cat(cached, name) == original(cached, name)
    assert cached.log_text().count('event="cached bytes are wrong') == 4


@pytest.mark.parametrize("words", [
    ("scrub", "now"), ("scrub", "--rate", "1G"), ("scrub", "start", "more"),
    ("scrub", "start", "--rate", "0"), ("scrub", "start", "--rate", "fast"),
    ("scrub", "--target", "master")])
def test_a_scrub_refuses(cluster, words):
    """Before it asks anybody."""
    ran = cluster.admin(*words, check=False)
    assert ran.returncode == 2 and not ran.stdout
    assert ran.stderr.count("\n") == 1, ran.stderr
    ran = cluster.admin(*words, "--json", check=False)
    assert ran.returncode == 2
    json.loads(ran.stdout)
