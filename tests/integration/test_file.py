"""Directories as under-storage: what is refused, links, and young files."""

import errno
import os
import time

import pytest

import acached
import data


def refusal(cluster, path, root):
    p = cluster.fs("mount", path, "file://" + root, check=False)
    assert p.returncode == 1, root
    return p.stderr


def test_its_own_state_and_mountpoints_are_refused(cluster, workdir):
    cluster.start()
    link = os.path.join(workdir, "link")
    os.symlink(cluster.mountpoint, link)
    for root in (cluster.state, cluster.mountpoint, workdir, "/", link,
                 os.path.join(cluster.state, "master"),
                 os.path.join(cluster.mountpoint, "none")):
        assert "acached's" in refusal(cluster, "/x", root), root
    assert os.listdir(cluster.mountpoint) == []


def test_a_mountpoint_that_comes_later_is_not_entered(cluster, workdir):
    root = os.path.join(workdir, "root")
    inner = os.path.join(root, "mnt")
    os.makedirs(inner)
    with open(os.path.join(root, "f"), "w") as f:
        f.write("x")
    cluster.start("--ufs", "file://" + root)
    assert sorted(os.listdir(cluster.mountpoint)) == ["f", "mnt"]
    second = cluster.spawn("--role=fuse", "--master",
                           "unix:%s/master/sock" % cluster.state, "--state",
                           os.path.join(workdir, "state2"), inner)
    second.wait_ready()
    p = cluster.fs("ls", "-f", "/mnt", check=False)
    assert p.returncode == 1
    assert "acached's mountpoint " + inner in p.stderr


def test_links_are_shown_and_lead_where_they_lead(cluster, workdir):
    """A link is the kernel's to follow, so nothing outside is ever cached."""
    root = os.path.join(workdir, "root")
    outside = os.path.join(workdir, "outside")
    for d in (root, outside):
        os.makedirs(d)
        with open(os.path.join(d, "f"), "w") as f:
            f.write("in " + os.path.basename(d))
    os.symlink("f", os.path.join(root, "inside"))
    os.symlink(outside, os.path.join(root, "out"))
    os.symlink("/no/where", os.path.join(root, "dangling"))
    os.mkfifo(os.path.join(root, "pipe"))
    cluster.start("--ufs", "file://" + root)
    at = cluster.at
    assert sorted(os.listdir(at())) == ["dangling", "f", "inside", "out"]
    assert os.readlink(at("out")) == outside
    assert os.readlink(at("dangling")) == "/no/where"
    with open(at("inside")) as f:
        assert f.read() == "in root"
    with open(at("out", "f")) as f:
        assert f.read() == "in outside"
    p = cluster.fs("cat", "/out/f", check=False)
    assert p.returncode == 1 and "in outside" not in p.stdout
    assert not os.path.exists(at("pipe"))


@pytest.mark.slow
def test_a_file_rewritten_again_and_again_is_never_read_old(cluster, workdir):
    """All of one size: only the times tell the versions apart."""
    root = os.path.join(workdir, "root")
    os.makedirs(root)
    path = os.path.join(root, "f")
    with open(path, "wb") as f:
        f.write(b"%06d" % 0 * 1000)
    cluster.start("--ufs", "file://" + root)
    end = time.monotonic() + 6
    i = 0
    while time.monotonic() < end:
        i += 1
        with open(path, "r+b") as f:
            f.write(b"%06d" % i * 1000)
        cluster.fs("ls", "-f", "/")
        time.sleep(0.01)

        def new():
            try:
                with open(cluster.at("f"), "rb") as f:
                    data = f.read()
            except OSError as e:  # the kernel still knows the old version
                assert e.errno == errno.ESTALE
                return False
            assert len(set(data[k:k + 6] for k in range(0, 6000, 6))) == 1
            return data == b"%06d" % i * 1000
        acached.wait_for("version %d" % i, new, 5)
    assert i > 3


def test_a_file_just_written_can_be_loaded(cluster, workdir):
    """It is not cached in the first 2 s of its life; the job waits."""
    top = os.path.join(workdir, "source")
    names = data.make_tree(top, 3)
    cluster.start("--ufs", "file://" + top)
    data.fill(os.path.join(top, names[0]), 5000, 7)
    p = cluster.fs("load", "/", check=False)
    assert p.returncode == 0, p.stderr
    said = cluster.fs("explain", "/" + names[0]).stdout
    assert "5000 of 5000 bytes cached, complete" in said, said
    cluster.stop()


def test_what_was_loaded_is_seen_at_once(cluster, workdir):
    top = os.path.join(workdir, "source")
    names = data.make_tree(top, 3)
    cluster.start("--ufs", "file://" + top)
    for i in range(2):
        data.fill(os.path.join(top, names[0]), 5000 + i, 7)
        cluster.fs("loadMetadata", "-R", "/")
        cluster.fs("load", "/")
        said = cluster.fs("du", "/").stdout
        assert "(100%)" in said, said
    cluster.stop()
