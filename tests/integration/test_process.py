"""Supervision, signals, logs, mounting by mount(8): what runs a process."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import acached

ROLES = ("master", "worker", "fuse")


@pytest.fixture
def running(cluster, tree):
    top, names = tree
    cluster.start("--ufs", "file://" + top)
    cluster.top, cluster.names = top, names
    return cluster


def supervisor(cluster):
    return cluster.started[0].pid


@pytest.mark.parametrize("role", ROLES)
def test_a_killed_child_is_back_within_a_second(running, role):
    old = running.kill(role)
    begin = time.monotonic()
    running.wait_restarted(role, old, 1)
    acached.read_all(running.mountpoint, running.top)
    assert time.monotonic() - begin < 15
    running.stop()


def test_a_child_may_be_killed_often(running):
    for _ in range(12):
        old = running.kill("fuse")
        running.wait_restarted("fuse", old, 5)
        assert os.listdir(running.mountpoint)
    running.stop()


def test_children_end_with_their_supervisor(running):
    pids = running.pids()
    os.kill(supervisor(running), signal.SIGKILL)
    acached.wait_for("the children are gone",
                     lambda: not any(acached.alive(p) for p in pids), 5)
    running.started = []
    assert acached.is_mounted(running.mountpoint)
    running.start()
    acached.read_all(running.mountpoint, running.top)
    running.stop()


def test_sigint_ends_it_too(running):
    s = running.started[0]
    os.kill(s.pid, signal.SIGINT)
    assert s.process.wait(20) == 0
    assert not acached.is_mounted(running.mountpoint)


def test_a_cut_connection_ends_the_mountpoint(running, workdir):
    minor = acached.mounts_below(running.mountpoint)[0][1]
    control = os.path.join(workdir, "control")
    os.mkdir(control)
    if subprocess.run(["mount", "-t", "fusectl", "none", control]).returncode:
        pytest.skip("the kernel has no fusectl")
    try:
        with open(os.path.join(control, str(minor), "abort"), "w") as f:
            f.write("1")
    finally:
        subprocess.run(["umount", control], check=True)
    acached.wait_for("it is unmounted",
                     lambda: not acached.is_mounted(running.mountpoint), 10)
    assert running.started[0].process.poll() is None
    running.stop()


def test_after_umount_the_other_roles_serve_on(running):
    subprocess.run(["umount", running.mountpoint], check=True, timeout=20)
    acached.wait_for("the fuse child has ended", lambda: len(
        running.pids()) == 3, 10)
    assert running.fs("ls", "/").stdout
    running.stop()


def test_a_failing_role_says_why(cluster):
    cluster.start(mountpoint=False)
    cluster.stop()
    key = os.path.join(cluster.state, "cluster.key")
    with open(key, "w") as f:
        f.write("nonsense\n")
    s = cluster.spawn("--role=master,worker", "--state", cluster.state)
    assert s.process.wait(30) == 1
    assert "cluster.key" in s.tail()


def test_background_of_one_role(cluster):
    p = cluster.run("--role=master", "--state", cluster.state, "--background")
    assert p.stdout.startswith("ready master=")
    with open(os.path.join(cluster.state, "acached.pid")) as f:
        pid = int(f.read())
    p = cluster.run("--role=master", "--state", cluster.state, "--background",
                    check=False)
    assert p.returncode == 1
    assert "in use by process %d" % pid in p.stderr
    with open(os.path.join(cluster.state, "log/master.log")) as f:
        assert "level=" in f.read()
    os.kill(pid, signal.SIGTERM)
    acached.wait_for("the end", lambda: not cluster.pids(), 20)
    assert not os.path.exists(os.path.join(cluster.state, "acached.pid"))


def test_logs_as_json(cluster):
    cluster.start("--set", "log.format=json", "--set", "log.level=debug")
    cluster.stop()
    with open(os.path.join(cluster.dir, "acached.1.log")) as f:
        lines = [json.loads(line) for line in f]
    assert {line.get("role") for line in lines} >= set(ROLES)
    assert all(line["event"] and line["module"] for line in lines)


def test_addresses_lie_in_the_folders_of_roles(cluster):
    cluster.start()
    for role in ("master", "worker"):
        with open(os.path.join(cluster.state, role, "address")) as f:
            lines = f.read().split("\n")
        assert "%s=unix:%s/%s/sock" % (role, cluster.state, role) in lines
        assert any(re.match(role + r"=127\.0\.0\.1:\d+$", a) for a in lines)
    cluster.stop()


def test_systemd_is_told(cluster, workdir):
    at = os.path.join(workdir, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(at)
        s.settimeout(10)
        started = cluster.spawn("--role=master,worker", "--state",
                                cluster.state,
                                env=cluster.env(NOTIFY_SOCKET=at))
        started.wait_ready()
        assert s.recv(100) == b"READY=1"
        started.process.terminate()
        assert s.recv(100) == b"STOPPING=1"
        assert started.process.wait(20) == 0


def test_a_line_of_fstab(running, workdir):
    """By the helper itself, as mount(8) calls it for none:/PATH."""
    helper = os.path.join(os.path.dirname(os.path.abspath(running.program)),
                          "contrib/mount.fuse.acached")
    where = os.path.join(workdir, "by fstab")
    state = os.path.join(workdir, "state of fstab")
    os.mkdir(where)
    env = running.env(ACACHED_MASTER=running.ready["master"],
                      PATH=os.path.dirname(running.program) + ":" +
                      os.environ["PATH"])
    key = os.path.join(running.state, "cluster.key")
    options = "rw,_netdev,nofail,x-systemd.automount,noexec,state=" + state + \
        ",cluster.key-file=" + key
    subprocess.run(["sh", helper, "none:/class1", where, "-o", options],
                   check=True, env=env, timeout=30)
    acached.read_all(where, os.path.join(running.top, "class1"))
    with open("/proc/self/mountinfo") as f:
        line = [m for m in f if "by\\040fstab" in m][0]
    assert " ro," in line and "noexec" in line and "fuse.acached" in line
    subprocess.run(["umount", where], check=True, timeout=20)
    acached.wait_for("its process has ended", lambda: not os.path.exists(
        os.path.join(state, "acached.pid")), 20)
    p = subprocess.run(["sh", helper, "nonsense", where], env=env,
                       capture_output=True, text=True, timeout=30)
    assert p.returncode == 1 and "nonsense" in p.stderr
    running.stop()


def test_without_root(clusters, workdir, tree):
    """As a user with fusermount3, in a mount namespace with a /dev/fuse that
    everybody may open, as udev makes it."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("needs root, to be somebody else")
    top, _ = tree
    home = os.path.join(workdir, "home")
    os.makedirs(os.path.join(home, "mnt"))
    program = os.path.join(home, "acached")
    shutil.copy(clusters("x").program, program)
    subprocess.run(["chown", "-R", "nobody", home], check=True)
    for d in (workdir, home, top):
        os.chmod(d, 0o755)
    script = """set -e
mknod -m 666 '%(home)s/fuse' c 10 229
mount --bind '%(home)s/fuse' /dev/fuse
exec setpriv --reuid nobody --regid nogroup --clear-groups sh -e -c '
cd "%(home)s"
export XDG_STATE_HOME="%(home)s/state"
./acached --role=master,worker,fuse --ufs "file://%(top)s" --background mnt
diff -r "%(top)s" mnt >&2
./acached fs ls /
pid=$(cat state/acached/acached.pid)
kill "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
ls mnt
'
""" % {"home": home, "top": top}
    p = subprocess.run(["unshare", "-m", "sh", "-c", script], text=True,
                       env=clusters("x").env(), capture_output=True,
                       timeout=60)
    assert p.returncode == 0, p.stderr
    assert "class1" in p.stdout


def test_a_key_file_of_ones_own(cluster, bucket, tree, workdir):
    """Also for the secrets of --ufs, which are sealed with it."""
    top, names = tree
    key = os.path.join(workdir, "own.key")
    with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "w") as f:
        f.write(os.urandom(32).hex() + "\n")
    bucket.upload(top, names)
    cluster.start("--set", "cluster.key-file=" + key, "--ufs", bucket.uri,
                  *acached.s3_options(bucket.proxy.endpoint))
    acached.read_all(cluster.mountpoint, top)
    assert not os.path.exists(os.path.join(cluster.state, "cluster.key"))
    cluster.fs("mount", "/more", bucket.uri,
               *acached.s3_options(bucket.proxy.endpoint),
               env=cluster.env(ACACHED_CLUSTER_KEY_FILE=key))
    assert os.listdir(cluster.at("more"))
    cluster.stop()


def test_ufs_is_mounted_in_ones_own_cluster(clusters, tree):
    """Whatever ACACHED_MASTER says of another."""
    a, b = clusters("a"), clusters("b")
    a.start()
    env = b.env(ACACHED_MASTER=a.ready["master"])
    s = b.spawn("--role=master,worker,fuse", "--state", b.state, "--ufs",
                "file://" + tree[0], b.mountpoint, env=env)
    s.wait_ready()
    acached.read_all(b.mountpoint, tree[0])
    assert os.listdir(a.mountpoint) == []
    b.stop()
    a.stop()


def test_bash_completion_asks_the_program(cluster):
    script = """. /usr/share/bash-completion/bash_completion
. "$1"
COMP_LINE=$2 COMP_WORDS=($2) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_POINT=${#COMP_LINE} COMP_TYPE=9 COMP_KEY=9
_acached
printf '%s\\n' "${COMPREPLY[@]}"
"""
    file = os.path.join(acached.TOP, "contrib/bash-completion/acached")
    if not os.path.exists("/usr/share/bash-completion/bash_completion"):
        pytest.skip("bash-completion is not installed")

    def complete(line):
        return subprocess.run(
            ["bash", "-c", script, "bash", file, line], text=True,
            env=cluster.env(), capture_output=True, timeout=20,
            check=True).stdout.split()
    assert complete(cluster.program + " fs lo") == ["load", "loadMetadata",
                                                    "location"]
    assert complete(cluster.program + " --ba") == ["--background"]
    assert "worker.capacity=" in complete(cluster.program + " --set worker.")
