"""Where a system's processes spend their time, by perf."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

from s3proxy import die_with_parent
from world import Problem

LINES = 60


def missing():
    return None if shutil.which("perf") else \
        "no perf on this machine (Debian: linux-perf)"


@contextlib.contextmanager
def profiled(world, system, label):
    """While it lasts, `system`'s processes are sampled, into a text file
    beside the results; nothing if no profile was asked for."""
    pids = system.pids() if world.profiles else []
    if not pids:
        yield
        return
    path = os.path.join(world.profiles, "%s-%s" % (
        system.name, re.sub(r"\W+", "-", label)))
    p = subprocess.Popen(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", "999", "-g", "-o",
         path + ".data", "-p", ",".join(map(str, pids))],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=die_with_parent)
    time.sleep(0.3)  # it says nothing when it has begun
    try:
        yield
    finally:
        p.send_signal(signal.SIGINT)
        error = p.communicate(timeout=60)[1]
    if not os.path.exists(path + ".data"):
        raise Problem("perf: " + error.strip()[-300:])
    write(path)


def perf_report(path, *argv):
    p = subprocess.run(["perf", "report", "-i", path, "--stdio",
                        "--no-children", *argv], capture_output=True,
                       text=True, check=False, timeout=300)
    return [re.sub(r"[\s-]+$", "", x) for x in p.stdout.splitlines()
            if x.strip() and not x.startswith("#")]


def write(path):
    """Threads, then functions with the most samples, then who called them."""
    flat = ["-g", "none", "--sort"]
    with open(path + ".txt", "w") as f:
        for lines, argv in (
                (LINES, [*flat, "comm"]),
                (LINES, [*flat, "comm,dso,symbol"]),
                (10 * LINES, ["-g", "caller,0.5,callee", "--max-stack", "12",
                              "--sort", "comm,dso,symbol"])):
            found = perf_report(path + ".data", *argv)
            f.write("\n".join(found[:lines]) + "\n\n")
    os.unlink(path + ".data")
