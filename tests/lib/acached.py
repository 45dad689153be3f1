"""Starts acached for tests: a state directory, a mountpoint and a way to end it.

A `Cluster` owns a directory; all its processes carry a mark in their
environment, so that `destroy()` finds and ends every one of them and every
mountpoint below the directory, whatever the test did.  Nothing waits without a
limit.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid

from rgw import ACCESS_KEY, SECRET_KEY, clean_env
from s3proxy import die_with_parent

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
READY_S = 30
MARK = "ACACHED_TEST_MARK"


def binary():
    """The program under test: $ACACHED, else what was built last."""
    if os.environ.get("ACACHED"):
        return os.environ["ACACHED"]
    built = [p for p in (os.path.join(TOP, "acached"),
                         os.path.join(TOP, "build/ci/acached"))
             if os.path.exists(p)]
    return max(built, key=os.path.getmtime) if built else None


def wait_for(what, condition, seconds=10, every=0.02):
    """Waits until `condition()` is true and gives its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("not within %g s: %s" % (seconds, what))
        time.sleep(every)


def parent_of(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return int(f.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def all_pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def argv_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def marked(mark):
    """The living processes whose environment carries `mark`."""
    want = ("%s=%s" % (MARK, mark)).encode()
    found = []
    for pid in all_pids():
        try:
            with open("/proc/%d/environ" % pid, "rb") as f:
                if want in f.read() and alive(pid):
                    found.append(pid)
        except OSError:
            pass
    return found


def descendants(pid):
    parents = {p: parent_of(p) for p in all_pids()}
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        mine = [p for p, up in parents.items() if up == one]
        found += mine
        todo += mine
    return found


def mounts_below(path):
    """[(mountpoint, device minor, type)] at or below `path`, deepest first."""
    found = []
    with open("/proc/self/mountinfo") as f:
        for line in f:
            w = line.split()
            where = w[4].encode().decode("unicode_escape")
            if where == path or where.startswith(path.rstrip("/") + "/"):
                kind = w[w.index("-") + 1]
                found.append((where, int(w[2].split(":")[1]), kind))
    return sorted(found, key=lambda m: len(m[0]), reverse=True)


def is_mounted(path):
    return any(m[0] == path for m in mounts_below(path))


def cut_connections(minors):
    """Ends FUSE connections: who waits for an answer gets an error.  A process
    that waits for itself cannot even be killed before that."""
    top = tempfile.mkdtemp(prefix="fusectl-")
    subprocess.run(["mount", "-t", "fusectl", "none", top],
                   stderr=subprocess.DEVNULL)
    for minor in minors:
        try:
            with open(os.path.join(top, str(minor), "abort"), "w") as f:
                f.write("1")
        except OSError:
            pass
    subprocess.run(["umount", top], stderr=subprocess.DEVNULL)
    os.rmdir(top)


def clear_mounts(path):
    """Unmounts all below `path`; FUSE connections are cut first, so that
    nothing hangs on them."""
    mounts = mounts_below(path)
    fuse = [minor for _, minor, kind in mounts if kind.startswith("fuse")]
    if fuse:
        cut_connections(fuse)
    for where, _, _ in mounts:
        subprocess.run(["umount", "-l", where], stderr=subprocess.DEVNULL)


class Failed(AssertionError):
    """A command did not end as expected."""


class Started:
    """A process of acached in the foreground, and its `ready` line."""

    def __init__(self, argv, env, log):
        self.log = log
        with open(log, "ab") as err:
            self.process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=err,
                stdin=subprocess.DEVNULL, env=env,
                preexec_fn=die_with_parent, start_new_session=True)
        self.pid = self.process.pid
        self.line = None
        self.seen = threading.Event()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        with open(self.log + ".stdout", "ab") as out:
            for line in self.process.stdout:
                out.write(line)
                out.flush()
                if line.startswith(b"ready") and not self.line:
                    self.line = line.decode().strip()
                    self.seen.set()
        self.seen.set()

    def wait_ready(self, seconds=READY_S):
        if not self.seen.wait(seconds) or not self.line:
            raise Failed("acached is not ready%s\n%s" % (
                " after %g s" % seconds if self.process.poll() is None else
                ", exit code %s" % self.process.wait(), self.tail()))
        return dict(re.findall(r"([\w.-]+)=(\S+)", self.line))

    def tail(self, n=3000):
        with open(self.log, "rb") as f:
            return f.read()[-n:].decode(errors="replace")


class Node:
    """Roles of a cluster with a state directory of their own, on a host of
    their own (hosts.py) or on this one."""

    def __init__(self, cluster, name, host):
        self.cluster = cluster
        self.name = name
        self.host = host
        self.dir = os.path.join(cluster.dir, name)
        self.state = os.path.join(self.dir, "state")
        self.mountpoint = os.path.join(self.dir, "mnt")
        os.makedirs(self.mountpoint)
        self.argv = []
        self.started = None
        self.ready = {}

    def start(self, role, *more, wait=True):
        """One role, or several; `wait_ready()` is yours without `wait`."""
        self.argv = ["--role=" + role, "--state", self.state, *more]
        if "master" not in role.split(","):
            self.argv += ["--master", self.cluster.master]
        if "fuse" in role.split(","):
            self.argv.append(self.mountpoint)
        return self.restart(wait)

    def restart(self, wait=True):
        """With the arguments of before."""
        self.started = self.cluster.spawn(*self.argv, host=self.host)
        return self.wait_ready() if wait else self

    def wait_ready(self):
        self.ready = self.started.wait_ready()
        return self

    @property
    def pid(self):
        """Of a role that is alone; of several, and of fuse, the parent's."""
        return self.started.pid

    def pids(self):
        return [self.pid] + descendants(self.pid)

    def signal(self, number):
        for pid in self.pids():
            os.kill(pid, number)

    def kill(self):
        """kill -9 of all of it, at once."""
        self.signal(signal.SIGKILL)
        self.started.process.wait(10)
        self.cluster.started.remove(self.started)

    def metrics(self, role="worker"):
        """What the process counts, by name with labels."""
        url = "http://%s/metrics" % self.ready[role + ".http"]
        with urllib.request.urlopen(url, timeout=10) as r:
            return {name: float(value) for name, value in re.findall(
                r"^(\w+(?:{[^}]*})?) (\S+)$", r.read().decode(), re.M)}

    def at(self, *parts):
        return os.path.join(self.mountpoint, *parts)


class Cluster:
    def __init__(self, path, program=None):
        self.dir = path
        self.program = program or binary()
        self.state = os.path.join(path, "state")
        self.mountpoint = os.path.join(path, "mnt")
        self.mark = uuid.uuid4().hex
        self.started = []
        self.ready = {}
        self.logs = 0
        self.separate = False
        self.key = None  # path of the cluster's key, for several nodes
        self.master = None  # its address for them, by master_node()
        os.makedirs(self.mountpoint, exist_ok=True)

    def env(self, **more):
        env = clean_env()
        for k in [k for k in env if k.startswith("ACACHED_")]:
            del env[k]
        env[MARK] = self.mark
        if self.key:
            env["ACACHED_CLUSTER_KEY_FILE"] = self.key
        env.update(more)
        return env

    # starting and ending

    def spawn(self, *argv, env=None, host=None):
        """Starts acached with these arguments; wait_ready() is yours."""
        self.logs += 1
        argv = [self.program] + list(argv)
        s = Started(host.argv(argv) if host else argv, env or self.env(),
                    os.path.join(self.dir, "acached.%d.log" % self.logs))
        self.started.append(s)
        return s

    def start(self, *more, mountpoint=True, separate=None, seconds=READY_S):
        """All roles serve: as one command, or as a process tree a role."""
        if separate is not None:
            self.separate = separate
        where = [self.mountpoint] if mountpoint else []
        if self.separate:
            return self.start_separate(more, where, seconds)
        roles = "master,worker,fuse" if mountpoint else "master,worker"
        s = self.spawn("--role=" + roles, "--state", self.state, *more, *where)
        self.ready = s.wait_ready(seconds)
        return self

    def start_separate(self, more, where, seconds):
        of_master = {"--ufs", "--option"}
        mine, rest, args = [], [], list(more)
        while args:
            a = args.pop(0)
            both = [a, args.pop(0)] if a.startswith("-") else [a]
            (mine if a in of_master else rest).extend(both)
        m = self.spawn("--role=master", "--state", self.state, *rest, *mine)
        self.ready = m.wait_ready(seconds)
        others = [self.spawn("--role=worker", "--state", self.state, *rest)]
        if where:
            others.append(self.spawn("--role=fuse", "--state", self.state,
                                     *rest, *where))
        for s in others:
            self.ready.update(s.wait_ready(seconds))
        return self

    # several nodes

    def master_node(self, *more, listen="127.0.0.1:0"):
        """A master alone, whose state directory is the cluster's."""
        self.key = os.path.join(self.dir, "key")
        with open(self.key, "w", opener=lambda p, f: os.open(p, f, 0o600)) \
                as f:
            f.write(os.urandom(32).hex())
        node = Node(self, "master", None)
        node.state = self.state
        node.start("master", "--set", "master.listen=" + listen, *more)
        self.master = node.ready["master"]  # the last one
        return node

    def worker_node(self, name, *more, host=None, wait=True):
        node = Node(self, name, host)
        here = host.address if host else "127.0.0.1"
        return node.start("worker", "--set", "worker.listen=%s:0" % here,
                          "--set", "worker.http=%s:0" % here, *more, wait=wait)

    def fuse_node(self, name, *more, host=None, wait=True):
        here = host.address if host else "127.0.0.1"
        return Node(self, name, host).start(
            "fuse", "--set", "fuse.http=%s:0" % here, *more, wait=wait)

    def workers(self):
        """What `admin report` says of them, by id."""
        return {w["id"]: w for w in self.report()["workers"]}

    def report(self):
        """`admin report`, which tells in time though a worker says nothing."""
        p = self.admin("report", "--json", check=False)
        if p.returncode not in (0, 3):
            raise Failed("admin report: exit code %d\n%s" % (
                p.returncode, p.stderr))
        return json.loads(p.stdout)

    def wait_workers(self, live, seconds=30):
        def count():
            return sum(w["live"] for w in self.workers().values()) == live
        wait_for("%d workers live" % live, count, seconds)

    def pids(self):
        return marked(self.mark)

    def child(self, role):
        """The pid of the process that is `role`, not its supervisor."""
        for pid in self.pids():
            argv = argv_of(pid)
            if not argv or os.path.basename(argv[0]) == "fusermount3":
                continue
            if self.role_of(pid, argv) == role:
                return pid
        raise Failed("no process is the %s: %s" % (
            role, [(p, argv_of(p)) for p in self.pids()]))

    @staticmethod
    def role_of(pid, argv):
        for a in argv:
            m = re.match(r"--child=(\w+)$", a)
            if m:
                return m.group(1)
        with open("/proc/%d/comm" % pid) as f:
            m = re.match(r"acached[-:](\w+)", f.read())
        return m.group(1) if m else None

    def kill(self, role):
        """kill -9 of a role's process; its pid."""
        pid = self.child(role)
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_restarted(self, role, old, seconds=10):
        def other():
            try:
                pid = self.child(role)
            except Failed:
                return None
            return pid if pid != old else None
        return wait_for("%s restarted" % role, other, seconds)

    def kill_tree(self):
        """kill -9 of everything, at once."""
        pids = self.pids()
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for s in self.started:
            s.process.wait(10)
        wait_for("all processes are gone",
                 lambda: not any(alive(p) for p in pids))
        self.started = []
        return pids

    def stop(self, seconds=20):
        """SIGTERM; every process must end with 0 and leave no mountpoint."""
        codes = []
        for s in reversed(self.started):
            if s.process.poll() is None:
                s.process.terminate()
            try:
                codes.append(s.process.wait(seconds))
            except subprocess.TimeoutExpired:
                raise Failed("acached did not end within %g s of SIGTERM\n%s" %
                             (seconds, s.tail()))
        logs = "".join(s.tail() for s in self.started)
        self.started = []
        if any(codes):
            raise Failed("exit codes %s after SIGTERM\n%s" % (codes, logs))
        left = self.pids()
        if left:
            raise Failed("left after SIGTERM: %s" %
                         [(p, argv_of(p)) for p in left])
        if mounts_below(self.dir):
            raise Failed("left mounted: %s" % mounts_below(self.dir))

    def destroy(self):
        """Ends what is left, by force."""
        clear_mounts(self.dir)
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for s in self.started:
            try:
                s.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        clear_mounts(self.dir)
        wait_for("all processes are gone", lambda: not self.pids())
        self.started = []

    def remove(self):
        self.destroy()
        shutil.rmtree(self.dir, ignore_errors=True)

    # commands

    def run(self, *argv, check=True, env=None, seconds=60, text=True,
            **kw):
        """acached with these arguments, which ends by itself."""
        p = subprocess.run([self.program] + [str(a) for a in argv],
                           capture_output=True, text=text, env=env or
                           self.env(), timeout=seconds,
                           stdin=subprocess.DEVNULL, **kw)
        if check and p.returncode:
            raise Failed("acached %s: exit code %d\n%s%s" % (
                " ".join(map(str, argv)), p.returncode, p.stdout, p.stderr))
        return p

    def fs(self, command, *argv, **kw):
        return self.run("fs", command, "--state", self.state, *argv, **kw)

    def admin(self, command, *argv, **kw):
        return self.run("admin", *command.split(), "--state", self.state,
                        *argv, **kw)

    def fs_json(self, command, *argv, **kw):
        return json.loads(self.fs(command, "--json", *argv, **kw).stdout)

    def admin_json(self, command, *argv, **kw):
        return json.loads(self.admin(command, "--json", *argv, **kw).stdout)

    def mount_s3(self, path, bucket, endpoint, *more, **kw):
        return self.fs("mount", path, "s3://" + bucket, *s3_options(endpoint),
                       *more, **kw)

    def at(self, *parts):
        return os.path.join(self.mountpoint, *parts)

    def log_text(self):
        """All that any process wrote: stderr, stdout and log files."""
        text = []
        for where, _, names in os.walk(self.dir):
            if where.startswith(self.mountpoint):
                continue
            for name in names:
                if ".log" in name or os.path.basename(where) == "log":
                    with open(os.path.join(where, name), "rb") as f:
                        text.append(f.read().decode(errors="replace"))
        return "\n".join(text)


def s3_options(endpoint):
    words = []
    for o in ("s3.endpoint=" + endpoint, "aws.accessKeyId=" + ACCESS_KEY,
              "aws.secretKey=" + SECRET_KEY, "s3.path-style=true"):
        words += ["--option", o]
    return words


class Reader:
    """readtree.py in the background."""

    def __init__(self, tree, source, *more):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "readtree.py"), tree, source] +
            [str(m) for m in more], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)

    def running(self):
        return self.process.poll() is None

    def result(self, seconds=120):
        try:
            out, err = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the reader did not end within %g s" %
                                 seconds)
        if not out:
            raise AssertionError("the reader failed: " + err)
        return json.loads(out)

    def end(self):
        if self.running():
            self.process.kill()
        self.process.wait(10)


def read_all(tree, source, *more, seconds=120):
    """Every byte of every file is compared; the result, or AssertionError."""
    r = Reader(tree, source, *more).result(seconds)
    assert not r["failed"], "%d of %d files are wrong: %s" % (
        r["failed"], r["files"], "; ".join(r["wrong"]))
    return r
