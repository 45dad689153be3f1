"""Each runbook of doc/operations.md is executed as it stands."""

import os
import re
import signal
import subprocess

import pytest

import acached
import data
from rgw import ACCESS_KEY, SECRET_KEY, free_ports

DOC = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                   "..", "..", "doc", "operations.md")


def runbooks():
    """{title: (script, pattern of what it prints)}"""
    with open(DOC) as f:
        text = f.read()
    found = {}
    for section in re.split(r"^### ", text, flags=re.M)[1:]:
        title = section.partition("\n")[0]
        sh = re.findall(r"^```sh\n(.*?)^```$", section, re.M | re.S)
        out = re.findall(r"^```text\n(.*?)^```$", section, re.M | re.S)
        assert len(sh) == len(out) == 1, title
        found[title] = sh[0], out[0]
    return found


RUNBOOKS = runbooks()


def as_pattern(text):
    """`...` alone is any lines, or none; in a line, anything in it."""
    parts = []
    for line in text.splitlines():
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(r".*?".join(re.escape(p)
                                     for p in line.split("...")) + "\n")
    return re.compile("".join(parts) + r"\Z")


class Site:
    """A node as the runbooks have it, in other places."""

    def __init__(self, cluster, bucket, workdir, tree):
        self.cluster = cluster
        self.bucket = bucket
        self.dir = workdir
        self.top, self.names = tree
        self.secrets = os.path.join(workdir, "secrets")
        with open(self.secrets, "w") as f:
            f.write("aws.accessKeyId=%s\naws.secretKey=%s\n" %
                    (ACCESS_KEY, SECRET_KEY))
        self.places = {
            "/var/lib/acached": cluster.state,
            "/mnt/data": cluster.mountpoint,
            "s3://pictures": bucket.uri,
            "https://s3.example.com": bucket.proxy.endpoint,
            "/run/secrets/s3": self.secrets,
            "node1:7000": "127.0.0.1:%d" % free_ports(1)[0],
            "/etc/acached": os.path.join(workdir, "etc"),
            "/disk1": os.path.join(workdir, "disk1"),
            "/disk2": os.path.join(workdir, "disk2"),
        }
        for d in ("disk1", "disk2", "etc"):
            os.mkdir(os.path.join(workdir, d))
        bucket.upload(self.top, self.names)

    def localize(self, text):
        for here, there in self.places.items():
            text = text.replace(here, there)
        return text

    def env(self):
        """With what the file in /etc would tell the commands."""
        return self.cluster.env(
            ACACHED_STATE_DIR=self.cluster.state,
            ACACHED_CLUSTER_KEY_FILE=self.localize("/etc/acached/cluster.key"),
            PATH=os.path.dirname(self.cluster.program) + ":" +
            os.environ["PATH"])

    def run(self, title, check=True):
        script, out = (self.localize(t) for t in RUNBOOKS[title])
        with open(os.path.join(self.dir, "printed"), "w+") as f:
            # The processes that it leaves hold no pipe of ours.
            p = subprocess.run(["bash", "-euc", script], stdout=f, stderr=f,
                               stdin=subprocess.DEVNULL, env=self.env(),
                               timeout=120)
            f.seek(0)
            said = f.read()
        assert p.returncode == 0, said
        if check:
            assert as_pattern(out).match(said), "printed:\n%s\nwanted:\n%s" % (
                said, out)
        return said

    def start(self):
        self.run("Start a node")
        self.run("Mount a bucket")

    def read(self, name=None):
        for n in [name] if name else self.names:
            with open(self.cluster.at("pictures", n), "rb") as f, \
                    open(os.path.join(self.top, n), "rb") as g:
                assert f.read() == g.read()

    def read_cached(self):
        self.read()
        acached.wait_for("the master knows what is cached", lambda: "100%" in
                         self.cluster.fs("du", "/pictures").stdout)

    def kill(self):
        for pid in self.cluster.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        acached.wait_for("the end", lambda: not self.cluster.pids())


@pytest.fixture
def site(cluster, bucket, workdir):
    top = os.path.join(workdir, "source")
    names = data.make_tree(top, 12, sizes=(100000, 100001))
    s = Site(cluster, bucket, workdir, (top, names))
    yield s
    acached.clear_mounts(cluster.mountpoint)
    s.kill()


# What each runbook is for; it is found there when it is run.

def nothing(site):
    pass


def a_node(site):
    site.run("Start a node")


def a_served_bucket(site):
    site.start()


def a_second_worker_that_dies(site):
    site.start()
    site.run("Add a worker")
    with open(os.path.join(site.cluster.state + "-2", "acached.pid")) as f:
        os.kill(int(f.read()), signal.SIGKILL)
    acached.wait_for("the loss", lambda: "lost" in
                     site.cluster.admin("report", check=False).stdout, 120,
                     0.5)


def changed_data(site):
    site.start()
    site.read()
    site.bucket.put("class0/new.txt", b"fresh\n")


def a_file_that_was_freed(site):
    site.start()
    site.read_cached()
    site.cluster.fs("free", "/pictures")
    site.read(site.names[1])


def changed_keys(site):
    site.start()
    wrong = os.path.join(site.dir, "wrong")
    with open(wrong, "w") as f:
        f.write("aws.secretKey=none\n")
    site.cluster.fs("updateMount", "/pictures", "--option-file", wrong,
                    "--no-check", env=site.env())
    with pytest.raises(PermissionError):
        site.read()


def a_crash(site):
    site.start()
    site.read_cached()
    site.kill()


def a_dead_mountpoint(site):
    site.start()
    site.kill()
    # The kernel forgets what it knows of it.
    acached.wait_for("its death", lambda: not os.access(
        site.cluster.mountpoint, os.F_OK))


def a_full_disk(site):
    disk = site.places["/disk1"]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "none", disk],
                   check=True)
    site.start()
    site.read()
    site.read()


GIVEN = {
    "Start a node": nothing,
    "Mount a bucket": a_node,
    "Is it well?": a_served_bucket,
    "Stop a node": a_served_bucket,
    "Add a worker": a_served_bucket,
    "A worker is gone": a_second_worker_that_dies,
    "Fill the cache before a job": a_served_bucket,
    "The data in S3 has changed": changed_data,
    "Is what acached shows what S3 has?": changed_data,
    "Why is this file slow?": a_file_that_was_freed,
    "Make room": a_served_bucket,
    "Keys were changed": changed_keys,
    "Everything was killed": a_crash,
    "A mountpoint says \"Transport endpoint is not connected\"":
        a_dead_mountpoint,
    "A disk of the cache is full or fails": a_full_disk,
    "The cache is to be thrown away": a_served_bucket,
    "Find out what a process does": a_served_bucket,
    "Save the state": a_served_bucket,
}


def test_every_runbook_has_its_occasion():
    assert set(GIVEN) == set(RUNBOOKS)


@pytest.mark.parametrize("title", sorted(GIVEN))
def test_runbook(site, title):
    GIVEN[title](site)
    site.run(title)
    if title != "Stop a node" and "not connected" not in title and \
            title != "Start a node":
        site.read()
