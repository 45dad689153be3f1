"""What S3 does wrong is retried, told with its errno, and never served."""

import errno
import os
import subprocess
import time

import pytest

import acached
import data


@pytest.mark.parametrize("fault", [
    {"fault": "status", "status": 503},
    {"fault": "status", "status": 500},
    {"fault": "status", "status": 429},
    {"fault": "reset"},
    {"fault": "reset-body", "at": 50},
    {"fault": "short-body", "at": 50},
], ids=lambda f: str(f.get("status", f["fault"])))
def test_every_third_get_fails(served, fault):
    served.proxy.inject(dict(fault, every=3))
    served.read_all()
    assert served.proxy.counts()["injected"][fault["fault"]] > 10


def test_listings_fail_too(cluster, bucket, tree):
    top, names = tree
    bucket.upload(top, names)
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    bucket.proxy.inject({"fault": "status", "kind": "list", "every": 2},
                        {"fault": "reset", "kind": "list", "every": 3})
    acached.read_all(cluster.at("s3"), top, "--listing")


@pytest.mark.slow
def test_a_dead_object_gives_eio_and_leaves_the_others_alone(served):
    bad = served.names[3]
    served.proxy.inject({"fault": "status", "status": 500,
                         "key": bad.replace(" ", "%20")})
    with pytest.raises(OSError) as e:
        with open(os.path.join(served.data, bad), "rb") as f:
            f.read()
    assert e.value.errno == errno.EIO
    good = [n for n in served.names if n != bad]
    only = os.path.join(served.cluster.dir, "only")
    with open(only, "w") as f:
        f.write("\n".join(good))
    served.read_all("--only", only)
    served.proxy.clear()

    def is_read():
        try:
            with open(os.path.join(served.data, bad), "rb") as f:
                return f.read()
        except OSError:
            return None
    acached.wait_for("the failure is not told again", is_read)
    served.read_all()


def test_an_object_replaced_under_an_open_file(cluster, bucket, workdir):
    top = os.path.join(workdir, "source")
    size = 6 << 20
    data.fill(os.path.join(top, "o"), size, 1)
    bucket.upload(top, ["o"])
    with open(os.path.join(top, "o"), "rb") as f:
        old = f.read()
    new = bytes(b ^ 0xff for b in old)
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    path = cluster.at("s3/o")
    fd = os.open(path, os.O_RDONLY)
    try:
        assert os.pread(fd, 1000, 0) == old[:1000]
        bucket.put("o", new)
        got = b""
        try:
            for offset in range(0, size, 1 << 16):
                got += os.pread(fd, 1 << 16, offset)
        except OSError as e:
            assert e.errno in (errno.ESTALE, errno.EIO)
        assert got == old[:len(got)], "bytes of two versions in one open file"
    finally:
        os.close(fd)
    cluster.fs("loadMetadata", "/s3/o")

    def whole():
        with open(path, "rb") as f:
            return f.read()
    acached.wait_for("the new version", lambda: whole() == new, 15, 0.2)


def test_new_changed_and_removed_objects_are_seen(served):
    path = os.path.join(served.data, "class1")
    before = sorted(os.listdir(path))
    served.bucket.put("class1/new one", b"hello")
    served.bucket.put(served.names[1], b"changed")
    served.bucket.s3.delete_object(Bucket=served.bucket.name,
                                   Key=served.names[7])
    listed = served.cluster.fs("ls", "-f", "/s3/class1").stdout
    assert "new one" in listed
    gone = os.path.basename(served.names[7])
    assert gone not in listed
    want = sorted([n for n in before if n != gone] + ["new one"])
    acached.wait_for("the kernel's view",
                     lambda: sorted(os.listdir(path)) == want, 10, 0.1)

    def content(name):
        with open(os.path.join(served.data, name), "rb") as f:
            return f.read()
    acached.wait_for("the new bytes", lambda:
                     content("class1/new one") == b"hello" and
                     content(served.names[1]) == b"changed", 10, 0.1)


def test_an_unknown_name_is_asked_for_once_a_negative_ttl(cluster, bucket,
                                                          tree):
    bucket.upload(*tree)
    cluster.start("--set", "master.negative-ttl=2s")
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    os.listdir(cluster.at("s3/class0"))
    bucket.proxy.reset()
    path = cluster.at("s3/class0/later")
    for _ in range(50):
        assert not os.path.exists(path)
    asked = bucket.proxy.counts()["requests"]
    assert asked.get("head", 0) + asked.get("list", 0) <= 2, asked
    bucket.put("class0/later", b"now")
    acached.wait_for("the new name", lambda: os.path.exists(path), 10, 0.1)


def test_what_is_cached_is_served_when_s3_is_away_at_a_restart(serve):
    served = serve()
    served.read_all("--listing")
    served.cluster.stop()
    served.bucket.server.kill_gateway()
    try:
        served.cluster.start()
        served.read_all("--listing")
    finally:
        served.bucket.server.start_gateway()
    served.cluster.stop()


@pytest.mark.slow
def test_a_missing_role_is_waited_for_then_etimedout(clusters, tree):
    c = clusters()
    c.start(separate=True)
    c.fs("mount", "/d", "file://" + tree[0])
    name = next(n for n in tree[1] if os.path.getsize(
        os.path.join(tree[0], n)) > 4000)
    worker = c.started[1]
    worker.process.kill()
    worker.process.wait()
    for pid in c.pids():
        if "--role=worker" in acached.argv_of(pid):
            os.kill(pid, 9)
    started = time.monotonic()
    p = subprocess.run(["cat", c.at("d", name)], capture_output=True,
                       timeout=60, text=True)
    assert p.returncode and "Connection timed out" in p.stderr, p.stderr
    assert 20 < time.monotonic() - started < 45
    assert "worker" in c.log_text()
