"""Whole trees are read through a mountpoint, from a directory and from S3."""

import os

import pytest

import acached
import data


def test_a_directory_is_read(cluster, tree):
    top, names = tree
    cluster.start()
    cluster.fs("mount", "/d", "file://" + top)
    result = acached.read_all(cluster.at("d"), top, "--listing")
    assert result["files"] == len(names)
    cluster.stop()


def test_a_bucket_is_read(cluster, bucket, tree):
    top, names = tree
    bucket.upload(top, names)
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    acached.read_all(cluster.at("s3"), top, "--listing")
    assert bucket.proxy.counts()["objects"] == sum(
        os.path.getsize(os.path.join(top, n)) > 0 for n in names)
    bucket.proxy.reset()
    acached.read_all(cluster.at("s3"), top)
    assert bucket.proxy.gets() == 0
    cluster.stop()


def test_a_prefix_of_a_bucket(cluster, bucket, tree):
    top, names = tree
    bucket.upload(top, names, "deep/er/")
    bucket.put("deep/other", b"not this")
    cluster.start()
    cluster.mount_s3("/s3", bucket.name + "/deep/er", bucket.proxy.endpoint)
    acached.read_all(cluster.at("s3"), top, "--listing")


def test_nested_mounts(cluster, bucket, workdir, tree):
    top, names = tree
    bucket.upload(top, names)
    other = os.path.join(workdir, "other")
    data.make_tree(other, 10, seed=2)
    cluster.start()
    cluster.mount_s3("/data", bucket.name, bucket.proxy.endpoint)
    cluster.fs("mount", "/data/class0/inner", "file://" + other)
    acached.read_all(cluster.at("data"), top)
    acached.read_all(cluster.at("data/class0/inner"), other, "--listing")


def test_a_large_file_is_fetched_once_by_many_readers(cluster, bucket,
                                                      workdir):
    top = os.path.join(workdir, "large")
    size = 24 << 20
    data.fill(os.path.join(top, "big.bin"), size, 7)
    bucket.upload(top, ["big.bin"])
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    bucket.proxy.inject({"fault": "latency", "ms": 100})
    readers = [acached.Reader(cluster.at("s3"), top, "--chunk",
                              [1 << 20, 65536, 4096][n % 3])
               for n in range(8)]
    for r in readers:
        result = r.result()
        assert not result["failed"], result["wrong"]
    fetched = [0] * (size >> 12)
    for _, _, asked, status, count in bucket.proxy.log("get"):
        assert status in (200, 206)
        first, last = asked.replace("bytes=", "").split("-") if asked else \
            ("0", str(size - 1))
        for page in range(int(first) >> 12, (int(last) >> 12) + 1):
            fetched[page] += 1
    assert set(fetched) == {1}
    assert bucket.proxy.counts()["bytes"]["get"] == size


def test_small_files_are_fetched_once_by_many_readers(served):
    served.proxy.inject({"fault": "latency", "ms": 50})
    readers = [served.reader() for _ in range(6)]
    for r in readers:
        result = r.result()
        assert not result["failed"], result["wrong"]
    full = [n for n in served.names
            if os.path.getsize(os.path.join(served.top, n))]
    assert served.proxy.gets() == len(full)


def test_parts_of_a_large_file(cluster, bucket, workdir):
    top = os.path.join(workdir, "large")
    size = 9 * (1 << 20) + 12345
    data.fill(os.path.join(top, "big.bin"), size, 8)
    bucket.upload(top, ["big.bin"])
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    with open(os.path.join(top, "big.bin"), "rb") as f:
        want = f.read()
    fd = os.open(cluster.at("s3/big.bin"), os.O_RDONLY)
    try:
        for offset, n in ((5 << 20, 4096), ((1 << 20) - 10, 20), (size - 5, 99),
                          (size, 10), (3, 1), (0, 1 << 20)):
            assert os.pread(fd, n, offset) == want[offset:offset + n]
    finally:
        os.close(fd)
    assert bucket.proxy.counts()["bytes"]["get"] < size


def test_a_mountpoint_is_read_only(served):
    for write in (lambda p: open(p, "w"), lambda p: os.mkdir(p + ".d"),
                  lambda p: os.chmod(p, 0o600), os.unlink,
                  lambda p: os.rename(p, p + ".new")):
        with pytest.raises(OSError) as e:
            write(os.path.join(served.data, served.names[1]))
        assert e.value.errno == 30, e.value  # EROFS


def test_attributes_are_those_of_the_issue(served):
    path = os.path.join(served.data, served.names[1])
    st = os.stat(path)
    assert (st.st_mode, st.st_size) == (0o100644, 1)
    assert os.stat(os.path.dirname(path)).st_mode == 0o40755
    assert (st.st_uid, st.st_gid) == (os.getuid(), os.getgid())
    assert abs(st.st_mtime - os.stat(os.path.join(
        served.top, served.names[1])).st_mtime) < 3600
    with pytest.raises(FileNotFoundError):
        os.stat(os.path.join(served.data, "class0/none"))


def test_owner_and_umask_are_the_mounts(cluster, bucket, tree):
    bucket.upload(*tree)
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint, "--option",
                     "uid=1234", "--option", "gid=5678", "--option",
                     "umask=027")
    top = cluster.at("s3")
    st = os.stat(os.path.join(top, tree[1][1]))
    assert (st.st_mode, st.st_uid, st.st_gid) == (0o100640, 1234, 5678)
    assert os.stat(os.path.join(top, "class0")).st_mode == 0o40750
