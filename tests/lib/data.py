"""Data sets for tests: trees of files whose bytes a seed decides."""

import os
import random

from rgw import upload

SIZES = (0, 1, 100, 4095, 4096, 4097, 20000, 65536, 131073, 300000)


def fill(path, size, seed):
    """Writes a file of `size` bytes that `seed` decides."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        rng = random.Random(seed)
        while size > 0:
            n = min(size, 1 << 20)
            f.write(rng.randbytes(n))
            size -= n


def make_tree(top, files=60, seed=1, sizes=SIZES, dirs=6):
    """`files` files of various sizes in `dirs` directories; their names."""
    names = []
    for i in range(files):
        name = "class%d/img %d.bin" % (i % dirs, i) if i % 7 == 3 else \
            "class%d/img-%d.bin" % (i % dirs, i)
        fill(os.path.join(top, name), sizes[i % len(sizes)],
             seed * 1000003 + i)
        names.append(name)
    return names


def upload_tree(s3, bucket, top, names, prefix="", progress=None, threads=8):
    return upload(s3, bucket, [(prefix + n, os.path.join(top, n))
                               for n in names], threads, progress)
