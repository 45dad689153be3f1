"""The quickstart's epochs without the training: every file of the data set is
read once an epoch, in another order each time, by two processes."""

import multiprocessing
import os
import random
import time

import acached
from mainjob import MainJob
from measure import target
from readtree import read_whole

TITLE = "Epochs over 6 900 pictures in S3, without training"
KEYS = ("case", "system")
READERS = 2
TICKS = os.sysconf("SC_CLK_TCK")


def read_some(top, names, queue):
    size = 0
    for name in names:
        size += len(read_whole(os.path.join(top, name)))
    queue.put(size)


def read_epoch(top, names, seed):
    """Seconds and bytes of reading all of `names` below `top`."""
    order = list(names)
    random.Random(seed).shuffle(order)
    queue = multiprocessing.Queue()
    readers = [multiprocessing.Process(target=read_some, args=(
        top, order[i::READERS], queue)) for i in range(READERS)]
    started = time.monotonic()
    for r in readers:
        r.start()
    for r in readers:
        r.join()
    seconds = time.monotonic() - started
    if any(r.exitcode for r in readers):
        raise RuntimeError("a reader failed")
    return seconds, sum(queue.get() for _ in readers)


def cpu_seconds(job):
    """What acached's processes have used so far."""
    total = 0
    for pid in acached.marked(job.mark):
        argv = acached.argv_of(pid)
        if argv and os.path.basename(argv[0]) == "acached":
            with open("/proc/%d/stat" % pid) as f:
                words = f.read().rpartition(")")[2].split()
            total += int(words[11]) + int(words[12])
    return total / TICKS


def measure(job, case, top, seed, system="acached"):
    job.proxy.reset()
    before = cpu_seconds(job)
    seconds, size = read_epoch(top, job.names, seed)
    used = cpu_seconds(job) - before
    counts = job.proxy.counts()
    n = len(job.names)
    return {"case": case, "system": system, "per s": n / seconds,
            "MB/s": size / seconds / 1e6, "seconds": seconds,
            "CPU us": used * 1e6 / n,
            "GETs": counts["requests"].get("get", 0),
            "MB from S3": counts["bytes"].get("get", 0) / 1e6,
            "hit ratio": 1 - counts["objects"] / n}


def bench(world):
    """Once: it has three epochs already."""
    job = MainJob(world.path("epochs"), program=world.program)
    try:
        job.take_lock()
        job.start()
        rows = [measure(job, "epoch %d" % (n + 1), job.data, n)
                for n in range(3)]
        job.remount()
        rows.append(measure(job, "new mountpoint", job.data, 3))
        rows.append(measure(job, "epoch 2", job.copy, 4, "native"))
    finally:
        job.clean()
        job.close()
    return rows, [
        target("%s: GETs" % r["case"], r["GETs"], 0, True)
        for r in rows[1:4]]
