"""Looking at a tree: ls -lR, find and du, the first and the second time."""

import os
import resource
import subprocess
import time

from measure import in_turns, measured, medians, pick, target, value
from systems import find
from world import Problem

TITLE = "A tree: entries/s, CPU an entry"
KEYS = ("case", "system")
COMMANDS = (("ls -lR", ("ls", "-lR")), ("find", ("find",)),
            ("du", ("du", "-a")))


def run(argv, top):
    """The command's entries and time, as the reader has them.  What find and du
    print must have as many lines as there are entries."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    p = subprocess.run([*argv, "."], cwd=top, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, check=False, timeout=300,
                       env={**os.environ, "LC_ALL": "C"})
    seconds = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    if p.returncode:
        raise Problem("%s: %s" % (argv[0], p.stderr.decode()[-300:]))
    return {"operations": p.stdout.count(b"\n"), "seconds": seconds,
            "cpu": used.ru_utime + used.ru_stime - before.ru_utime -
            before.ru_stime}


def count(got, name, entries, dirs):
    """What ls prints besides entries is taken away."""
    n = got["operations"]
    if name == "ls -lR":  # "DIR:", "total N" and an empty line between
        n -= 3 * dirs - 1 - 1
    if n != entries:
        raise Problem("%s shows %d entries, not %d" % (name, n, entries))
    got["operations"] = n
    return got


def one_system(world, data, system, turn, rows):
    dirs = len({os.path.dirname(n) for n in data.names}) + 1  # "."
    entries = len(data.names) + dirs
    for name, argv in COMMANDS:
        system.start(data)
        for case in ("first", "second"):
            label = "%s, %s time" % (name, case)
            r = measured(world, system, label, lambda: count(
                run(argv, system.top), name, entries, dirs))
            rows.append({"case": label, "system": system.name, "round": turn,
                         **r})
            world.say("%s, %s: %.0f entries/s" % (system.name, label,
                                                  r["per s"]))


def bench(world):
    rows = []
    data = world.tree()
    in_turns(world, find(world), lambda turn, system: one_system(
        world, data, system, turn, rows))
    rows = medians(rows, KEYS)
    case = "ls -lR, second time"
    return rows, [target("entries/s", value(
        pick(rows, system="acached", case=case), "per s"), 100000, case=case)]
