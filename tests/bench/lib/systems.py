"""What is compared: acached, its rivals, a local directory.

A System is started with nothing cached, serves the files of one bucket below
`top`, and may be started again with what it has cached.  All of its processes
carry a mark, by which their CPU time and memory are found.
"""

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
import uuid

import acached
import rgw
from s3proxy import die_with_parent
from world import Problem, remove

TICKS = os.sysconf("SC_CLK_TCK")
READY_S = 30


def cpu_of(pid):
    """Seconds of a process: its own by its clock, which counts nanoseconds and
    threads that have ended, its ended children's by /proc."""
    try:
        own = time.clock_gettime((~pid << 3) | 2)
        with open("/proc/%d/stat" % pid) as f:
            words = f.read().rpartition(")")[2].split()
    except OSError:
        return 0
    return own + (int(words[13]) + int(words[14])) / TICKS


def memory_of(pid):
    """(rss, pss) in bytes."""
    try:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            text = f.read()
    except OSError:
        return 0, 0
    return tuple(int(re.search(r"^%s:\s+(\d+)" % w, text, re.M).group(1)) << 10
                 for w in ("Rss", "Pss"))


class System:
    name = ""
    program = None  # what must be found
    cold = True     # whether it starts with nothing cached
    rival = True    # whether the others go on without it

    def __init__(self, world):
        self.world = world
        self.dir = world.path(self.name, "")
        self.cache = os.path.join(self.dir, "cache")
        self.mountpoint = os.path.join(self.dir, "mnt")
        self.top = self.mountpoint
        self.mark = uuid.uuid4().hex
        self.bucket = None
        self.processes = []

    @classmethod
    def missing(cls):
        """Why it cannot be run here, or None."""
        if cls.program and not shutil.which(cls.program):
            return "no %s on this machine" % cls.program
        return None

    def version(self):
        return ""

    # starting and ending

    def start(self, data):
        """Serves `data`, with nothing cached."""
        self.destroy()
        remove(self.dir)
        for d in (self.cache, self.mountpoint):
            os.makedirs(d)
        self.bucket = data.bucket
        self.prepare(data)
        self.serve()

    def prepare(self, data):
        """Before it is started for the first time."""

    def serve(self):
        raise NotImplementedError

    def restart(self):
        """As after a reboot: nothing is left but what is on disk."""
        self.stop()
        self.serve()

    def stop(self):
        subprocess.run(["umount", self.mountpoint], check=False,
                       stderr=subprocess.DEVNULL)
        for p in self.processes:
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.terminate()
                p.wait(20)
        self.processes = []

    def destroy(self):
        acached.clear_mounts(self.dir.rstrip("/"))
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for p in self.processes:
            p.wait(10)
        self.processes = []
        acached.clear_mounts(self.dir.rstrip("/"))

    def env(self, **more):
        env = rgw.clean_env()
        env[acached.MARK] = self.mark
        env.update(more)
        return env

    def spawn(self, *argv, **env):
        with open(os.path.join(self.dir, "log"), "ab") as log:
            p = subprocess.Popen(argv, env=self.env(**env), stdout=log,
                                 stderr=log, stdin=subprocess.DEVNULL,
                                 preexec_fn=die_with_parent,
                                 start_new_session=True)
        self.processes.append(p)
        return p

    def wait_mounted(self):
        end = time.monotonic() + READY_S
        while not acached.is_mounted(self.mountpoint):
            if self.processes[-1].poll() is not None or \
                    time.monotonic() > end:
                with open(os.path.join(self.dir, "log")) as f:
                    raise Problem("%s does not mount: %s" % (
                        self.name, f.read()[-400:].strip()))
            time.sleep(0.01)

    # looking at it

    def pids(self):
        return acached.marked(self.mark)

    def cpu(self):
        """{part of the system: seconds}"""
        parts = {}
        for pid in self.pids():
            part = self.part_of(pid)
            parts[part] = parts.get(part, 0) + cpu_of(pid)
        return parts

    def part_of(self, pid):
        return self.name

    def memory(self):
        """{"rss": …, "pss": …} of all processes."""
        both = [memory_of(p) for p in self.pids()]
        return {"rss": sum(b[0] for b in both), "pss": sum(b[1] for b in both)}

    def upcalls(self):
        """FUSE requests so far; None: it does not say."""
        return None

    def stores(self):
        """Directories whose pages are dropped to read from disk."""
        return [self.cache]


class Native(System):
    name = "native"
    cold = rival = False

    def start(self, data):
        self.top = data.top

    def serve(self):
        pass

    def stop(self):
        pass

    def stores(self):
        return [self.top]


class Acached(System):
    name = "acached"
    rival = False

    @classmethod
    def missing(cls):
        return None

    def start(self, data):
        self.destroy()
        remove(self.dir)
        self.cluster = acached.Cluster(self.dir.rstrip("/"),
                                       self.world.program)
        self.mark = self.cluster.mark
        self.cache = self.cluster.state
        self.http = "127.0.0.1:%d" % rgw.free_ports(1)[0]
        self.start_cluster("--ufs", "s3://" + data.bucket, *acached.s3_options(
            self.world.relay.endpoint))

    def start_cluster(self, *more):
        self.cluster.start("--set", "fuse.http=" + self.http, *more)

    def serve(self):
        self.start_cluster()

    def stop(self):
        self.cluster.stop()

    def destroy(self):
        if hasattr(self, "cluster"):
            self.cluster.destroy()
        super().destroy()

    def metrics(self):
        with urllib.request.urlopen("http://%s/metrics" % self.http,
                                    timeout=10) as r:
            return r.read().decode()

    def upcalls(self):
        return sum(int(n) for n in re.findall(
            r"^acached_fuse_upcalls_total\{.*\} (\d+)", self.metrics(), re.M))

    def part_of(self, pid):
        argv = acached.argv_of(pid)
        return argv and self.cluster.role_of(pid, argv) or "supervisor"


class S3fs(System):
    name = "s3fs"
    program = "s3fs"

    def prepare(self, data):
        self.secret = os.path.join(self.dir, "passwd")
        with open(os.open(self.secret, os.O_WRONLY | os.O_CREAT, 0o600),
                  "w") as f:
            f.write("%s:%s" % (rgw.ACCESS_KEY, rgw.SECRET_KEY))

    def serve(self):
        self.spawn("s3fs", self.bucket, self.mountpoint, "-f", "-o",
                   "use_cache=%s,passwd_file=%s,url=%s,use_path_request_style"
                   % (self.cache, self.secret, self.world.relay.endpoint))
        self.wait_mounted()


class Rclone(System):
    name = "rclone"
    program = "rclone"

    def serve(self):
        self.spawn("rclone", "mount", "bench:" + self.bucket, self.mountpoint,
                   "--config", "/dev/null", "--cache-dir", self.cache,
                   "--vfs-cache-mode", "full", "--read-only",
                   RCLONE_CONFIG_BENCH_TYPE="s3",
                   RCLONE_CONFIG_BENCH_PROVIDER="Ceph",
                   RCLONE_CONFIG_BENCH_ACCESS_KEY_ID=rgw.ACCESS_KEY,
                   RCLONE_CONFIG_BENCH_SECRET_ACCESS_KEY=rgw.SECRET_KEY,
                   RCLONE_CONFIG_BENCH_ENDPOINT=self.world.relay.endpoint)
        self.wait_mounted()


class MountS3(System):
    name = "mountpoint-s3"
    program = "mount-s3"

    def serve(self):
        self.spawn("mount-s3", self.bucket, self.mountpoint, "--foreground",
                   "--read-only", "--cache", self.cache, "--force-path-style",
                   "--endpoint-url", self.world.relay.endpoint,
                   AWS_ACCESS_KEY_ID=rgw.ACCESS_KEY,
                   AWS_SECRET_ACCESS_KEY=rgw.SECRET_KEY,
                   AWS_REGION="us-east-1")
        self.wait_mounted()


class Geesefs(System):
    name = "geesefs"
    program = "geesefs"

    def serve(self):
        self.spawn("geesefs", "-f", "--endpoint", self.world.relay.endpoint,
                   "--cache", self.cache, self.bucket, self.mountpoint,
                   AWS_ACCESS_KEY_ID=rgw.ACCESS_KEY,
                   AWS_SECRET_ACCESS_KEY=rgw.SECRET_KEY)
        self.wait_mounted()


class JuiceFS(System):
    """Its objects are its own: the files are copied into it once, through a
    mount of its own, and its names lie in sqlite."""

    name = "juicefs"
    program = "juicefs"

    def start(self, data):
        self.names = self.world.path("juicefs-names", data.bucket + ".db")
        super().start(data)

    def prepare(self, data):
        if os.path.exists(self.names):
            return
        bucket = "juicefs-" + data.bucket
        self.world.say("juicefs: copying the files into it")
        self.world.server.client().create_bucket(Bucket=bucket)
        subprocess.run(
            ["juicefs", "format", "--storage", "s3", "--bucket",
             "%s/%s" % (self.world.relay.endpoint, bucket), "--access-key",
             rgw.ACCESS_KEY, "--secret-key", rgw.SECRET_KEY,
             "sqlite3://" + self.names, bucket], check=True, env=self.env(),
            capture_output=True, timeout=60)
        self.serve()
        subprocess.run(["cp", "-r", data.top + "/.", self.mountpoint],
                       check=True, timeout=900)
        self.stop()
        remove(self.cache)

    def serve(self):
        self.spawn("juicefs", "mount", "--cache-dir", self.cache,
                   "--no-usage-report", "--metrics", "127.0.0.1:0",
                   "sqlite3://" + self.names, self.mountpoint)
        self.wait_mounted()


ALL = (Native, Acached, S3fs, Rclone, JuiceFS, MountS3, Geesefs)


def find(world):
    """The systems wanted that are there; why others are not, in
    world.skipped."""
    found = []
    for cls in ALL:
        if world.wanted and cls.name not in world.wanted:
            continue
        why = cls.missing()
        if why:
            world.skipped[cls.name] = why
        else:
            found.append(cls(world))
    return found
