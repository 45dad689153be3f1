"""How acached is started, found and ended."""

import json
import os
import re
import signal
import stat
import subprocess

import pytest

import acached
import data


TOP = acached.TOP


def test_the_embedded_default_is_one_line(cluster, bucket, tree):
    top, names = tree
    bucket.upload(top, names)
    cluster.start("--ufs", bucket.uri,
                  *acached.s3_options(bucket.proxy.endpoint))
    acached.read_all(cluster.mountpoint, top, "--listing")
    cluster.stop()


def test_ufs_at_the_root_is_kept_and_another_refused(cluster, workdir, tree):
    top, _ = tree
    other = os.path.join(workdir, "other")
    data.make_tree(other, 3)
    cluster.start("--ufs", "file://" + top)
    acached.read_all(cluster.mountpoint, top)
    cluster.stop()
    cluster.start("--ufs", "file://" + top)
    acached.read_all(cluster.mountpoint, top)
    cluster.stop()
    s = cluster.spawn("--role=master,worker,fuse", "--state", cluster.state,
                      "--ufs", "file://" + other, cluster.mountpoint)
    assert s.process.wait(30) == 1
    assert "file://" + top in s.tail()


def test_ready_is_one_line_with_addresses(cluster):
    cluster.start()
    line = cluster.started[0].line
    assert re.match(r"ready( [\w.-]+=\S+)+$", line), line
    with open(cluster.started[0].log + ".stdout") as f:
        assert f.read() == line + "\n"


def test_background_returns_when_it_serves(cluster, tree):
    top, _ = tree
    cluster.run("--role=master,worker,fuse", "--state", cluster.state, "--ufs",
                "file://" + top, "--background", cluster.mountpoint)
    acached.read_all(cluster.mountpoint, top)
    with open(os.path.join(cluster.state, "acached.pid")) as f:
        pid = int(f.read())
    assert pid in cluster.pids()
    assert os.listdir(os.path.join(cluster.state, "log"))
    os.kill(pid, signal.SIGTERM)
    acached.wait_for("the end", lambda: not cluster.pids(), 20)
    assert not acached.mounts_below(cluster.dir)


def test_background_tells_why_it_failed(cluster, workdir):
    p = cluster.run("--role=master,worker,fuse", "--state", cluster.state,
                    "--background", os.path.join(workdir, "no/such/place"),
                    check=False)
    assert p.returncode == 1
    assert "no/such/place" in p.stderr
    assert not cluster.pids()


def test_a_state_directory_in_use_is_refused_with_the_pid(clusters):
    a, b = clusters("a"), clusters("b")
    a.start()
    s = b.spawn("--role=master,worker,fuse", "--state", a.state, b.mountpoint)
    assert s.process.wait(30) == 1
    assert any(str(p) in s.tail() for p in a.pids()), s.tail()
    assert not acached.mounts_below(b.dir)


def test_clusters_side_by_side(clusters, workdir):
    both = []
    for n in (1, 2, 3):
        top = os.path.join(workdir, "source%d" % n)
        data.make_tree(top, 20, seed=n)
        c = clusters("c%d" % n).start("--ufs", "file://" + top)
        both.append((c, top))
    for c, top in both:
        acached.read_all(c.mountpoint, top, "--listing")
        assert "class0" in c.fs("ls", "/").stdout
    for c, _ in both:
        c.stop()


def test_long_state_directories_work(clusters, workdir, tree):
    c = clusters("d" * 120)
    assert len(c.state) > 107
    c.start("--ufs", "file://" + tree[0])
    acached.read_all(c.mountpoint, tree[0])
    assert c.fs("ls", "/").stdout
    c.stop()


def test_only_loopback_is_listened_on(cluster):
    cluster.start()
    out = ""
    for pid in cluster.pids():
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                out += os.readlink("/proc/%d/fd/%s" % (pid, fd)) + "\n"
            except FileNotFoundError:
                pass
    inodes = set(re.findall(r"socket:\[(\d+)\]", out))
    for table in ("tcp", "tcp6"):
        with open("/proc/net/" + table) as f:
            for line in f.read().splitlines()[1:]:
                w = line.split()
                if w[3] == "0A" and w[9] in inodes:
                    assert w[1].startswith("0100007F:"), line
    key = os.stat(os.path.join(cluster.state, "cluster.key"))
    assert stat.S_IMODE(key.st_mode) == 0o600


def test_an_address_beyond_loopback_needs_a_key_file(cluster):
    s = cluster.spawn("--role=master,worker", "--state", cluster.state, "--set",
                      "master.listen=0.0.0.0:0")
    assert s.process.wait(30) != 0
    assert "cluster.key-file" in s.tail()


@pytest.mark.parametrize("tool", [["umount"], ["fusermount3", "-u"]],
                         ids=lambda t: t[0])
def test_unmounting_ends_it_cleanly(cluster, tree, tool):
    m = cluster.spawn("--role=master,worker", "--state", cluster.state, "--ufs",
                      "file://" + tree[0])
    m.wait_ready()
    s = cluster.spawn("--role=fuse", "--state", cluster.state,
                      cluster.mountpoint)
    s.wait_ready()
    acached.read_all(cluster.mountpoint, tree[0])
    subprocess.run(tool + [cluster.mountpoint], check=True, timeout=20)
    assert s.process.wait(20) == 0
    cluster.started = [m]
    cluster.stop()


def test_a_subtree_can_be_mounted(cluster, tree):
    top, names = tree
    m = cluster.spawn("--role=master,worker", "--state", cluster.state, "--ufs",
                      "file://" + top)
    m.wait_ready()
    s = cluster.spawn("--role=fuse", "--state", cluster.state,
                      cluster.mountpoint, "/class2")
    s.wait_ready()
    acached.read_all(cluster.mountpoint, os.path.join(top, "class2"),
                     "--listing")
    cluster.stop()


def test_mount_t_fuse_acached(cluster, tree, workdir):
    """In a mount namespace of its own, where the helper is installed."""
    top, _ = tree
    m = cluster.spawn("--role=master,worker", "--state", cluster.state, "--ufs",
                      "file://" + top)
    address = m.wait_ready()["master"]
    build = os.path.dirname(os.path.abspath(cluster.program))
    stage = os.path.join(workdir, "stage")
    subprocess.run(["make", "-s", "-C", build, "install", "DESTDIR=" + stage],
                   check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=120)
    helper = subprocess.run(["find", stage, "-name", "mount.fuse.acached"],
                            capture_output=True, text=True, check=True)
    found = helper.stdout.split()
    assert found, "make install has no mount.fuse.acached"
    upper = os.path.join(workdir, "upper")
    os.makedirs(upper)
    subprocess.run(["cp", found[0], upper + "/mount.fuse.acached"], check=True)
    subprocess.run(["ln", "-s", cluster.program, upper + "/acached"],
                   check=True)
    script = """set -e
mount -t overlay overlay -o lowerdir=%s:/usr/sbin /usr/sbin
mount -t fuse.acached '%s:/class1' '%s' -o ro
ls -1 '%s'
umount '%s'
""" % (upper, address, cluster.mountpoint, cluster.mountpoint,
       cluster.mountpoint)
    key = os.path.join(cluster.state, "cluster.key")
    p = subprocess.run(["unshare", "-m", "sh", "-c", script], text=True,
                       env=cluster.env(ACACHED_CLUSTER_KEY_FILE=key),
                       capture_output=True, timeout=60)
    assert p.returncode == 0, p.stderr
    assert sorted(p.stdout.split("\n")[:-1]) == sorted(os.listdir(
        os.path.join(top, "class1")))
    cluster.stop()


def test_commands_find_their_cluster(clusters, tree):
    a, b = clusters("a"), clusters("b")
    a.start("--ufs", "file://" + tree[0])
    b.start()
    env = a.env(ACACHED_MASTER=a.ready["master"],
                ACACHED_CLUSTER_KEY_FILE=os.path.join(a.state, "cluster.key"))
    assert "class0" in a.run("fs", "ls", "/", env=env).stdout
    assert "class0" in a.run("fs", "ls", "--state", b.state, "/",
                             env=env).stdout
    assert "class0" not in a.run("fs", "ls", "--master", "unix:" + b.state +
                                 "/master/sock", "/", env=env).stdout
    assert "class0" in a.run("fs", "ls", "--state", a.state, "/").stdout
    assert "class0" not in a.run("fs", "ls", "--state", b.state, "/").stdout
    name = tree[1][1]
    where = a.run("fs", "stat", a.at(name)).stdout
    assert os.path.basename(name) in where
    relative = a.run("fs", "stat", "./" + os.path.basename(name),
                     cwd=os.path.dirname(a.at(name))).stdout
    assert relative == where
    assert a.run("fs", "ls", "--state", a.state, "acached:/").stdout == \
        a.run("fs", "ls", "--state", a.state, "/").stdout


def test_a_busy_or_foreign_mountpoint_is_refused(clusters, workdir, tree):
    a, b = clusters("a"), clusters("b")
    subprocess.run(["mount", "-t", "tmpfs", "none", a.mountpoint], check=True)
    s = a.spawn("--role=master,worker,fuse", "--state", a.state, a.mountpoint)
    assert s.process.wait(30) == 1
    assert a.mountpoint in s.tail()
    a.started.remove(s)
    subprocess.run(["umount", a.mountpoint], check=True)
    a.started = []
    a.start()
    s = b.spawn("--role=master,worker,fuse", "--state", b.state, a.mountpoint)
    assert s.process.wait(30) == 1
    assert os.listdir(a.mountpoint) == []
    a.stop()


def test_exit_codes(cluster, tree):
    cluster.start("--ufs", "file://" + tree[0])
    name = "/" + tree[1][1]
    assert cluster.fs("stat", name).returncode == 0
    assert cluster.fs("stat", "/none", check=False).returncode == 1
    assert cluster.run("fs", "stat", check=False).returncode == 2
    assert cluster.run("fs", "nonsense", check=False).returncode == 2
    assert cluster.fs("ls", "/class0", "/none", check=False).returncode == 3


def test_every_command_speaks_json(served):
    c = served.cluster
    name = "/s3/" + served.names[9]
    served.read_all()
    for words in (["mount"], ["ls", "/s3"], ["ls", "-R", "/s3"],
                  ["ls", "-f", "/s3/class0"], ["stat", name], ["du", "/s3"],
                  ["loadMetadata", "-R", "/s3"], ["load", "/s3/class0"],
                  ["distributedLoad", "/s3/class1"], ["location", name],
                  ["explain", name], ["free", name], ["leader"],
                  ["stat", "/none"], ["unmount", "/s3"], ["help"],
                  ["stat"], ["ls", "--nonsense"]):
        p = c.fs(words[0], "--json", *words[1:], check=False)
        assert p.returncode in (0, 1, 2), (words, p.stderr)
        json.loads(p.stdout)
    for words in (["help"], ["report"], ["config"], ["doctor"], ["journal", "dump"]):
        p = c.run("admin", *words, "--json", "--state", c.state, check=False)
        assert p.returncode in (0, 1, 3), (words, p.stderr)
        json.loads(p.stdout)


def test_a_failure_names_the_path_and_is_json_if_asked_for(cluster, tree):
    cluster.start("--ufs", "file://" + tree[0])
    for words in (["stat"], ["ls"], ["cat"], ["du"], ["explain"], ["location"],
                  ["load"], ["loadMetadata"], ["free"], ["unmount"]):
        p = cluster.fs(words[0], "/class0/none", check=False)
        assert p.returncode == 1, (words, p.stdout)
        assert p.stderr.startswith("acached fs %s: " % words[0])
        assert "/class0/none" in p.stderr, (words, p.stderr)
        if words[0] != "cat":
            p = cluster.fs(words[0], "--json", "/class0/none", check=False)
            json.loads(p.stdout)
    p = cluster.fs("stat", "--json", "/class0/none", check=False)
    assert "No such file" in json.loads(p.stdout)["error"]


def test_sigterm_with_open_files_ends_in_time(served):
    fd = os.open(os.path.join(served.data, served.names[9]), os.O_RDONLY)
    try:
        os.read(fd, 10)
        served.cluster.stop()
    finally:
        os.close(fd)
