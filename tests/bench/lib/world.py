"""What all benches of a run share: the machine, an S3 server behind a relay
that counts and delays (relay.c), data sets there and in a local directory, and
the reader (reader.c)."""

import hashlib
import hmac
import json
import mmap
import os
import shutil
import struct
import subprocess
import time
import types
import urllib.parse

import rgw
from s3proxy import die_with_parent

KINDS = ("get", "head", "list", "put", "other")
DROP = "/proc/sys/vm/drop_caches"
READER_S = 300
MIB = 1 << 20
PART = 8 * MIB
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__)))))


# How much data: full, quick for a look in minutes, tiny for tests.
SIZES = {name: {n: of[i] for n, of in {
    # small files, random order
    "files": (5000, 1500, 40), "dirs": (50, 50, 4),
    "file_bytes": (100000, 100000, 100000),
    # with latency
    "latency_files": (2000, 1000, 40),
    # one big file
    "big_mb": (1024, 256, 16), "random_reads": (20000, 5000, 100),
    # of 10 bytes, to be listed
    "tree_files": (10000, 3000, 200),
    # of 6 900 pictures each such
    "picture_step": (1, 4, 60),
    # tiny ones, all cached
    "many": (1000000, 100000, 2000)}.items()}
    for i, name in enumerate(("full", "quick", "tiny"))}


class Problem(Exception):
    """What must be said in one sentence."""


# What a bench may fail with.
FAILURES = (Problem, AssertionError, OSError, RuntimeError,
            subprocess.SubprocessError)


class Relay:
    """relay.c in front of an S3 server."""

    def __init__(self, program, server, path):
        self.path = path
        self.process = subprocess.Popen(
            [program, str(server), path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=die_with_parent)
        line = self.process.stdout.readline()
        if not line:
            raise Problem("the relay did not start")
        self.port = int(line)
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 4096)

    @property
    def endpoint(self):
        return "http://127.0.0.1:%d" % self.port

    def delay(self, ms):
        self.page[:8] = struct.pack("=Q", int(ms * 1000))

    def counts(self):
        """{kind: (requests, bytes of bodies of responses)} since the start."""
        words = struct.unpack_from("=%dQ" % (2 * len(KINDS)), self.page, 8)
        return {k: words[2 * i:2 * i + 2] for i, k in enumerate(KINDS)}

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        self.page.close()


class Presigner:
    """AWS signature 4 in the query, since boto takes a millisecond for each."""

    def __init__(self, host, now=None):
        self.host = host
        self.stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        self.scope = self.stamp[:8] + "/us-east-1/s3/aws4_request"
        key = ("AWS4" + rgw.SECRET_KEY).encode()
        for word in self.scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        self.key = key

    def target(self, method, bucket, name):
        path = "/%s/%s" % (bucket, urllib.parse.quote(name))
        query = "&".join((
            "X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=" +
            urllib.parse.quote(rgw.ACCESS_KEY + "/" + self.scope, safe=""),
            "X-Amz-Date=" + self.stamp, "X-Amz-Expires=604800",
            "X-Amz-SignedHeaders=host"))
        canonical = "%s\n%s\n%s\nhost:%s\n\nhost\nUNSIGNED-PAYLOAD" % (
            method, path, query, self.host)
        text = "AWS4-HMAC-SHA256\n%s\n%s\n%s" % (
            self.stamp, self.scope,
            hashlib.sha256(canonical.encode()).hexdigest())
        return "%s?%s&X-Amz-Signature=%s" % (
            path, query, hmac.new(self.key, text.encode(), "sha256")
            .hexdigest())


class DataSet:
    """Files in a local directory and the same in a bucket."""

    def __init__(self, world, bucket, names):
        self.world = world
        self.bucket = bucket
        self.names = names
        self.top = world.path("native", bucket)
        self.list = world.path(bucket + ".list")
        self.targets = world.path(bucket + ".targets")
        self.size = self.bytes = 0
        for d in {os.path.dirname(n) for n in names}:
            os.makedirs(os.path.join(self.top, d), exist_ok=True)
        self.write(self.list, names)

    @staticmethod
    def write(path, lines):
        with open(path, "w") as f:
            f.writelines(line + "\n" for line in lines)

    def make(self, size):
        """Files that the reader can check."""
        self.size = size
        self.bytes = size * len(self.names)
        self.world.read("make", self.top, self.list, size, json_out=False)
        return self.upload()

    def copy(self, source):
        for n in self.names:
            to = os.path.join(self.top, n)
            shutil.copyfile(os.path.join(source, n), to)
            self.bytes += os.path.getsize(to)
        return self.upload()

    def signed(self, method):
        # Only the host is signed, and this is what the reader says it is.
        sign = Presigner("127.0.0.1")
        return ("%s\t%s" % (sign.target(method, self.bucket, n), n)
                for n in self.names)

    def upload(self):
        """Straight to the server: this is nobody's request."""
        server = self.world.server
        server.client().create_bucket(Bucket=self.bucket)
        self.world.say("uploading %d files, %.0f MB" % (
            len(self.names), self.bytes / 1e6))
        self.write(self.targets, self.signed("PUT"))
        self.world.read("http", server.port, "PUT", self.top, self.targets,
                        min(8, len(self.names)), 1)
        self.write(self.targets, self.signed("GET"))
        return self


class World:
    """One run of the driver."""

    def __init__(self, scratch, program, tools, size, rounds, wanted):
        self.scratch = scratch
        self.program = program
        self.tools = tools
        self.sizes = types.SimpleNamespace(**SIZES[size])
        self.rounds = rounds
        self.wanted = wanted  # names of systems
        self.started = time.monotonic()
        self.skipped = {}  # system: why
        self.profiles = None  # a directory, if there shall be some
        self.made = {}
        self._server = self._relay = None

    def path(self, *parts):
        where = os.path.join(self.scratch, *parts)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        return where

    def failed(self, system, error):
        self.say("%s failed: %s" % (system.name, error))
        self.skipped[system.name] = "failed: " + str(error).partition("\n")[0]

    def say(self, text):
        s = int(time.monotonic() - self.started)
        print("bench: %2d:%02d %s" % (s // 60, s % 60, text), flush=True)

    @property
    def server(self):
        if not self._server:
            missing = rgw.missing_programs()
            if missing:
                raise Problem("%s: not installed (contrib/install-deps "
                              "--bench)" % ", ".join(missing))
            self.say("starting an S3 server (Ceph's gateway)")
            self._server = rgw.Rgw(self.path("ceph")).start()
        return self._server

    @property
    def relay(self):
        if not self._relay:
            self._relay = Relay(os.path.join(self.tools, "relay"),
                                self.server.port, self.path("relay.control"))
        return self._relay

    def data(self, bucket, names, make):
        if bucket not in self.made:
            self.made[bucket] = make(DataSet(self, bucket, names))
        return self.made[bucket]

    def small(self):
        names = ["d%02d/f%05d.bin" % (i % self.sizes.dirs, i)
                 for i in range(self.sizes.files)]
        return self.data("small", names,
                         lambda d: d.make(self.sizes.file_bytes))

    def few(self):
        names = ["d%02d/f%05d.bin" % (i % self.sizes.dirs, i)
                 for i in range(self.sizes.latency_files)]
        return self.data("few", names,
                         lambda d: d.make(self.sizes.file_bytes))

    def big(self):
        return self.data("big", ["big.bin"],
                         lambda d: d.make(self.sizes.big_mb * MIB))

    def big_parts(self):
        """The same as ranges of 8 MiB, for a list of requests."""
        data = self.big()
        with open(data.targets) as f:
            line = f.read().strip()
        path = data.targets + ".parts"
        data.write(path, ["%s\t%d\t%d" % (line, at, PART)
                          for at in range(0, data.bytes, PART)])
        return path

    def tree(self):
        names = ["c%03d/f%06d.bin" % (i % 100, i)
                 for i in range(self.sizes.tree_files)]
        return self.data("tree", names, lambda d: d.make(10))

    def copied(self, bucket, source, names):
        return self.data(bucket, names, lambda d: d.copy(source))

    def read(self, *argv, json_out=True):
        """What the reader says of itself; every byte it got was checked."""
        p = subprocess.run([os.path.join(self.tools, "reader")] +
                           [str(a) for a in argv], stdin=subprocess.DEVNULL,
                           capture_output=True, text=True, check=False,
                           timeout=READER_S, preexec_fn=die_with_parent)
        if p.returncode:
            raise Problem("reader %s: %s" % (argv[0], p.stderr.strip()[-300:]))
        if not json_out:
            return None
        got = json.loads(p.stdout)
        if got["wrong"]:
            raise Problem("reader %s: %d pages are wrong" % (
                argv[0], got["wrong"]))
        return got

    def close(self):
        if self._relay:
            self._relay.close()
        if self._server:
            self._server.stop()


def drop_page_cache(directories):
    """All of the machine's, or where that is refused, of the files below."""
    os.sync()
    try:
        with open(DROP, "w") as f:
            f.write("1")
        return
    except OSError:
        pass
    for top in directories:
        for where, _, names in os.walk(top):
            for name in names:
                try:
                    fd = os.open(os.path.join(where, name), os.O_RDONLY)
                except OSError:
                    continue
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)


def remove(path):
    shutil.rmtree(path, ignore_errors=True)
