#!/usr/bin/python3
"""Reads every file of a tree and compares every byte with its source.

    readtree.py TREE SOURCE [--threads N] [--shuffle SEED] [--times N]
                [--only LIST] [--chunk BYTES] [--progress]

A program of its own, so that who waits for it can give up on it.  Prints one
JSON value: files, bytes, seconds, wrong (the first few sentences about a file
that is missing, differs or could not be read) and failed (how many).  Exits with
1 if there are any.
"""

import argparse
import concurrent.futures
import json
import os
import random
import sys
import time

SAID = 20


def files_of(top):
    """Paths of the regular files below `top`, relative to it, sorted."""
    found = []
    for where, _, names in os.walk(top):
        for name in names:
            path = os.path.join(where, name)
            if os.path.isfile(path):
                found.append(os.path.relpath(path, top))
    return sorted(found)


def read_whole(path, chunk=1 << 20):
    fd = os.open(path, os.O_RDONLY)
    try:
        parts = []
        while True:
            part = os.read(fd, chunk)
            if not part:
                return b"".join(parts)
            parts.append(part)
    finally:
        os.close(fd)


def first_difference(a, b):
    for i in range(0, min(len(a), len(b)), 4096):
        if a[i:i + 4096] != b[i:i + 4096]:
            for j in range(i, min(i + 4096, len(a), len(b))):
                if a[j] != b[j]:
                    return j
    return min(len(a), len(b))


def compare(tree, source, name, chunk=1 << 20):
    """(bytes read, None or a sentence)"""
    try:
        got = read_whole(os.path.join(tree, name), chunk)
    except OSError as e:
        return 0, "%s: %s" % (name, os.strerror(e.errno))
    want = read_whole(os.path.join(source, name))
    if got == want:
        return len(got), None
    if len(got) != len(want):
        return len(got), "%s: %d bytes instead of %d" % (name, len(got),
                                                         len(want))
    return len(got), "%s: differs at byte %d" % (name,
                                                 first_difference(got, want))


def compare_all(tree, source, names, threads=8, chunk=1 << 20, progress=None):
    """{"files", "bytes", "seconds", "failed", "wrong"} of comparing `names`."""
    started = time.monotonic()
    done = size = failed = 0
    wrong = []
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for n, bad in pool.map(lambda x: compare(tree, source, x, chunk),
                               names):
            done += 1
            size += n
            if bad:
                failed += 1
                if len(wrong) < SAID:
                    wrong.append(bad)
            if progress:
                progress(done, size)
    return {"files": done, "bytes": size, "failed": failed, "wrong": wrong,
            "seconds": time.monotonic() - started}


def missing_in(tree, names):
    """Sentences about names of the source that a listing of `tree` lacks, and
    about names it has on top."""
    have = set(files_of(tree))
    return (["%s: not listed" % n for n in names if n not in have] +
            ["%s: listed, but not in the source" % n
             for n in sorted(have.difference(names))])


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("tree")
    p.add_argument("source")
    p.add_argument("--threads", type=int, default=8)
    p.add_argument("--shuffle", type=int)
    p.add_argument("--times", type=int, default=1)
    p.add_argument("--only", help="a file with one relative path a line")
    p.add_argument("--chunk", type=int, default=1 << 20)
    p.add_argument("--listing", action="store_true",
                   help="compare the listings too")
    args = p.parse_args()

    if args.only:
        with open(args.only) as f:
            names = f.read().splitlines()
    else:
        names = files_of(args.source)
    total = {"files": 0, "bytes": 0, "failed": 0, "wrong": [], "seconds": 0}
    if args.listing:
        total["wrong"] = missing_in(args.tree, names)
        total["failed"] = len(total["wrong"])
    for turn in range(args.times):
        if args.shuffle is not None:
            random.Random(args.shuffle + turn).shuffle(names)
        one = compare_all(args.tree, args.source, names, args.threads,
                          args.chunk)
        for k, v in one.items():
            total[k] += v
    total["wrong"] = total["wrong"][:SAID]
    json.dump(total, sys.stdout)
    print()
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
