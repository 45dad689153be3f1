"""What programs see of a mountpoint: requests a file costs, standard programs,
signals, attributes, and a child that dies under open files."""

import errno
import mmap
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

import acached
import data


@pytest.fixture
def local(cluster, tree):
    """local(argument...) serves the tree of a directory at /; its source."""
    top, names = tree

    def start(*more):
        settle(top)
        cluster.start("--ufs", "file://" + top, "--set",
                      "fuse.http=127.0.0.1:0", *more)
        return top, names

    return start


def settle(top):
    """Files are cached once their ctime is 2 s old."""
    newest = max(os.stat(os.path.join(w, n)).st_ctime
                 for w, _, names in os.walk(top) for n in names)
    time.sleep(max(0, newest + 2.1 - time.time()))


def metrics(cluster, role="fuse"):
    """{"name{labels}": value} of a role."""
    with open(glob_one(cluster.state, role, "address")) as f:
        at = dict(line.strip().split("=", 1) for line in f if "=" in line)
    with urllib.request.urlopen("http://%s/metrics" % at[role + ".http"],
                                timeout=5) as r:
        lines = r.read().decode().splitlines()
    return {k: float(v) for k, v in
            (l.rsplit(" ", 1) for l in lines if not l.startswith("#"))}


def glob_one(state, role, name):
    found = [os.path.join(w, name) for w, _, names in
             os.walk(os.path.join(state, role)) if name in names]
    assert len(found) == 1, found
    return found[0]


def upcalls(cluster):
    now = metrics(cluster)
    return {m.group(1): int(v) for k, v in now.items() for m in
            [re.match(r'acached_fuse_upcalls_total{kind="(\w+)"}', k)] if m}


def read_like_c(top, names):
    """open, read until 0, close; returns the bytes read."""
    size = 0
    for n in names:
        fd = os.open(os.path.join(top, n), os.O_RDONLY)
        part = os.read(fd, 1 << 20)
        while part:
            size += len(part)
            part = os.read(fd, 1 << 20)
        os.close(fd)
    return size


def asked(cluster, what):
    """What `what()` cost, by kind; kinds that it did not need are left out."""
    before = upcalls(cluster)
    what()
    after = upcalls(cluster)
    return {k: v - before[k] for k, v in after.items() if v != before[k]}


def test_up_calls_a_file_costs(cluster, local):
    top, names = local("--set", "fuse.attr-ttl=60s")
    size = sum(os.path.getsize(os.path.join(top, n)) for n in names)
    filled = [n for n in names if os.path.getsize(os.path.join(top, n))]
    subprocess.run(["ls", "-lR", cluster.mountpoint], check=True,
                   stdout=subprocess.DEVNULL)

    def epoch():
        assert read_like_c(cluster.mountpoint, names) == size

    cold = asked(cluster, epoch)
    assert cold.pop("read") <= len(filled) + 4  # the largest needs more
    assert cold.pop("open") == len(names)
    assert cold.pop("release") <= len(names)
    assert not cold, "a listed file costs nothing else: %s" % cold
    warm = asked(cluster, epoch)
    assert warm.pop("open") == len(names)
    assert warm.pop("release") <= len(names)
    assert not warm, "a warm file is read from the page cache: %s" % warm


def test_what_lies_side_by_side_is_asked_for_at_once(cluster, workdir):
    top = os.path.join(workdir, "many")
    names = data.make_tree(top, 600, sizes=(1000,))
    settle(top)
    cluster.start("--ufs", "file://" + top, "--set", "fuse.http=127.0.0.1:0",
                  "--set", "master.http=127.0.0.1:0")
    # Known to the master, but not to the mountpoint.
    assert cluster.fs("ls", "-R", "/").stdout.count("\n") > 600
    random.Random(3).shuffle(names)
    before = metrics(cluster, "master")["acached_rpcs_total"]
    assert read_like_c(cluster.mountpoint, names) == 600000
    calls = metrics(cluster, "master")["acached_rpcs_total"] - before
    print("\n    %d cold files cost the master %d calls" % (
        len(names), calls))
    assert calls < len(names) / 2


def test_a_listing_costs_few_requests(cluster, workdir, tree):
    top, _ = tree
    for i in range(3000):
        with open(os.path.join(top, "many-%04d" % i), "w") as f:
            f.write("x")
    cluster.start("--ufs", "file://" + top, "--set", "fuse.http=127.0.0.1:0",
                  "--set", "fuse.attr-ttl=60s")

    def ls():
        out = subprocess.run(["ls", "-l", cluster.mountpoint], check=True,
                             capture_output=True, text=True).stdout
        assert out.count("many-") == 3000

    cost = asked(cluster, ls)
    assert sum(cost.values()) < 400, cost
    assert "lookup" not in cost, "attributes come with the names: %s" % cost
    assert "getxattr" not in asked(cluster, ls), "refused once and for all"


def test_large_files_are_read_in_large_pieces(cluster, workdir, tree):
    top, _ = tree
    data.fill(os.path.join(top, "large"), 32 << 20, 5)
    with open(os.path.join(top, "large"), "rb") as f:
        want = f.read()
    settle(top)
    cluster.start("--ufs", "file://" + top, "--set", "fuse.http=127.0.0.1:0")
    path = cluster.at("large")

    def read_uncached():
        with open(path, "rb") as f:
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert f.read() == want

    cold = asked(cluster, read_uncached)
    assert 0 < cold["read"] <= 64, "32 MiB: %s" % cold
    acached.wait_for("its descriptor is granted", lambda: (
        os.close(os.open(path, os.O_RDONLY)),
        metrics(cluster)['acached_opens_total{mode="local"}'])[1])
    before = metrics(cluster)['acached_read_bytes_total{source="local"}']
    warm = asked(cluster, read_uncached)
    assert 0 < warm["read"] <= 64, "32 MiB: %s" % warm
    assert metrics(cluster)['acached_read_bytes_total{source="local"}'] >= \
        before + len(want)


def test_programs_that_walk_trees(cluster, local, workdir):
    top, names = local()
    mnt = cluster.mountpoint

    def run(*argv, cwd=None):
        return subprocess.run(argv, check=True, capture_output=True, cwd=cwd,
                              timeout=60).stdout

    run("diff", "-r", "--no-dereference", top, mnt)
    assert run("tar", "c", "--sort=name", "--mtime=@0", ".", cwd=mnt) == \
        run("tar", "c", "--sort=name", "--mtime=@0", ".", cwd=top)
    assert sorted(run("find", ".", "-type", "f", cwd=mnt).splitlines()) == \
        sorted(run("find", ".", "-type", "f", cwd=top).splitlines())
    sums = os.path.join(workdir, "sums")
    with open(sums, "wb") as f:
        f.write(run("md5sum", *names, cwd=top))
    run("md5sum", "-c", "--quiet", sums, cwd=mnt)
    copy = os.path.join(workdir, "copy")
    run("cp", "-r", mnt, copy)
    run("diff", "-r", copy, top)


def test_a_git_repository(cluster, workdir):
    top = os.path.join(workdir, "repo")
    if subprocess.run(["git", "init", "-q", top],
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("git is not installed")
    names = data.make_tree(top, 40)
    os.symlink(names[0], os.path.join(top, "link"))

    def git(where, *argv):
        return subprocess.run(
            ["git", "-c", "safe.directory=*", "-c", "user.name=t",
             "-c", "user.email=t", "-C", where] + list(argv), check=True,
            capture_output=True, text=True, timeout=60).stdout

    git(top, "add", "-A")
    git(top, "commit", "-qm", "all")
    settle(top)
    cluster.start("--ufs", "file://" + top)
    assert os.readlink(cluster.at("link")) == names[0]
    assert git(cluster.mountpoint, "status", "--porcelain") == ""
    git(cluster.mountpoint, "fsck", "--full", "--strict")
    assert git(cluster.mountpoint, "log", "--oneline") == \
        git(top, "log", "--oneline")


class Busy:
    """Threads that read, map, list and stat, and compare every byte."""

    def __init__(self, mnt, top, names, threads=6):
        self.mnt, self.top = mnt, top
        self.want = {}
        for n in names:
            with open(os.path.join(top, n), "rb") as f:
                self.want[n] = f.read()
        self.names = [n for n in names if self.want[n]]
        self.wrong = []
        self.rounds = 0
        self.over = False
        self.threads = [threading.Thread(target=self.run, args=(i,),
                                         daemon=True) for i in range(threads)]
        for t in self.threads:
            t.start()

    def run(self, seed):
        rng = random.Random(seed)
        held = {n: os.open(os.path.join(self.mnt, n), os.O_RDONLY)
                for n in self.names}
        maps = {n: mmap.mmap(fd, 0, prot=mmap.PROT_READ)
                for n, fd in held.items()}
        while not self.over:
            try:
                self.one(rng, held, maps)
            except OSError as e:
                self.wrong.append(str(e))
            self.rounds += 1
        for m in maps.values():
            m.close()
        for fd in held.values():
            os.close(fd)

    def one(self, rng, held, maps):
        n = rng.choice(self.names)
        path = os.path.join(self.mnt, n)
        want = self.want[n]
        at = rng.randrange(len(want))
        size = rng.choice((1, 4096, 100000, 1 << 20))
        kind = rng.randrange(5)
        got = want[at:at + size]
        if kind == 0:
            got = os.pread(held[n], size, at)
        elif kind == 1:
            got = maps[n][at:at + size]
        elif kind == 2:
            fd = os.open(path, os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            got = os.pread(fd, size, at)
            os.close(fd)
        elif kind == 3 and os.stat(path).st_size != len(want):
            self.wrong.append("%s: another length" % n)
        elif kind == 4:
            where = os.path.dirname(n)
            if set(os.listdir(os.path.join(self.mnt, where))) != \
                    set(os.listdir(os.path.join(self.top, where))):
                self.wrong.append("%s: another listing" % where)
        if got != want[at:at + size]:
            self.wrong.append("%s: other bytes at %d" % (n, at))

    def end(self):
        self.over = True
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), "a reader hangs"
        assert not self.wrong, self.wrong[:10]


def test_the_child_dies_under_open_files_mappings_and_listings(cluster, local):
    top, names = local()
    busy = Busy(cluster.mountpoint, top, names)
    for i in range(6):
        time.sleep(0.2 + 0.15 * i)
        rounds = busy.rounds
        cluster.wait_restarted("fuse", cluster.kill("fuse"))
        acached.wait_for("reads go on", lambda: busy.rounds > rounds + 20)
    busy.end()
    cluster.stop()


def stuck_reader(path, prepare=""):
    code = ("import os, signal, sys\n%s\nfd = os.open(%r, os.O_RDONLY)\n"
            "print('open', flush=True)\n"
            "try:\n    os.read(fd, 10)\n"
            "except OSError as e:\n    sys.exit(e.errno)\n" % (prepare, path))
    p = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                         preexec_fn=acached.die_with_parent)
    assert p.stdout.readline() == b"open\n"
    return p


@pytest.mark.parametrize("restart", [False, True],
                         ids=["same child", "another child"])
def test_a_stuck_reader_is_killed_at_once(served, restart):
    served.proxy.inject({"fault": "stall", "kind": "get"})
    p = stuck_reader(os.path.join(served.data, served.names[3]))
    acached.wait_for("the read is held", lambda: served.proxy.held() > 0)
    if restart:
        served.cluster.wait_restarted("fuse", served.cluster.kill("fuse"))
    time.sleep(0.2)
    assert p.poll() is None
    started = time.monotonic()
    p.kill()
    p.wait(10)
    assert time.monotonic() - started < 1
    served.proxy.clear()
    served.read_all()


def test_sigchld_ends_no_read(served):
    served.proxy.inject({"fault": "stall", "kind": "get"})
    p = stuck_reader(os.path.join(served.data, served.names[3]),
                     "signal.signal(signal.SIGCHLD, lambda *_: None)")
    acached.wait_for("the read is held", lambda: served.proxy.held() > 0)
    for _ in range(5):
        p.send_signal(signal.SIGCHLD)
        time.sleep(0.1)
    assert p.poll() is None
    served.proxy.clear()
    assert p.wait(30) == 0


def test_extended_attributes_if_asked_for(cluster, local):
    top, names = local("-o", "xattr")
    name = next(n for n in names if os.path.getsize(os.path.join(top, n)))
    path = cluster.at(name)
    assert os.getxattr(path, "user.acached.cached") == b"none"
    with open(path, "rb") as f:
        f.read()
    acached.wait_for("it is cached", lambda: os.getxattr(
        path, "user.acached.cached") == b"all")
    assert os.getxattr(path, "user.acached.ufs").decode() == \
        "file://" + os.path.join(top, name)
    assert os.getxattr(path, "user.acached.version")
    assert set(os.listxattr(path)) == {"user.acached." + n for n in
                                       ("version", "ufs", "cached")}
    with pytest.raises(OSError) as e:
        os.getxattr(path, "user.other")
    assert e.value.errno == errno.ENODATA
    assert os.listxattr(cluster.mountpoint) == []


def test_no_extended_attributes_if_not(cluster, local):
    _, names = local()
    with pytest.raises(OSError) as e:
        os.getxattr(cluster.at(names[0]), "user.acached.version")
    assert e.value.errno == errno.EOPNOTSUPP


def test_a_refresh_is_seen_after_the_ttl(cluster, local):
    top, names = local("--set", "fuse.attr-ttl=300ms")
    where = os.path.dirname(names[0])
    before = set(os.listdir(cluster.at(where)))
    with open(os.path.join(top, where, "new"), "w") as f:
        f.write("12345")
    with open(os.path.join(top, names[0]), "w") as f:
        f.write("another content")
    cluster.fs("ls", "-f", "/" + where)
    acached.wait_for("the listing has the new name", lambda: set(
        os.listdir(cluster.at(where))) == before | {"new"}, 2)
    with open(cluster.at(where, "new")) as f:
        assert f.read() == "12345"
    acached.wait_for("the attributes are new", lambda: os.stat(
        cluster.at(names[0])).st_size == 15, 2)
    with open(cluster.at(names[0])) as f:
        assert f.read() == "another content"


def test_a_monitor_finds_metrics_and_health(cluster, local):
    local()
    os.listdir(cluster.mountpoint)
    assert metrics(cluster)["acached_fuse_read_seconds_count"] >= 0
    with open(glob_one(cluster.state, "fuse", "address")) as f:
        at = re.search(r"fuse\.http=(\S+)", f.read()).group(1)
    with urllib.request.urlopen("http://%s/healthz" % at, timeout=5) as r:
        assert r.status == 200 and r.read() == b"ok\n"


def test_df_shows_the_room_of_the_workers(cluster, local):
    local("--set", "worker.capacity=1G")
    v = acached.wait_for("the worker's room", lambda: (
        lambda v: v if v.f_blocks else None)(os.statvfs(cluster.mountpoint)))
    assert v.f_blocks * v.f_frsize == 1 << 30
    assert v.f_flag & os.ST_RDONLY
