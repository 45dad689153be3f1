"""Executes the table of faults in doc/under-storage.md, row by row, all at once:
each row has an object of its own.  When the fault is over, all is well."""

import base64
import concurrent.futures
import errno
import json
import os
import random
import time

import pytest

import acached
import doctable
import rgw as ceph
import s3proxy

SIZE = 100000
LARGE = 6 << 20  # more than is fetched at once
SLACK_S = 6  # other rows, other tests


def crc32c(data):
    """As S3 tells it: base64 of the big-endian number."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


class Row:
    def __init__(self, number, cells):
        self.what = cells["fault"]
        self.injected = json.loads(doctable.code(cells["injected"])[0])
        self.options = doctable.code(cells["options"])
        self.sees = cells["what the program sees"]
        self.least_s, self.most_s = map(
            float, cells["after"].split()[0].split("–"))
        self.requests = cells["requests"]
        self.kind = self.injected.get("kind", "get")
        self.dir = "%s/row-%02d-x" % (self.kind, number)
        self.key = self.dir + "/o"
        self.body = random.Random(number).randbytes(
            LARGE if "after" in self.injected else SIZE)
        # What cannot be told by the key has a proxy of its own.
        self.alone = self.kind in ("any", "list")

    def fault(self):
        fault = dict(self.injected)
        headers = fault.get("headers", {})
        fault["headers"] = {n: crc32c(self.body) if v == "CRC32C" else v
                            for n, v in headers.items()}
        if not self.alone:
            fault["key"] = self.key
        if fault["fault"] in ("clock", "region"):
            fault["keys"] = [ceph.ACCESS_KEY, ceph.SECRET_KEY]
        return fault

    def run(self, top):
        """What the program sees, and how long that takes it."""
        started = time.monotonic()
        try:
            if self.kind == "list":
                told = os.listdir(os.path.join(top, self.dir)) == ["o"]
                sees = "the names" if told else "other names"
            else:
                sees = self.read(os.path.join(top, self.key))
        except OSError as e:
            sees = errno.errorcode[e.errno]
        return sees, time.monotonic() - started

    def read(self, path):
        got = b""
        try:
            with open(path, "rb", buffering=0) as f:
                for piece in iter(lambda: f.read(1 << 16), b""):
                    got += piece
        except OSError as e:
            if got != self.body[:len(got)]:
                return "other bytes"
            return "%s%s" % ("bytes, then " if got else "",
                             errno.errorcode[e.errno])
        return "the bytes" if got == self.body else "other bytes"

    def is_true(self, sees, took, requests):
        least, _, most = self.requests.partition("–")
        return sees == self.sees and \
            self.least_s <= took <= self.most_s + SLACK_S and \
            int(least) <= requests <= int(most or least)

    def count(self, proxy):
        kind = "get" if self.kind == "any" else self.kind
        wanted = self.key if kind != "list" else self.dir.replace("/", "%2F")
        return sum(wanted in e[1] for e in proxy.log(kind))


class Stage:
    """A cluster with a mount for each set of options."""

    def __init__(self, cluster, bucket, rows):
        self.cluster = cluster
        self.bucket = bucket
        self.proxies = {}
        self.tops = {}
        for r in rows:
            bucket.put(r.key, r.body)
            if r.alone:
                self.proxies[r] = s3proxy.S3Proxy(bucket.server.endpoint)
        faults = [r.fault() for r in rows if not r.alone]
        cluster.start()
        for r in rows:
            self.mount(r)
        bucket.proxy.inject(*faults)

    def proxy(self, row):
        return self.proxies.get(row, self.bucket.proxy)

    def mount(self, row):
        name = row.dir.replace("/", "-") if row.alone else \
            "with-" + "-".join(row.options)
        top = self.cluster.at(name)
        known = top in self.tops.values()
        self.tops[row] = top
        if known:
            return
        more = [w for o in row.options for w in ("--option", o)]
        if row.alone and row.kind == "any":
            self.proxy(row).inject(row.fault())
        self.cluster.mount_s3("/" + name, self.bucket.name,
                              self.proxy(row).endpoint, *more)
        list(os.walk(os.path.join(top, "get")))
        if row.kind == "list":
            os.stat(os.path.join(top, row.dir))
            self.proxy(row).reset()
            self.proxy(row).inject(row.fault())

    def close(self):
        for p in self.proxies.values():
            p.close()


@pytest.mark.slow
def test_each_row_of_the_table_is_true(cluster, bucket):
    rows = [Row(i, cells) for i, cells in enumerate(
        doctable.rows("under-storage.md", "### Faults"))]
    stage = Stage(cluster, bucket, rows)
    wrong = []
    try:
        with concurrent.futures.ThreadPoolExecutor(len(rows)) as pool:
            seen = list(pool.map(lambda r: r.run(stage.tops[r]), rows))
        for r, (sees, took) in zip(rows, seen):
            n = r.count(stage.proxy(r))
            print("%-50s %-10s %6.2f s %3d" % (r.what, sees, took, n))
            if not r.is_true(sees, took, n):
                wrong.append("%s: %s after %.2f s, %d requests" %
                             (r.what, sees, took, n))
        for r in rows:
            stage.proxy(r).clear()
        for r in rows:
            acached.wait_for("the end of: " + r.what, lambda r=r: r.run(
                stage.tops[r])[0] in ("the bytes", "the names"), 2, 0.1)
    finally:
        stage.close()
    assert not wrong, "\n".join(wrong)
