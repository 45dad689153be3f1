"""Large directories, full disks, hostile neighbours, and what can be seen of it
from outside."""

import os
import re
import socket
import subprocess
import threading
import time
import urllib.request

import pytest

import acached
import data
from rgw import free_ports

MIB = 1 << 20


def memory(pid, field):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return 0


@pytest.mark.slow
def test_a_directory_of_100000_files(cluster, workdir):
    top = os.path.join(workdir, "many")
    os.makedirs(os.path.join(top, "d"))
    os.makedirs(os.path.join(top, "small"))
    data.fill(os.path.join(top, "small", "file"), 1000, 1)
    for n in range(100000):
        os.close(os.open(os.path.join(top, "d", "%06d.jpg" % n),
                         os.O_CREAT | os.O_WRONLY, 0o644))
    cluster.start()
    cluster.fs("mount", "/m", "file://" + top)
    os.listdir(cluster.at("m"))
    master = cluster.child("master")
    slowest = [0]
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            started = time.monotonic()
            cluster.fs("stat", "/m/small/file")
            slowest[0] = max(slowest[0], time.monotonic() - started)
    other = threading.Thread(target=ask)
    other.start()
    try:
        names = os.listdir(cluster.at("m/d"))
    finally:
        stop.set()
        other.join()
    assert sorted(names) == ["%06d.jpg" % n for n in range(100000)]
    assert slowest[0] < 1, "a stat took %.1f s meanwhile" % slowest[0]
    peak, now = memory(master, "VmHWM"), memory(master, "VmRSS")
    assert peak <= now + 32 * MIB, (peak // MIB, now // MIB)
    assert cluster.child("master") == master


@pytest.mark.slow
def test_the_master_dies_in_mid_listing(cluster, workdir):
    top = os.path.join(workdir, "many")
    os.makedirs(top)
    for n in range(30000):
        os.close(os.open(os.path.join(top, "%05d" % n), os.O_CREAT, 0o644))
    cluster.start()
    cluster.fs("mount", "/m", "file://" + top)
    got = []
    lister = threading.Thread(
        target=lambda: got.append(sorted(os.listdir(cluster.at("m")))))
    lister.start()
    for _ in range(3):
        cluster.wait_restarted("master", cluster.kill("master"))
    lister.join(60)
    want = ["%05d" % n for n in range(30000)]
    assert got and got[0] == want
    assert sorted(os.listdir(cluster.at("m"))) == want


def test_a_full_disk_is_put_out_of_service(cluster, bucket, workdir):
    top = os.path.join(workdir, "source")
    names = data.make_tree(top, 40, sizes=(MIB, MIB + 1, 300000))
    bucket.upload(top, names)
    disk = os.path.join(workdir, "disk")
    os.makedirs(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", disk],
                   check=True)
    cluster.start("--set", "worker.dirs=%s=1G" % disk)
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    acached.read_all(cluster.at("s3"), top)
    acached.read_all(cluster.at("s3"), top, "--shuffle", 1)
    said = [line for line in cluster.log_text().splitlines()
            if disk in line and re.search(r"level=(warn|error)", line)]
    assert said, "nothing was logged about %s" % disk
    assert len(said) < 10, "%d lines about one disk" % len(said)
    cluster.stop()


@pytest.mark.parametrize("what", [
    b"\0" * 64, b"\xff" * 64, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x00\x00\x00\x10\x7f\xff\xff\xff" + b"\xdd\x10\x00\x00\x00" * 10,
    b"\x00", os.urandom(100000)], ids=["zeros", "ones", "http", "counts",
                                       "short", "noise"])
def test_noise_on_a_port_harms_nobody(cluster, tree, what):
    top, _ = tree
    cluster.start("--ufs", "file://" + top)
    ports = listening(cluster)
    assert ports
    for port in ports:
        s = socket.create_connection(("127.0.0.1", port), 5)
        s.settimeout(15)
        try:
            s.sendall(what)
            s.shutdown(socket.SHUT_WR)
            while s.recv(65536):
                pass
        except OSError as e:  # cut off: well done
            assert not isinstance(e, TimeoutError), "port %d" % port
        s.close()
    pids = cluster.pids()
    acached.read_all(cluster.mountpoint, top, "--listing")
    assert cluster.pids() == pids


def listening(cluster):
    """The TCP ports that the cluster's processes listen on."""
    inodes = set()
    for pid in cluster.pids():
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                inodes.update(re.findall(r"socket:\[(\d+)\]", os.readlink(
                    "/proc/%d/fd/%s" % (pid, fd))))
            except FileNotFoundError:
                pass
    ports = []
    with open("/proc/net/tcp") as f:
        for line in f.read().splitlines()[1:]:
            w = line.split()
            if w[3] == "0A" and w[9] in inodes:
                ports.append(int(w[1].split(":")[1], 16))
    return ports


def test_without_the_key_nobody_gets_in(cluster, tree, workdir):
    cluster.start("--ufs", "file://" + tree[0])
    wrong = os.path.join(workdir, "wrong.key")
    subprocess.run(["openssl", "rand", "-hex", "-out", wrong, "32"],
                   check=True)
    os.chmod(wrong, 0o600)
    tcp = [p for p in listening(cluster)]
    for port in tcp:
        p = cluster.run("fs", "ls", "--master", "127.0.0.1:%d" % port, "/",
                        env=cluster.env(ACACHED_CLUSTER_KEY_FILE=wrong),
                        check=False)
        assert p.returncode == 1 and "class0" not in p.stdout
        assert p.stderr.strip()


def test_every_role_shows_its_metrics(clusters, tree):
    c = clusters("m")
    ports = dict(zip(("master", "worker", "fuse"), free_ports(3)))
    sets = []
    for role, port in ports.items():
        sets += ["--set", "%s.http=127.0.0.1:%d" % (role, port)]
    c.start("--ufs", "file://" + tree[0], *sets)
    acached.read_all(c.mountpoint, tree[0])
    for role, port in ports.items():
        base = "http://127.0.0.1:%d" % port
        with urllib.request.urlopen(base + "/healthz", timeout=10) as r:
            assert r.status == 200
        with urllib.request.urlopen(base + "/metrics", timeout=10) as r:
            lines = r.read().decode().splitlines()
        values = [ln for ln in lines if not ln.startswith("#")]
        assert values and all(re.match(
            r'[a-z_:][a-zA-Z0-9_:]*(\{[^}]*\})? [-+0-9.eEInfNa]+$', v)
            for v in values), values[:5]
        assert any(ln.startswith("# TYPE") for ln in lines)
        assert any(float(v.rpartition(" ")[2]) > 0 for v in values), role
        assert role != "master" or "acached_workers 1" in values


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_prefix_of_100000_objects(cluster, bucket):
    from rgw import upload
    keys = ["p/%06d" % n for n in range(100000)]
    upload(bucket.s3, bucket.name, [(k, b"") for k in keys], 16)
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    master = cluster.child("master")
    names = os.listdir(cluster.at("s3/p"))
    assert sorted(names) == [k[2:] for k in keys]
    peak, now = memory(master, "VmHWM"), memory(master, "VmRSS")
    assert peak <= now + 32 * MIB, (peak // MIB, now // MIB)
