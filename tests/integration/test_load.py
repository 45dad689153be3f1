"""fs load: a job that says how far it is, and is checked at its end."""

import json
import os
import pty
import re
import subprocess

import pytest

import acached


@pytest.fixture
def loaded(served):
    """load(argument...) loads the tree; gives the process and its JSON."""
    def load(*argv, check=True, path="/s3"):
        p = served.cluster.fs("load", "--json", *argv, path, check=check)
        return p, json.loads(p.stdout)
    return load


def sizes(served):
    return [os.path.getsize(os.path.join(served.top, n))
            for n in served.names]


def test_everything_is_cached_afterwards(served, loaded):
    _, job = loaded()
    assert job["state"] == "done"
    assert job["files"] == job["files_done"] == len(served.names)
    assert job["bytes"] == job["bytes_done"] == sum(sizes(served))
    assert job["failed"] == 0
    assert served.proxy.gets() >= sum(1 for n in sizes(served) if n)
    served.proxy.reset()
    served.read_all()
    assert served.proxy.gets() == 0
    text = served.cluster.fs("du", "/s3").stdout
    assert "(100%)" in text
    _, again = loaded()
    assert again["state"] == "done" and again["id"] != job["id"]
    assert served.proxy.gets() == 0
    served.cluster.fs("free", "/s3")
    acached.wait_for("nothing cached", lambda: "(0%)" in
                     served.cluster.fs("du", "/s3").stdout)


def test_one_file_or_nothing(served, loaded):
    name = served.names[0]
    _, job = loaded(path="/s3/" + name)
    assert (job["state"], job["files_done"]) == ("done", 1)
    p, job = loaded(path="/s3/no-such-name", check=False)
    assert p.returncode == 1 and job["state"] == "failed"
    assert "No such file" in p.stderr


def test_what_could_not_be_loaded_is_counted(served, loaded):
    bad = [n for n in served.names if os.path.getsize(
        os.path.join(served.top, n))][0]
    served.proxy.inject({"fault": "status", "status": 403,
                         "key": bad.replace(" ", "%20")})
    p, job = loaded(check=False)
    assert p.returncode == 3
    assert job["failed"] >= 1
    assert job["files_done"] == len(served.names) - job["failed"]
    assert "403 AccessDenied" in job["error"]
    served.proxy.clear()
    served.proxy.reset()
    p, job = loaded()
    assert job["files_done"] == len(served.names)
    assert served.proxy.gets() <= 4  # only what was missing


def start(served, *argv):
    """A load that watches, while every GET is held up."""
    served.proxy.inject({"fault": "latency", "ms": 1500})
    return subprocess.Popen(
        [served.cluster.program, "fs", "load", "--state",
         served.cluster.state, *argv, "/s3"], env=served.cluster.env(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize("role", ["worker", "master"])
def test_a_load_survives_a_crash(served, role):
    p = start(served)
    acached.wait_for("GETs in flight", served.proxy.gets)
    served.cluster.kill(role)
    out = p.communicate(timeout=120)[0]
    assert p.returncode == 0, out
    n = len(served.names)
    assert "%d of %d files" % (n, n) in out
    served.proxy.clear()
    acached.wait_for("what is cached is known", lambda: "(100%)" in
                     served.cluster.fs("du", "/s3").stdout)
    served.read_all()


def test_a_submitted_load_goes_on_by_itself(served):
    p = start(served, "--submit")
    out = p.communicate(timeout=5)[0]
    assert p.returncode == 0 and re.search(r"JobId: \d+", out)
    acached.wait_for("the load", lambda: "(100%)" in
                     served.cluster.fs("du", "/s3").stdout, 30)
    served.proxy.clear()
    served.proxy.reset()
    served.read_all()
    assert served.proxy.gets() == 0


def output_at_a_terminal(argv):
    """What a command shows there, to its end."""
    near, far = pty.openpty()
    p = subprocess.Popen(argv, stdout=far, stderr=far)
    os.close(far)
    shown = b""
    try:
        while data := os.read(near, 65536):
            shown += data
    except OSError:  # EIO: the other end is closed
        pass
    os.close(near)
    assert p.wait(60) == 0, shown
    return shown


def test_progress_is_shown_at_a_terminal(served):
    served.proxy.inject({"fault": "latency", "ms": 1000, "kind": "get"})
    shown = output_at_a_terminal([acached.binary(), "fs", "load", "/s3",
                                  "--state", served.cluster.state])
    assert re.search(rb"\d+% \d+/\d+ files, \S+ of \S+, \S+/s, ETA \d+ s",
                     shown), shown
    assert re.search(rb"/s3: (\d+) of \1 files", shown), shown


def test_a_record_of_the_journal_has_1000_entries_at_most(cluster, workdir):
    top = os.path.join(workdir, "many")
    os.mkdir(top)
    for i in range(2500):
        open(os.path.join(top, str(i)), "w").close()
    cluster.start("--ufs", "file://" + top)
    assert len(os.listdir(cluster.mountpoint)) == 2500
    found = [r["count"] for r in cluster.admin_json("journal", "dump")
             if r["record"] == "learn" and r["dir"] == 1]
    assert sum(found) >= 2500 and max(found) <= 1000, found


# As real Alluxio 2.9.6 printed it, the second line with tabs.
PROGRESS = """\
Progress for loading path '/l/cli':
\tSettings:\tbandwidth: unlimited\tverify: false
\tJob State: SUCCEEDED
\tFiles Processed: 1
\tBytes Loaded: 6B out of 6B
\tBlock load failure rate: 0.00%
\tFiles Failed: 0

"""
JSON = ("Progress for loading path '/l/cli':\n"
        '{"mVerbose":false,"mJobState":"SUCCEEDED",'
        '"mVerificationEnabled":false,"mProcessedFileCount":1,'
        '"mLoadedByteCount":6,"mTotalByteCount":6,"mFailurePercentage":0.0,'
        '"mFailedFileCount":0}\n')


@pytest.fixture
def six(cluster, workdir):
    """A cluster over a directory with a file of six bytes at /l/cli."""
    top = os.path.join(workdir, "top")
    os.makedirs(os.path.join(top, "l/cli"))
    path = os.path.join(top, "l/cli/a.txt")
    with open(path, "w") as f:
        f.write("hello\n")
    os.utime(path, (1000, 1000))  # what is new is not cached
    return cluster.start("--ufs", "file://" + top, mountpoint=False)


def test_progress_is_printed_as_the_old_system_did(six):
    six.fs("load", "/l/cli")
    text = six.fs("load", "/l/cli", "--progress").stdout
    text = re.sub(r"\tThroughput: \S+/s\n", "", text)
    assert text == PROGRESS
    assert six.fs("load", "/l/cli", "--progress", "--format", "JSON",
                  ).stdout == JSON
    assert six.fs("load", "/l/cli", "--progress", "--verbose").returncode == 0
    p = six.fs("load", "/nope", "--submit")
    assert re.fullmatch(r"Load '/nope' is successfully submitted. "
                        r"JobId: \d+\n", p.stdout)
    acached.wait_for("it has failed", lambda: "Job State: FAILED (No such "
                     in six.fs("load", "/nope", "--progress").stdout)
    six.fs("load", "--verify", "/l/cli")
    assert "verify: true" in six.fs("load", "/l/cli", "--progress").stdout
    for words, why in ((["/never", "--progress"], "Cannot find load job"),
                       (["/l/cli", "--stop"], "might have already been")):
        p = six.fs("load", *words, check=False)
        assert p.returncode == 1 and why in p.stderr and words[0] in p.stderr
    for words in ([], ["/l", "--index", "/x"], ["/l", "--stop", "--submit"],
                  ["/l", "--progress", "--format", "XML"]):
        assert six.fs("load", *words, check=False).returncode == 2, words


def test_a_load_is_stopped(served):
    served.proxy.inject({"fault": "latency", "ms": 3000})
    served.cluster.fs("load", "/s3", "--submit")
    acached.wait_for("GETs in flight", served.proxy.gets)
    assert "RUNNING" in served.cluster.fs("load", "/s3", "--progress").stdout
    p = served.cluster.fs("load", "/s3", "--stop")
    assert p.stdout == "Load '/s3' is successfully stopped.\n"
    served.proxy.clear()
    acached.wait_for("it has ended", lambda: "Job State: STOPPED" in
                     served.cluster.fs("load", "/s3", "--progress").stdout)


def test_a_list_of_paths_is_loaded(served, workdir):
    names = [n for n in served.names if os.path.getsize(
        os.path.join(served.top, n))]
    some, rest = names[:7], names[7:]
    index = os.path.join(workdir, "list")
    with open(index, "w") as f:
        f.write("# a part\n\n")
        f.writelines("/s3/%s\n" % n for n in some[:-1])
        f.write(served.cluster.at("s3", some[-1]))  # no newline either
    c = served.cluster
    job = c.fs_json("load", "--index", index)
    assert (job["state"], job["files_done"]) == ("done", len(some))
    assert served.proxy.counts()["objects"] == len(some)
    assert "Files Processed: 7\n" in c.fs(
        "load", "--index", index, "--progress").stdout
    with open(index, "w") as f:
        f.writelines("/s3/%s\n" % n for n in ["none"] + rest)
    p = c.fs("load", "--index", index, check=False)
    assert p.returncode == 3 and "/s3/none: No such file" in p.stderr
    served.proxy.reset()
    served.read_all()
    assert served.proxy.gets() == 0
    p = c.fs("load", "--index", index + ".none", check=False)
    assert p.returncode == 1 and index + ".none: No such file" in p.stderr
    with open(index, "w") as f:
        f.write("# nothing\n")
    p = c.fs("load", "--index", index, check=False)
    assert p.returncode == 1 and "no path in it" in p.stderr


def test_what_is_damaged_on_disk_is_found_and_loaded_again(served, loaded):
    loaded()
    c = served.cluster
    worst = max(served.names, key=lambda n: os.path.getsize(
        os.path.join(served.top, n)))
    size = os.path.getsize(os.path.join(served.top, worst))
    with open(os.path.join(served.top, worst), "rb") as f:
        body = f.read()
    hit = 0
    for where, _, names in os.walk(os.path.join(c.state, "worker")):
        for name in (os.path.join(where, n) for n in names):
            if hit or os.path.getsize(name) != size:
                continue
            with open(name, "r+b") as f:
                if f.read(100) == body[:100]:
                    f.seek(size // 2)
                    f.write(bytes([body[size // 2] ^ 1]))
                    hit = 1
    assert hit
    served.proxy.reset()
    loaded()
    assert served.proxy.gets() == 0  # nobody has looked
    _, job = loaded("--verify")
    assert (job["state"], job["failed"], job["verify"]) == ("done", 0, True)
    assert served.proxy.gets() == 1
    served.proxy.reset()
    loaded("--verify")
    served.read_all()
    assert served.proxy.gets() == 0
