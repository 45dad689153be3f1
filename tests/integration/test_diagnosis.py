"""`admin doctor` and `fs explain` are right about what somebody broke: a fault
each, and the words that must name it."""

import contextlib
import json
import os
import socket
import subprocess
import time

import pytest

import acached
import data
from rgw import free_ports

MIB = 1 << 20


# ---- doctor ----

class Doctor:
    """A cluster of a master and a worker, and what the doctor says of it."""

    def __init__(self, cluster, workdir):
        self.cluster = cluster
        self.workdir = workdir
        self.state = cluster.state

    def path(self, name):
        return os.path.join(self.workdir, name)

    def ask(self, *words, before=(), settings=None):
        p = subprocess.run(
            [*before, self.cluster.program, "admin", "doctor", "--json",
             *(words or ("--state", self.state))],
            capture_output=True, text=True, timeout=120,
            env=self.cluster.env(**(settings or {})))
        found = {c["check"]: c for c in json.loads(p.stdout)}
        bad = any(c["level"] == "problem" for c in found.values())
        assert p.returncode == int(bad), (p.returncode, found)
        return found


@pytest.fixture
def doctor(cluster, workdir, tree):
    cluster.start("--ufs", "file://" + tree[0], mountpoint=False,
                  separate=True)
    d = Doctor(cluster, workdir)
    acached.wait_for("a healthy cluster", lambda: d.ask()["cluster"][
        "level"] == "ok")
    return d


def a_port_of_another(d):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        taken = "127.0.0.1:%d" % s.getsockname()[1]
        yield d.ask(settings={"ACACHED_WORKER_HTTP": taken}), taken


def an_address_of_another_machine(d):
    yield d.ask(settings={
        "ACACHED_WORKER_HTTP": "192.0.2.1:7000",
        "ACACHED_CLUSTER_KEY_FILE": os.path.join(d.state, "cluster.key"),
    }), "192.0.2.1"


def a_port_for_all_without_a_key(d):
    yield d.ask(settings={"ACACHED_WORKER_HTTP": "0.0.0.0:7000"}), \
        "cluster.key-file"


def a_key_that_does_not_exist(d):
    path = d.path("bad.conf")
    with open(path, "w") as f:
        f.write("[worker]\ncapacity = 10G\n\nworker.capacitee = 10G\n")
    yield d.ask("--state", d.state, "--config", path), path


def a_key_file_that_all_can_read(d):
    path = os.path.join(d.state, "cluster.key")
    os.chmod(path, 0o644)
    yield d.ask(), path


def a_key_of_another_cluster(d):
    """Over TCP, as from another machine."""
    key = d.path("other.key")
    with open(key, "w") as f:
        f.write("ab" * 32 + "\n")
    os.chmod(key, 0o600)
    address = next(a for a in d.cluster.ready["master"].split(",")
                   if not a.startswith("unix:"))
    yield d.ask("--master", address, settings={
        "ACACHED_CLUSTER_KEY_FILE": key}), "key"


@contextlib.contextmanager
def small_disk(d, name, *options):
    path = d.path(name)
    os.mkdir(path)
    subprocess.run(["mount", "-t", "tmpfs", "-o", ",".join(
        ("size=64m",) + options), "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def a_state_directory_that_cannot_be_written(d):
    with small_disk(d, "ro", "ro") as path:
        yield d.ask("--state", path), path


def a_state_directory_in_memory(d):
    with small_disk(d, "ram") as path:
        yield d.ask("--state", path), path


def a_cache_larger_than_its_disk(d):
    with small_disk(d, "small") as path:
        yield d.ask(settings={
            "ACACHED_WORKER_DIRS": "%s/a=40M, %s/b=40M" % (path, path)}), path


def a_cache_directory_that_is_a_file(d):
    path = d.path("file")
    with open(path, "w"):
        pass
    yield d.ask(settings={"ACACHED_WORKER_DIRS": path + "=1G"}), path


def few_descriptors(d):
    yield d.ask(before=["sh", "-c", 'ulimit -n 1024; exec "$@"', "sh"]), "1024"


def no_fuse(d):
    yield d.ask(before=["unshare", "-m", "sh", "-c",
                        'mount --bind /dev/null /dev/fuse; exec "$@"',
                        "sh"]), "/dev/fuse"


def a_dead_mountpoint(d):
    c = acached.Cluster(d.path("dead"), d.cluster.program)
    try:
        c.start()
        c.kill_tree()
        acached.wait_for("a dead mountpoint",
                         lambda: not os.access(c.mountpoint, os.F_OK))
        yield d.ask(), c.mountpoint
    finally:
        c.destroy()


def no_worker(d):
    d.cluster.started[1].process.kill()
    acached.wait_for("the loss of the worker", lambda: d.ask()["cluster"][
        "level"] != "ok", 120, 0.5)
    yield d.ask(), "no worker is alive"


def a_worker_that_other_hosts_cannot_reach(d):
    there = d.path("there")
    with open(there, "w") as f:
        f.write("#!/bin/sh\nexec unshare -u sh -c 'hostname elsewhere; "
                "exec \"$@\"' sh %s \"$@\"\n" % d.cluster.program)
    os.chmod(there, 0o755)
    c = acached.Cluster(d.path("second"), there)
    try:
        c.spawn("--role=worker", "--master", d.cluster.ready["master"],
                "--state", c.state, "--set", "cluster.key-file=" +
                os.path.join(d.state, "cluster.key")).wait_ready()
        yield d.ask(), "loopback only"
    finally:
        c.destroy()


def no_cluster(d):
    address = "127.0.0.1:%d" % free_ports(1)[0]
    yield d.ask("--master", address, settings={
        "ACACHED_CLUSTER_KEY_FILE": os.path.join(d.state, "cluster.key"),
    }), address


def storage_that_is_gone(d):
    path = d.path("gone")
    os.mkdir(path)
    d.cluster.fs("mount", "/gone", "file://" + path)
    os.rmdir(path)
    yield d.ask(), "/gone"


MISTAKES = [
    (a_port_of_another, "ports"),
    (an_address_of_another_machine, "ports"),
    (a_port_for_all_without_a_key, "config"),
    (a_key_that_does_not_exist, "config"),
    (a_key_file_that_all_can_read, "key"),
    (a_key_of_another_cluster, "cluster"),
    (a_state_directory_that_cannot_be_written, "state"),
    (a_state_directory_in_memory, "state"),
    (a_cache_larger_than_its_disk, "cache"),
    (a_cache_directory_that_is_a_file, "cache"),
    (few_descriptors, "descriptors"),
    (no_fuse, "fuse"),
    (a_dead_mountpoint, "mountpoints"),
    (no_worker, "cluster"),
    (a_worker_that_other_hosts_cannot_reach, "cluster"),
    (no_cluster, "cluster"),
    (storage_that_is_gone, "storage"),
]


def test_the_doctor_finds_nothing_where_nothing_is_wrong(doctor):
    # What this machine is, is not the cluster's doing.
    host = ("kernel", "descriptors", "clock", "memory", "state")
    found = doctor.ask()
    assert len(found) == 14
    assert not [c for c in found.values() if c["check"] not in host and
                c["level"] != "ok"], found


def test_a_port_of_its_own_is_no_mistake(cluster):
    own = "127.0.0.1:%d" % free_ports(1)[0]
    cluster.start("--set", "master.http=" + own, mountpoint=False)
    d = Doctor(cluster, cluster.dir)
    assert d.ask(settings={"ACACHED_MASTER_HTTP": own})["ports"]["level"] == \
        "ok"


@pytest.mark.parametrize("mistake, check", MISTAKES,
                         ids=[m[0].__name__ for m in MISTAKES])
def test_the_doctor_names(doctor, mistake, check):
    healthy = doctor.ask()
    assert healthy[check]["level"] == "ok" or check == "descriptors"
    for found, word in mistake(doctor):
        said = found[check]
        assert said["level"] != "ok" and said["mend"], said
        assert word in said["found"], said


def test_the_doctor_names_keys_that_storage_refuses(serve):
    served = serve(mountpoint=False)
    d = Doctor(served.cluster, served.cluster.dir)
    assert d.ask()["storage"]["level"] == "ok"
    served.proxy.inject({"fault": "status", "status": 403, "kind": "list"})
    said = d.ask()["storage"]
    assert said["level"] == "problem" and "/s3" in said["found"], said


# ---- explain ----

class Patient:
    """A file below a mountpoint, and what explain says of it."""

    def __init__(self, cluster, mount, top, name):
        self.cluster = cluster
        self.name = name
        self.source = os.path.join(top, name)
        self.there = mount + "/" + name
        self.path = cluster.at(self.there.lstrip("/"))

    def read(self, size=1 << 30):
        with open(self.path, "rb", buffering=0) as f:
            return f.read(size)

    def explain(self):
        return self.cluster.fs_json("explain", self.there)

    def home(self):
        return next(w for w in self.explain()["workers"] if w["home"])

    def wait_cached(self):
        """Until the master knows of it too."""
        self.read()
        acached.wait_for(self.name + " is cached", lambda: self.cluster.
                         fs_json("stat", self.there)["cached"] == "all")

    def next_open(self):
        """What explain says of one more open; printed, the same."""
        self.read()
        word = self.home()["last_open"]
        text = self.cluster.fs("explain", self.there).stdout
        assert ": " + word + "\n" in text
        return word


@pytest.fixture
def patient(served):
    name = next(n for n in served.names if " " not in n and os.path.getsize(
        os.path.join(served.top, n)) > 4000)
    p = Patient(served.cluster, "/s3", served.top, name)
    p.served = served
    return p


def test_explain_names_what_was_never_read(patient):
    said = patient.home()
    assert said["last_open"] == ""
    assert said["why"] == "never cached since the worker started"
    assert patient.next_open() == \
        "miss: never cached since the worker started"
    patient.wait_cached()
    assert patient.home()["why"] == ""
    patient.cluster.stop()


def test_explain_names_a_hit(patient):
    patient.wait_cached()
    assert patient.next_open() == "hit"


def test_explain_names_a_file_read_in_part(cluster, bucket, workdir):
    top = os.path.join(workdir, "source")
    data.fill(os.path.join(top, "large"), 24 * MIB, 1)
    bucket.upload(top, ["large"])
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    p = Patient(cluster, "/s3", top, "large")
    p.read(1000)
    acached.wait_for("the first range", lambda: p.home()["present"])
    with open(p.path, "rb"):
        pass
    assert p.home()["last_open"] == "miss: not complete"


def test_explain_names_what_was_freed(patient):
    patient.wait_cached()
    patient.cluster.fs("free", patient.there)
    assert patient.home()["why"] == "freed by a command"
    assert patient.next_open() == "miss: freed by a command"


def test_explain_names_what_changed_in_under_storage(patient):
    patient.wait_cached()
    patient.served.bucket.put(patient.name, os.urandom(MIB))
    patient.cluster.fs("loadMetadata", patient.there)
    acached.wait_for("the new version", lambda: os.stat(
        patient.path).st_size == MIB, 10, 0.1)
    assert patient.next_open() == "miss: changed in under-storage"


def test_explain_names_a_fetch_that_failed(patient):
    patient.served.proxy.inject({"fault": "status", "status": 403})
    with pytest.raises(PermissionError):
        patient.read()
    patient.served.proxy.clear()
    assert patient.home()["why"] == "its fetch failed: Permission denied"
    assert patient.next_open() == \
        "miss: its fetch failed: Permission denied"


def test_explain_names_damage(patient):
    patient.wait_cached()
    patient.cluster.kill_tree()
    size = os.path.getsize(patient.source)
    acached.wait_for("the end of the worker",
                     lambda: not patient.cluster.pids())
    flip_a_bit_of_files_of(patient.cluster, size)
    patient.cluster.start()
    acached.wait_for("the check", lambda: patient.home()["why"] ==
                     "its cached bytes were damaged", 20)
    assert patient.next_open() == "miss: its cached bytes were damaged"
    with open(patient.source, "rb") as f:
        assert patient.read() == f.read()


def flip_a_bit_of_files_of(cluster, size):
    flipped = 0
    for where, _, names in os.walk(os.path.join(cluster.state, "worker")):
        for path in (os.path.join(where, n) for n in names):
            if os.path.getsize(path) != size:
                continue
            with open(path, "r+b") as f:
                byte = os.pread(f.fileno(), 1, 1000)[0]
                os.pwrite(f.fileno(), bytes([byte ^ 4]), 1000)
            flipped += 1
    assert flipped


def words_after_two_epochs(serve, tree, policy):
    """What opens of the third are told, of a cache of a third."""
    top, names = tree
    for n in range(24):
        names.append("more/%d" % n)
        data.fill(os.path.join(top, names[-1]), 2 * MIB, n)
    served = serve("--set", "worker.capacity=24M", "--set",
                   "worker.evictor=" + policy)
    served.read_all("--times", 2)
    some = [Patient(served.cluster, "/s3", top, n) for n in names[-24:]]
    # Evictions are told of with the next heartbeat.
    acached.wait_for("why they are not cached", lambda: all(
        p.home()["why"] not in ("", "not complete") or p.home()["complete"]
        for p in some))
    return {p.next_open() for p in some}


def test_explain_names_an_eviction(serve, tree):
    assert "miss: evicted to make room" in \
        words_after_two_epochs(serve, tree, "lru")


def test_explain_names_a_refusal_of_the_policy(serve, tree):
    said = words_after_two_epochs(serve, tree, "retain")
    assert "miss: not admitted, what is kept is read as often" in said
    assert "hit" in said


def test_explain_names_a_young_file(cluster, workdir):
    top = os.path.join(workdir, "source")
    os.makedirs(top)
    cluster.start("--ufs", "file://" + top)
    p = Patient(cluster, "", top, "young")
    data.fill(p.source, 5000, 1)
    p.read()
    if "lately" in p.home()["why"]:  # else the machine was too slow for it
        assert p.home()["why"] == "changed too lately to be cached"
    else:
        pytest.skip("the file was older than 2 s when it was read")


def test_explain_names_a_disk_that_failed(cluster, bucket, workdir):
    top = os.path.join(workdir, "source")
    names = data.make_tree(top, 20, sizes=(MIB,))
    bucket.upload(top, names)
    disk = os.path.join(workdir, "disk")
    os.makedirs(disk)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk],
                   check=True)
    cluster.start("--set", "worker.dirs=%s=1G" % disk)
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    acached.read_all(cluster.at("s3"), top)
    why = {Patient(cluster, "/s3", top, n).home()["why"] for n in names}
    assert why == {"", "the cache directory failed, see the log"}
    cluster.stop()


def test_explain_names_the_want_of_workers(clusters, tree):
    c = clusters()
    c.start("--ufs", "file://" + tree[0], separate=True)
    c.started[1].process.kill()
    acached.wait_for("the loss of the worker", lambda: "no worker is alive" in
                     c.fs("explain", "/" + tree[1][0], check=False).stdout,
                     120, 0.5)
