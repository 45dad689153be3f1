"""PyTorch epochs: examples/train.py over pictures through each system."""

import json
import os
import subprocess
import sys

from mainjob import PICTURES
from measure import in_turns, pick, target, value
from readtree import files_of
from s3proxy import die_with_parent
from systems import cpu_of, find
from world import TOP, Problem

TITLE = "PyTorch epochs over pictures"
KEYS = ("case", "system")
ONCE = True
TRAIN = os.path.join(TOP, "examples", "train.py")
EPOCHS = 2


def epochs(world, system, pictures):
    """A row an epoch; train.py ends one with a line."""
    argv = [sys.executable, TRAIN, system.top, "--epochs", str(EPOCHS)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE,
                          preexec_fn=die_with_parent) as p:
        cpu, counts = sum(system.cpu().values()), world.relay.counts()["get"]
        for line in p.stdout:
            r = json.loads(line)
            now, after = sum(system.cpu().values()), world.relay.counts()["get"]
            yield {"per s": r["samples"] / r["seconds"],
                   "seconds": r["seconds"], "waiting s": r["waiting"],
                   "system CPU us": (now - cpu) * 1e6 / r["samples"],
                   "GETs": after[0] - counts[0],
                   "S3 bytes / data": (after[1] - counts[1]) / pictures.bytes}
            cpu, counts = now, after
        error = p.stderr.read()
    if p.returncode:
        raise Problem("train.py: " + error[-300:])


def bench(world):
    """Once: an epoch is long, and its sums are steady."""
    rows = []
    names = [n for n in files_of(PICTURES)
             if not os.path.islink(os.path.join(PICTURES, n))]
    data = world.copied("pictures", PICTURES,
                        names[::world.sizes.picture_step])

    def run(_, system):
        system.start(data)
        for n, r in enumerate(epochs(world, system, data)):
            rows.append({"case": "epoch %d" % (n + 1), "system": system.name,
                         **r, "shown": "%.0f samples/s, waits %.1f s" % (
                             r["per s"], r["waiting s"])})
            world.say("%s, epoch %d: %.0f samples/s" % (
                system.name, n + 1, r["per s"]))

    in_turns(world, find(world), run, rounds=1)
    case = "epoch %d" % EPOCHS
    return rows, [target("GETs", value(pick(
        rows, system="acached", case=case), "GETs"), 0, True, case=case)]
