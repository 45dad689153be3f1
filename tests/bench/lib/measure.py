"""One measurement, medians of several, and targets."""

import statistics

from profile_of import profiled
from world import FAILURES, KINDS, MIB


def words_of(got, system_cpu=0):
    """The columns for what the reader says of itself."""
    n = got["operations"]
    row = {"per s": n / got["seconds"], "seconds": got["seconds"]}
    if "bytes" in got:
        row["MB/s"] = got["bytes"] / got["seconds"] / 1e6
    if "p50_us" in got:
        row.update({"p50 us": got["p50_us"], "p99 us": got["p99_us"]})
    row.update({"reader CPU us": got["cpu"] / n * 1e6,
                "system CPU us": system_cpu / n * 1e6,
                "CPU us": (got["cpu"] + system_cpu) / n * 1e6})
    return row


def measured(world, system, label, action):
    """What `action`, which gives words as the reader's, took of everybody;
    `label` is for a profile."""
    cpu, upcalls = system.cpu(), system.upcalls()
    before = world.relay.counts() if system.cold else None
    with profiled(world, system, label):
        got = action()
    n = got["operations"]
    used = {part: seconds - cpu.get(part, 0)
            for part, seconds in system.cpu().items()}
    row = words_of(got, sum(used.values()))
    if len(used) > 1:
        row.update({part + " CPU us": seconds / n * 1e6
                    for part, seconds in used.items()})
    if upcalls is not None:
        row["up-calls"] = (system.upcalls() - upcalls) / n
    if before:
        after = world.relay.counts()
        of = {k: [a - b for a, b in zip(after[k], before[k])] for k in KINDS}
        row["GETs"] = of["get"][0]
        row["HEADs"], row["lists"] = of["head"][0], of["list"][0]
        if got.get("bytes"):
            row["S3 bytes / data"] = of["get"][1] / got["bytes"]
    memory = system.memory()
    if memory["pss"]:
        row.update({"RSS MB": memory["rss"] / MIB,
                    "PSS MB": memory["pss"] / MIB})
    return row


RAW = "raw GETs"


def raw(world, targets, top, threads, seed=1):
    """Bare GETs by the reader itself, which nothing can be faster than."""
    before = world.relay.counts()["get"]
    got = world.read("http", world.relay.port, "GET", top, targets, threads,
                     seed)
    after = world.relay.counts()["get"]
    row = words_of(got)
    row.update({"GETs": after[0] - before[0],
                "S3 bytes / data": (after[1] - before[1]) / got["bytes"]})
    return row


def medians(rows, keys):
    """Rows with equal `keys` become one, with the median of each number."""
    groups = {}
    for r in rows:
        groups.setdefault(tuple(r.get(k) for k in keys), []).append(r)
    found = []
    for key, group in groups.items():
        one = {k: v for k, v in zip(keys, key) if v is not None}
        for field in dict.fromkeys(f for g in group for f in g):
            values = [g[field] for g in group if field in g]
            if field not in keys and field != "round":
                one[field] = statistics.median(values)
        one["rounds"] = len(group)
        found.append(one)
    return found


def in_turns(world, systems, run, begin=None, rounds=None):
    """run(round, system), each system in another place each round, and
    begin(round) before.  A rival that fails takes no part in later rounds."""
    systems = list(systems)
    for turn in range(rounds or world.rounds):
        if begin:
            begin(turn)
        at = turn % max(1, len(systems))
        for system in systems[at:] + systems[:at]:
            try:
                run(turn, system)
            except FAILURES as e:
                if not system.rival:
                    raise
                world.failed(system, e)
                systems.remove(system)
            finally:
                system.destroy()


def pick(rows, **want):
    """The row with these values, or None."""
    for r in rows:
        if all(r.get(k) == v for k, v in want.items()):
            return r
    return None


def target(what, value, limit, at_most=False, **row):
    """A line of the table of targets, which says which row of acached's it is
    about; None where nothing was measured."""
    if value is None:
        return None
    hit = value <= limit if at_most else value >= limit
    return {"target": what, "limit": ("<= %g" if at_most else ">= %g") % limit,
            "measured": value, "result": "hit" if hit else "MISS", "row": row}


def ratio(a, b, field):
    return a[field] / b[field] if a and b and b.get(field) else None


def value(row, field):
    return row.get(field) if row else None
