#!/usr/bin/python3
"""Reads random objects below a mountpoint while others break things, and checks
every byte.

    chaosread.py TOP BOARD --seed N

An object's content tells which version it is of, tile by tile (`body`), so that
whatever was read can be judged.  BOARD is a file that the breaker writes: for
each object which version it has begun to put, which one a refresh has shown
long enough ago that nobody may see an older one, and when it was last put.  The
first word says stop.  Prints one JSON value at the end; `failed` has sentences.

The only error that a reader may see is ESTALE, of an object that was replaced
lately, and the next attempts must be right.
"""

import argparse
import errno
import functools
import json
import mmap
import os
import random
import struct
import sys
import time

TILE = 4096
SIZES = (100, 5000, 40000, 100000, 300001, 1 << 20, (5 << 20) + 7)
WHOLE = 4 << 20  # bytes that are fetched at once, and so checked
REPLACED_LATELY_S = 60
ESTALE_S = 30  # within which an attempt must succeed
SAID = 20

HEAD = struct.Struct("=II")   # stop, number of objects
ROW = struct.Struct("=IId")   # begun, floor, when it was put last


class Board:
    def __init__(self, path, objects=None):
        if objects:
            with open(path, "wb") as f:
                f.write(HEAD.pack(0, objects))
                f.write(ROW.pack(1, 1, 0) * objects)
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)

    @property
    def stop(self):
        return HEAD.unpack_from(self.map, 0)[0]

    @property
    def objects(self):
        return HEAD.unpack_from(self.map, 0)[1]

    def end(self):
        HEAD.pack_into(self.map, 0, 1, self.objects)

    def get(self, i):
        return ROW.unpack_from(self.map, HEAD.size + i * ROW.size)

    def set(self, i, begun, floor, put):
        ROW.pack_into(self.map, HEAD.size + i * ROW.size, begun, floor, put)


def name(i):
    """What is fetched in parts has no checksum: such are not given wrong
    bytes, and told apart by their names."""
    return "d%d/%s %d" % (i % 8, "large" if SIZES[i % len(SIZES)] > WHOLE
                          else "object", i)


def size(i, version):
    """Versions differ in length, so that a mix of two shows in that too."""
    return SIZES[i % len(SIZES)] + version % 3 * (i % 1000)


@functools.lru_cache(64)
def filling(i, version):
    return random.Random(i * 1000003 + version).randbytes(TILE - 24)


def tile(i, version, at):
    return b"%08x%08x%08x" % (i, version, at) + filling(i, version)


def body(i, version):
    n = size(i, version)
    return b"".join(tile(i, version, at)
                    for at in range(-(-n // TILE)))[:n]


def version_of(data, i):
    """Of bytes that begin at a tile; None: they are no object's."""
    try:
        if int(data[:8], 16) != i:
            return None
        return int(data[8:16], 16)
    except ValueError:
        return None


class Reader:
    def __init__(self, top, board, seed):
        self.top = top
        self.board = board
        self.random = random.Random(seed)
        self.said = {"reads": 0, "bytes": 0, "lists": 0, "estale": 0,
                     "failed": []}

    def fail(self, what, *values):
        self.said["failed"].append(what % values)

    def read(self, i):
        """(offset, bytes) of a whole object, or of some tiles of it."""
        fd = os.open(os.path.join(self.top, name(i)), os.O_RDONLY)
        try:
            if self.random.random() < 0.5:  # not from the kernel's pages
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            start = 0
            if self.random.random() < 0.3:
                start = self.random.randrange(SIZES[i % len(SIZES)])
                start -= start % TILE
            chunk = self.random.choice((TILE, 1 << 17, 1 << 20))
            limit = 1 << 17 if chunk == TILE else 1 << 30
            parts, at = [], start
            while at - start < limit:
                part = os.pread(fd, chunk, at)
                if not part:
                    return start, b"".join(parts), True
                parts.append(part)
                at += len(part)
            return start, b"".join(parts), False
        finally:
            os.close(fd)

    def judge(self, i, floor, start, data, to_end):
        if not data:
            self.fail("%s: nothing at %d", name(i), start)
            return
        v = version_of(data, i)
        begun = self.board.get(i)[0]
        if v is None or not floor <= v <= begun:
            self.fail("%s: version %s at %d, of %d to %d", name(i), v, start,
                      floor, begun)
            return
        want = body(i, v)[start:]
        if not to_end:
            want = want[:len(data)]
        if data != want:
            at = next((k for k, (a, b) in enumerate(zip(data, want))
                       if a != b), min(len(data), len(want)))
            self.fail("%s: version %d: of %d bytes from %d on, %d wanted, the "
                      "first wrong one is at %d: %s for %s", name(i), v,
                      len(data), start, len(want), start + at,
                      data[at:at + 40].hex(), want[at:at + 40].hex())

    def one(self, i):
        end = time.monotonic() + ESTALE_S
        while True:
            floor = self.board.get(i)[1]
            try:
                start, data, to_end = self.read(i)
            except OSError as e:
                put = self.board.get(i)[2]
                if e.errno != errno.ESTALE or \
                        time.time() - put > REPLACED_LATELY_S:
                    self.fail("%s: %s", name(i), e)
                    return
                if time.monotonic() > end:
                    self.fail("%s: ESTALE for %d s", name(i), ESTALE_S)
                    return
                self.said["estale"] += 1
                time.sleep(0.1)
                continue
            self.judge(i, floor, start, data, to_end)
            self.said["reads"] += 1
            self.said["bytes"] += len(data)
            return

    def list(self):
        d = self.random.randrange(8)
        want = {os.path.basename(name(i)) for i in range(self.board.objects)
                if i % 8 == d}
        try:
            got = set(os.listdir(os.path.join(self.top, "d%d" % d)))
        except OSError as e:
            self.fail("listing: %s", e)
            return
        if got != want:
            self.fail("listing of d%d: %s too many, %s missing", d,
                      sorted(got - want)[:3], sorted(want - got)[:3])
        self.said["lists"] += 1

    def run(self):
        while not self.board.stop and len(self.said["failed"]) < SAID:
            if self.random.random() < 0.05:
                self.list()
            else:
                self.one(self.random.randrange(self.board.objects))
        return self.said


def main():
    p = argparse.ArgumentParser()
    p.add_argument("top")
    p.add_argument("board")
    p.add_argument("--seed", type=int, required=True)
    args = p.parse_args()
    said = Reader(args.top, Board(args.board), args.seed).run()
    print(json.dumps(said))
    return 1 if said["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
