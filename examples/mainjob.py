"""What examples/quickstart does once everything is built.

An S3 server (Ceph's gateway), a proxy that counts, and acached with all roles,
each in a process of its own below one directory.  Every process started here
carries a mark in its environment, by which it is found and ended.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
sys.dont_write_bytecode = True

import acached  # noqa: E402
import rgw  # noqa: E402
import s3proxy  # noqa: E402
from readtree import compare_all, files_of  # noqa: E402

PICTURES = "/usr/share/openclipart/png"  # of the package openclipart-png
BUCKET = "pictures"
SPACE = 1 << 30


class Problem(Exception):
    """What the user must know, in one sentence."""


def say(text):
    print("quickstart: " + text, flush=True)


def default_dir():
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(
        os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "acached-quickstart")


def progress(what, total):
    """A function that shows how far `what` is; lines are rewritten only on a
    terminal."""
    terminal = sys.stdout.isatty()
    shown = [time.monotonic()]

    def show(done, size):
        now = time.monotonic()
        last = done == total
        if now - shown[0] < (0.2 if terminal else 5) and not last:
            return
        shown[0] = now
        sys.stdout.write("%s  %s: %d of %d files, %.0f MB%s" % (
            "\r" if terminal else "", what, done, total, size / 1e6,
            "" if terminal and not last else "\n"))
        sys.stdout.flush()
    return show


class MainJob:
    """S3, proxy, acached, and the data set in all the places it is read from."""

    def __init__(self, path, keep=False, program=None):
        self.dir = os.path.abspath(path)
        self.keep = keep  # after this program has ended
        self.program = program or \
            os.environ.get("ACACHED") or os.path.join(TOP, "acached")
        self.state = os.path.join(self.dir, "state")
        self.mountpoint = os.path.join(self.dir, "mnt")
        self.data = os.path.join(self.mountpoint, "s3")
        self.copy = os.path.join(self.dir, "copy")
        self.mark = "quickstart:" + self.dir
        self.names = []
        self.proxy = None
        self.lock = None

    # one at a time

    def take_lock(self):
        os.makedirs(self.dir, exist_ok=True)
        lock = open(os.path.join(self.dir, "lock"), "a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            pid = lock.read().strip()
            lock.close()
            raise Problem("another one runs in %s (pid %s)" %
                          (self.dir, pid)) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self.lock = lock

    def interrupt_other(self):
        """Takes the lock from one that runs in the foreground, if there is
        one: that ends, and cleans up after itself."""
        end = time.monotonic() + 60
        asked = 0
        while True:
            try:
                self.take_lock()
                return
            except Problem:
                if time.monotonic() > end:
                    raise
            with open(os.path.join(self.dir, "lock")) as f:
                pid = f.read().strip()
            if pid and pid != asked:
                os.kill(int(pid), signal.SIGINT)
                asked = pid
            time.sleep(0.1)

    # starting

    def start(self):
        os.environ[acached.MARK] = self.mark
        self.check()
        self.make_copy()
        say("starting an S3 server (Ceph's gateway)")
        server = rgw.Rgw(os.path.join(self.dir, "ceph"), self.keep).start()
        self.upload(server)
        self.proxy = s3proxy.S3Proxy(server.endpoint, self.keep,
                                     os.path.join(self.dir, "proxy.log"))
        self.start_acached()

    def check(self):
        missing = rgw.missing_programs()
        if missing or not os.path.isdir(PICTURES):
            raise Problem("%s: not installed (contrib/install-deps --example "
                          "as root)" % ", ".join(missing or [PICTURES]))
        if not os.path.exists(self.program):
            raise Problem("%s: not built (make)" % self.program)
        os.makedirs(self.mountpoint, exist_ok=True)
        free = shutil.disk_usage(self.dir).free
        if free < SPACE:
            raise Problem("%s has %d MB free, and %d MB are needed (--dir DIR "
                          "puts everything elsewhere)" %
                          (self.dir, free >> 20, SPACE >> 20))

    def make_copy(self):
        """The plain local copy; it also says which files there are."""
        self.names = [n for n in files_of(PICTURES)
                      if not os.path.islink(os.path.join(PICTURES, n))]
        for name in self.names:
            to = os.path.join(self.copy, name)
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copyfile(os.path.join(PICTURES, name), to)

    def upload(self, server):
        s3 = server.client()
        s3.create_bucket(Bucket=BUCKET)
        rgw.upload(s3, BUCKET, [(n, os.path.join(self.copy, n))
                                for n in self.names], 8,
                   progress("upload to s3://%s" % BUCKET, len(self.names)))

    def start_acached(self):
        say("starting acached --role=master,worker,fuse")
        self.serve()
        self.run("fs", "mount", "/s3", "s3://" + BUCKET,
                 *acached.s3_options(self.proxy.endpoint),
                 "--state", self.state)

    def serve(self):
        self.run("--role=master,worker,fuse", "--state", self.state,
                 "--background", self.mountpoint)

    def remount(self):
        """Stops acached and starts it again: nothing is left in the
        kernel."""
        if not self.stop_acached():
            raise Problem("acached did not end within 20 s of SIGTERM")
        self.serve()

    def run(self, *argv):
        env = {k: v for k, v in rgw.clean_env().items()
               if not k.startswith("ACACHED_")}
        env[acached.MARK] = self.mark
        p = subprocess.run([self.program] + list(argv), env=env, check=False,
                           stdin=subprocess.DEVNULL, capture_output=True,
                           text=True, timeout=120)
        if p.returncode:
            raise Problem("acached %s failed: %s" % (
                " ".join(argv[:2]), (p.stderr or p.stdout).strip()))
        return p.stdout

    # ending

    def stop_acached(self):
        """As an administrator would; True if it ended by itself."""
        try:
            with open(os.path.join(self.state, "acached.pid")) as f:
                pid = int(f.read())
            if pid not in acached.marked(self.mark):
                return True
            os.kill(pid, signal.SIGTERM)
        except (OSError, ValueError):
            return True
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if not acached.alive(pid):
                return True
            time.sleep(0.02)
        return False

    def clean(self):
        """Ends all processes, unmounts, removes what was made in the
        directory, which may have other things in it."""
        ended = self.stop_acached()
        for again in range(3):
            acached.clear_mounts(self.dir)
            left = acached.marked(self.mark)
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not left and again:
                break
            time.sleep(0.1)
        if not ended:
            say("acached did not end within 20 s of SIGTERM and was killed")
        if acached.mounts_below(self.dir):
            raise Problem("%s cannot be unmounted" % self.mountpoint)
        for name in ("mnt", "state", "ceph", "copy"):
            shutil.rmtree(os.path.join(self.dir, name), ignore_errors=True)
        for name in ("proxy.log", "training.log"):
            if os.path.exists(os.path.join(self.dir, name)):
                os.unlink(os.path.join(self.dir, name))

    def close(self):
        """After clean(): gives up the lock, and the directory if it is
        empty."""
        os.unlink(os.path.join(self.dir, "lock"))
        self.lock.close()
        try:
            os.rmdir(self.dir)
        except OSError:
            pass

    # the job itself

    def train(self, epochs):
        """Runs train.py; its lines of JSON, as dicts."""
        argv = [sys.executable, os.path.join(HERE, "train.py"), self.data,
                "--epochs", str(epochs), "--compare", self.copy, "--counts",
                "http://127.0.0.1:%d" % self.proxy.control_port]
        results = []
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True,
                              preexec_fn=s3proxy.die_with_parent) as p:
            try:
                for line in p.stdout:
                    results.append(json.loads(line))
                status = p.wait()
            except BaseException:
                p.kill()
                raise
        if status:
            raise Problem("the training failed (exit code %d)" % status)
        return results

    def verify(self):
        """Compares every byte of every file with its source."""
        show = progress("compare with the source", len(self.names))
        result = compare_all(self.data, PICTURES, self.names, 4,
                             progress=show)
        if result["failed"]:
            raise Problem("%d files read through the mountpoint differ from "
                          "their source, first %s" % (result["failed"],
                                                      result["wrong"][0]))


def from_s3(result):
    """(GETs, bytes, hit ratio) of an epoch, by the proxy."""
    counts = result["s3"]
    return (counts["requests"].get("get", 0), counts["bytes"].get("get", 0),
            1 - counts["objects"] / result["samples"])


def show_table(results):
    print()
    print("%-11s %9s %12s %12s %11s %7s %10s" % (
        "", "pictures", "samples/s", "waiting s", "MB from S3", "GETs",
        "hit ratio"))
    for r in results:
        gets, size, hits = from_s3(r)
        print("%-11s %9d %12.1f %12.1f %11.1f %7d %10s" % (
            r["epoch"], r["samples"], r["samples"] / r["seconds"],
            r["waiting"], size / 1e6, gets,
            "" if r["epoch"] == "local copy" else "%.1f %%" % (100 * hits)))
    print("\nMB and GETs are counted by a proxy in front of S3; hit ratio: "
          "files read without a GET.\n", flush=True)


def judge(results):
    for r in results[1:]:
        gets, size, _ = from_s3(r)
        if gets:
            raise Problem("%s asked S3 for data: %d GETs, %d bytes" %
                          (r["epoch"], gets, size))


def run(job, args):
    job.start()
    if args.no_train:
        say("look at %s; end with examples/quickstart --stop%s" % (
            job.data, " --dir " + args.dir if args.dir else ""))
        return
    say("training through %s" % job.data)
    results = job.train(3)
    show_table(results)
    judge(results)
    job.verify()
    judge([None, {"epoch": "the comparison", "samples": len(job.names),
                  "s3": job.proxy.counts()}])
    say("epochs 2 and 3 took nothing from S3, and every byte was right")


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    p = argparse.ArgumentParser(prog="examples/quickstart")
    p.add_argument("--no-train", action="store_true")
    p.add_argument("--stop", action="store_true")
    p.add_argument("--dir")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, interrupted)
    # A shell that starts it in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    job = MainJob(args.dir or default_dir(), keep=args.no_train)
    leave = False
    status = 0
    try:
        if args.stop:
            job.interrupt_other()
        else:
            job.take_lock()
            job.clean()  # what an earlier one left
            run(job, args)
            leave = args.no_train
    except (Problem, RuntimeError, AssertionError, OSError,
            subprocess.SubprocessError) as e:
        print("quickstart: failed: %s" % e, file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        say("interrupted")
        status = 130
    if job.lock and not leave:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        job.clean()
        job.close()
    return status


if __name__ == "__main__":
    sys.exit(main())
