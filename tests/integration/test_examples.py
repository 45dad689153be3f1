"""The quickstart over a small data set: what it leaves, and when it fails."""

import os
import signal
import subprocess
import sys

import pytest

import acached
import data
import rgw as ceph

EXAMPLES = os.path.join(acached.TOP, "examples")
sys.path.insert(0, EXAMPLES)

import mainjob  # noqa: E402

RUN = """
import sys
sys.path.insert(0, %r)
import mainjob
mainjob.PICTURES = %r
mainjob.MainJob.train = lambda job, epochs: [
    dict(epoch="epoch %%d" %% n, samples=len(job.names), seconds=1, waiting=0,
         s3=job.proxy.counts()) for n in range(1)] + [
    job.proxy.process.wait(300)]
sys.exit(mainjob.main())
"""


@pytest.fixture
def small(workdir, program, monkeypatch):
    """A data set instead of the pictures, and a directory for the job."""
    if ceph.missing_programs():
        pytest.skip("no S3 server (contrib/install-deps --test)")
    top = os.path.join(workdir, "pictures")
    data.make_tree(top, 30)
    monkeypatch.setattr(mainjob, "PICTURES", top)
    monkeypatch.setenv("ACACHED", program)
    yield top, os.path.join(workdir, "job")
    mark = "quickstart:" + os.path.join(workdir, "job")
    acached.clear_mounts(workdir)
    for pid in acached.marked(mark):
        os.kill(pid, signal.SIGKILL)


def start(top, path, *more):
    return subprocess.Popen(
        [sys.executable, "-c", RUN % (EXAMPLES, top), "--dir", path] +
        list(more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, preexec_fn=acached.die_with_parent)


def nothing_is_left(path):
    assert not acached.marked("quickstart:" + path)
    assert not acached.mounts_below(path)
    assert not os.path.exists(path)


def test_no_train_leaves_a_mountpoint_and_stop_ends_it(small):
    top, path = small
    p = start(top, path, "--no-train")
    out = p.communicate(timeout=120)[0]
    assert p.returncode == 0, out
    assert "--stop" in out.splitlines()[-1]
    acached.read_all(os.path.join(path, "mnt", "s3"), top, "--listing")
    p = start(top, path, "--no-train")  # again: the first makes room
    assert p.wait(120) == 0, p.stdout.read()
    acached.read_all(os.path.join(path, "mnt", "s3"), top)
    p = start(top, path, "--stop")
    assert p.wait(120) == 0, p.stdout.read()
    nothing_is_left(path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_nothing(small, number):
    top, path = small
    p = start(top, path)
    seen = ""
    for line in p.stdout:
        seen += line
        if "training through" in line:
            break
    p.send_signal(number)
    seen += p.communicate(timeout=60)[0]
    assert p.returncode == 130, seen
    nothing_is_left(path)


def test_stop_ends_one_that_runs(small):
    top, path = small
    p = start(top, path)
    for line in p.stdout:
        if "training through" in line:
            break
    assert start(top, path, "--stop").wait(60) == 0
    assert p.wait(60) == 130
    nothing_is_left(path)


def test_a_wrong_byte_fails_it_with_one_sentence(small, workdir):
    top, path = small
    job = mainjob.MainJob(path)
    job.take_lock()
    try:
        job.start()
        job.verify()
        with open(os.path.join(top, job.names[20]), "r+b") as f:
            f.seek(50)
            f.write(b"\0\0\0\0\0")
        with pytest.raises(mainjob.Problem, match="1 files read through"):
            job.verify()
    finally:
        job.clean()
        job.close()
    nothing_is_left(path)


def test_one_get_in_a_later_epoch_fails_it():
    def epoch(name, gets):
        return {"epoch": name, "samples": 9, "s3": {
            "requests": {"get": gets}, "bytes": {"get": gets * 10},
            "objects": gets}}
    mainjob.judge([epoch("epoch 1", 9), epoch("epoch 2", 0)])
    with pytest.raises(mainjob.Problem, match="epoch 3 asked S3 for data: 1"):
        mainjob.judge([epoch("epoch 1", 9), epoch("epoch 2", 0),
                       epoch("epoch 3", 1)])
