"""The test library does what the other tests take for granted."""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import botocore.exceptions
import pytest

import acached
import apart
import data
import runner
from readtree import compare_all
from rgw import free_ports


def via(bucket):
    """A client through the proxy that tries once."""
    return bucket.server.client(bucket.proxy.endpoint, attempts=1)


def raw_get(bucket, key, size=1 << 20):
    """Status, declared length and body of a GET by hand, unsigned."""
    url = bucket.s3.generate_presigned_url(
        "get_object", Params={"Bucket": bucket.name, "Key": key})
    host = bucket.server.endpoint.replace("http://", "")
    target = url.split(host, 1)[1]
    s = socket.create_connection(("127.0.0.1", bucket.proxy.port), 10)
    s.sendall(("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" %
               (target, host)).encode())
    got, reset = b"", False
    try:
        while True:
            part = s.recv(size)
            if not part:
                break
            got += part
    except ConnectionResetError:
        reset = True
    s.close()
    head, _, body = got.partition(b"\r\n\r\n")
    return head, body, reset


def test_the_proxy_counts_by_kind_and_passes_every_byte(bucket):
    body = os.urandom(3000001)
    s3 = via(bucket)
    s3.put_object(Bucket=bucket.name, Key="a/b", Body=body)
    assert s3.get_object(Bucket=bucket.name, Key="a/b")["Body"].read() == body
    part = s3.get_object(Bucket=bucket.name, Key="a/b", Range="bytes=5-1004")
    assert part["Body"].read() == body[5:1005]
    s3.head_object(Bucket=bucket.name, Key="a/b")
    s3.list_objects_v2(Bucket=bucket.name)
    counts = bucket.proxy.counts()
    assert counts["requests"] == {"put": 1, "get": 2, "head": 1, "list": 1}
    assert counts["bytes"]["get"] == 3001001
    assert counts["objects"] == 1
    assert bucket.proxy.log("get")[1][2:] == ["bytes=5-1004", 206, 1000]
    bucket.proxy.reset()
    assert bucket.proxy.counts()["requests"] == {}


def test_a_refusal_is_injected_as_often_as_asked(bucket):
    bucket.put("k", b"x")
    bucket.proxy.inject({"fault": "status", "status": 503, "count": 2})
    statuses = [raw_get(bucket, "k")[0].split()[1] for _ in range(3)]
    assert statuses == [b"503", b"503", b"200"]
    assert bucket.proxy.counts()["injected"] == {"status": 2}


def test_latency_delays_one_kind_only(bucket):
    bucket.put("k", b"x")
    bucket.proxy.inject({"fault": "latency", "ms": 300})
    s3 = via(bucket)
    t = time.monotonic()
    s3.head_object(Bucket=bucket.name, Key="k")
    between = time.monotonic()
    s3.get_object(Bucket=bucket.name, Key="k")["Body"].read()
    assert time.monotonic() - between >= 0.3
    assert between - t < 0.3


def test_bodies_are_cut_stalled_and_changed(bucket):
    body = os.urandom(500000)
    bucket.put("k", body)
    bucket.proxy.inject({"fault": "short-body", "at": 1000})
    _, got, reset = raw_get(bucket, "k")
    assert got == body[:1000] and not reset
    bucket.proxy.inject({"fault": "reset-body", "at": 1000})
    _, got, reset = raw_get(bucket, "k")
    assert len(got) <= 1000 and reset
    bucket.proxy.inject({"fault": "reset"})
    assert raw_get(bucket, "k")[2]
    bucket.proxy.inject({"fault": "wrong-bytes", "at": 7})
    _, got, _ = raw_get(bucket, "k")
    assert len(got) == len(body)
    assert [i for i in range(len(body)) if got[i] != body[i]] == [7]


@pytest.mark.parametrize("fault", ["stall", "stall-body"])
def test_what_is_held_goes_on_when_released(bucket, fault):
    body = os.urandom(500000)
    bucket.put("k", body)
    bucket.proxy.inject({"fault": fault, "at": 1000})
    got = []
    t = threading.Thread(target=lambda: got.append(raw_get(bucket, "k")[1]))
    t.start()
    acached.wait_for("a request is held", lambda: bucket.proxy.held() == 1)
    assert not got
    assert bucket.proxy.clear() == 1
    t.join(10)
    assert got == [body]
    assert bucket.proxy.held() == 0


def test_free_ports_are_none_that_the_kernel_chooses():
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low, high = (int(w) for w in f.read().split())
    taken = socket.socket()
    taken.bind(("127.0.0.1", free_ports(1)[0]))
    ports = free_ports(500)
    assert len(set(ports)) == 500
    assert taken.getsockname()[1] not in ports
    assert not [p for p in ports if low <= p <= high]
    taken.close()


def test_the_gateway_dies_and_comes_back_with_its_objects(bucket):
    bucket.put("k", b"still here")
    bucket.server.kill_gateway()
    with pytest.raises(botocore.exceptions.BotoCoreError):
        via(bucket).get_object(Bucket=bucket.name, Key="k")
    bucket.server.start_gateway()
    got = via(bucket).get_object(Bucket=bucket.name, Key="k")["Body"].read()
    assert got == b"still here"


def test_a_difference_of_one_byte_is_seen(workdir, tree):
    top, names = tree
    copy = os.path.join(workdir, "copy")
    assert data.make_tree(copy) == names
    assert compare_all(copy, top, names)["failed"] == 0
    with open(os.path.join(copy, names[9]), "r+b") as f:
        f.seek(299999)
        f.write(b"?")
    os.truncate(os.path.join(copy, names[5]), 4000)
    os.unlink(os.path.join(copy, names[0]))
    result = compare_all(copy, top, names)
    assert result["failed"] == 3
    assert sorted(result["wrong"]) == sorted([
        names[0] + ": No such file or directory",
        names[5] + ": 4000 bytes instead of 4097",
        names[9] + ": differs at byte 299999"])
    assert acached.Reader(copy, top).result()["failed"] == 3


LOG = """some output
PASS: tests/t 1 - a sentence
# a comment
FAIL: tests/t 2 - another # it says
SKIP: tests/t 3 - a third # SKIP no FUSE here
ERROR: tests/t - exited with status 139 (core dumped?)
"""


def test_every_result_line_of_automake_is_counted(workdir):
    stem = os.path.join(workdir, "t")
    with open(stem + ".trs", "w") as f:
        for verdict in ("PASS", "FAIL", "SKIP", "ERROR"):
            f.write(":test-result: %s\n" % verdict)
        f.write(":global-test-result: ERROR\n:recheck: yes\n")
    assert runner.read_result(stem, "tests/t") == []
    with open(stem + ".log", "w") as f:
        f.write(LOG)
    results = runner.Results()
    for verdict, name, reason in runner.read_result(stem, "tests/t"):
        results.add(verdict, name, reason)
    assert results.count() == (1, 2, 1)
    assert results.skipped == [("a third", "no FUSE here")]
    assert results.failed == ["another: it says",
                              "exited with status 139 (core dumped?)"]
    with open(stem + ".log", "w") as f:
        f.write("PASS: tests/t 1 - a sentence\n")  # the rest is lost
    assert [v for v, _, _ in runner.read_result(stem, "tests/t")] == \
        ["PASS", "FAIL", "SKIP", "ERROR"]


def test_a_skipped_test_of_cmocka_is_skipped_and_its_status_kept(workdir):
    program = os.path.join(workdir, "t")
    with open(program, "w") as f:
        f.write("#!/bin/sh\necho 1..3\necho ok 1 - a\n"
                "echo 'not ok 2 # SKIP b'\necho not ok 3 - c\nexit 1\n")
    os.chmod(program, 0o755)
    p = subprocess.run([os.path.join(acached.HERE, "tap"), program],
                       capture_output=True, text=True)
    assert p.returncode == 1
    assert p.stdout.splitlines() == ["1..3", "ok 1 - a", "ok 2 # SKIP b",
                                     "not ok 3 - c"]


def test_a_hanging_test_program_is_ended(workdir):
    p = subprocess.run([os.path.join(acached.HERE, "tap"), "sleep", "60"],
                       env=dict(os.environ, TEST_TIMEOUT_S="0.2"), timeout=30)
    assert p.returncode == 124


def test_a_cluster_leaves_nothing_behind(clusters):
    c = clusters()
    c.program = "/bin/sh"
    s = c.spawn("-c", "sleep 300 & echo ready a=b; wait")
    assert s.wait_ready() == {"a": "b"}
    # A process in the middle of exec() has no environment to be known by.
    acached.wait_for("sh and sleep", lambda: len(c.pids()) == 2)
    subprocess.run(["mount", "-t", "tmpfs", "none", c.mountpoint], check=True)
    c.destroy()
    assert not c.pids() and not acached.mounts_below(c.dir)


APART = os.path.join(acached.HERE, "apart.py")


@pytest.fixture
def where(workdir):
    """A directory, where something can run apart."""
    if apart.missing():
        pytest.skip(apart.missing())
    return workdir


def test_what_runs_apart_answers_as_it_would_here(where):
    p = subprocess.run([sys.executable, APART, "sh", "-c",
                        'echo "$1"; exit 7', "sh", "a word"],
                       capture_output=True, text=True, timeout=60)
    assert (p.stdout, p.returncode) == ("a word\n", 7), p


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_what_ran_apart_and_was_killed(where, number):
    env = dict(os.environ, **{acached.MARK: where})
    script = 'mount -t tmpfs mine "$1" && ip netns add mine && ' \
        "(setsid sleep 300 &); sleep 300 & echo ready; wait"
    p = subprocess.Popen([sys.executable, APART, "sh", "-c", script, "sh",
                          where], env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert p.stdout.readline() == "ready\n"
        assert len(acached.marked(where)) > 2
        assert not acached.mounts_below(where)
        assert not os.path.exists("/run/netns/mine")
    finally:
        p.send_signal(number)
        p.wait(30)
    acached.wait_for("the end of all processes",
                     lambda: not acached.marked(where))


def test_what_runs_apart_sees_no_dead_mountpoint(where, clusters):
    c = clusters()
    c.start()
    c.kill_tree()
    acached.wait_for("a dead mountpoint",
                     lambda: not os.access(c.mountpoint, os.F_OK))
    p = subprocess.run([sys.executable, APART, "cat", "/proc/mounts"],
                       capture_output=True, text=True, timeout=60)
    assert p.returncode == 0 and "/proc" in p.stdout
    assert c.mountpoint not in p.stdout
    assert acached.is_mounted(c.mountpoint)  # here it is as it was


def test_a_file_formatted_otherwise_is_seen(workdir, monkeypatch):
    if not shutil.which("clang-format-14"):
        pytest.skip("no clang-format-14")
    shutil.copy(os.path.join(runner.TOP, ".clang-format"), workdir)
    monkeypatch.setattr(runner, "BUILD", workdir)
    file = os.path.join(workdir, "a.c")
    name = "src/" + os.path.relpath(file, os.path.join(runner.TOP, "src"))
    monkeypatch.setattr(runner, "source_files", lambda: [name])
    for text, failed in (("int a;\n", 0), ("int   a ;\n", 1)):
        with open(file, "w") as f:
            f.write(text)
        run = runner.Run(argparse.Namespace(quick=True, long=False), [])
        run.format()
        assert (run.results.passed, len(run.results.failed)) == \
            (1 - failed, failed)
