"""Storage keys are nowhere to be found once they are given."""

import os
import re
import socket
import subprocess
import threading

import acached
from rgw import ACCESS_KEY, SECRET_KEY


def everything(c):
    """(where, text) of all that anybody could read without being asked."""
    for pid in c.pids():
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            yield "cmdline of %d" % pid, f.read()
    yield "mount", subprocess.run(["mount"], capture_output=True).stdout
    for words in (["fs", "mount"], ["fs", "mount", "--json"],
                  ["admin", "journal", "dump"], ["admin", "report"],
                  ["admin", "config"], ["fs", "ls", "/s3"],
                  ["fs", "stat", "/s3"]):
        p = c.run(*words, "--state", c.state, check=False)
        yield " ".join(words), (p.stdout + p.stderr).encode()
    for where, _, names in os.walk(c.dir):
        if where.startswith(c.mountpoint):
            continue
        for name in names:
            path = os.path.join(where, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    yield path, f.read()


def found(text):
    return [k for k in (SECRET_KEY, ACCESS_KEY) if k.encode() in text]


def test_keys_given_as_options_are_nowhere(serve):
    served = serve("--set", "log.level=debug")
    served.read_all()
    c = served.cluster
    p = c.mount_s3("/bad", "no-such-bucket", served.proxy.endpoint,
                   check=False)
    assert p.returncode == 1 and "NoSuchBucket" in p.stderr
    wrong = [w if not w.startswith("aws.secretKey") else
             "aws.secretKey=WRONG" + SECRET_KEY
             for w in acached.s3_options(served.proxy.endpoint)]
    p = c.fs("mount", "/bad", served.bucket.uri, *wrong, check=False)
    assert p.returncode == 1 and "SignatureDoesNotMatch" in p.stderr
    assert SECRET_KEY not in p.stderr
    for where, text in everything(c):
        assert not found(text), where
    c.stop()
    c.start()
    served.proxy.reset()
    c.fs("free", "/s3")
    served.read_all()
    for where, text in everything(c):
        assert not found(text), where


def test_keys_of_the_role_are_wiped_from_its_arguments(cluster, bucket, tree):
    bucket.upload(*tree)
    cluster.start("--ufs", bucket.uri,
                  *acached.s3_options(bucket.proxy.endpoint))
    acached.read_all(cluster.mountpoint, tree[0])
    for where, text in everything(cluster):
        assert not found(text), where


def test_keys_may_come_by_file_or_environment(clusters, bucket, tree, workdir):
    bucket.upload(*tree)
    options = os.path.join(workdir, "options")
    with open(options, "w") as f:
        f.write("s3.endpoint=%s\naws.accessKeyId=%s\naws.secretKey=%s\n"
                "s3.path-style=true\n" % (bucket.proxy.endpoint, ACCESS_KEY,
                                          SECRET_KEY))
    a = clusters("a").start()
    a.fs("mount", "/s3", bucket.uri, "--option-file", options)
    acached.read_all(a.at("s3"), tree[0])
    b = clusters("b")
    s = b.spawn("--role=master,worker,fuse", "--state", b.state, "--ufs",
                bucket.uri, "--option", "s3.endpoint=" + bucket.proxy.endpoint,
                "--option", "s3.path-style=true", b.mountpoint,
                env=b.env(AWS_ACCESS_KEY_ID=ACCESS_KEY,
                          AWS_SECRET_ACCESS_KEY=SECRET_KEY))
    s.wait_ready()
    acached.read_all(b.mountpoint, tree[0])


class Relay:
    """Passes connections of a loopback port on, and keeps what went by."""

    def __init__(self, port):
        self.port, self.seen = port, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.port))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b),
                                 daemon=True).start()

    def pump(self, source, to):
        try:
            while data := source.recv(65536):
                self.seen += data
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def master_port(c):
    with open(os.path.join(c.state, "master", "address")) as f:
        return int(re.search(r"127\.0\.0\.1:(\d+)", f.read()).group(1))


def test_keys_are_sealed_on_the_wire(cluster, bucket, tree):
    bucket.upload(*tree)
    cluster.start()
    relay = Relay(master_port(cluster))
    try:
        cluster.fs("mount", "/s3", bucket.uri, "--master", relay.address,
                   *acached.s3_options(bucket.proxy.endpoint))
        acached.read_all(cluster.at("s3"), tree[0])
    finally:
        relay.listener.close()
    assert bucket.uri.encode() in relay.seen
    assert not found(relay.seen)


def test_a_mount_that_waits_shows_no_key(cluster, bucket):
    cluster.start()
    bucket.proxy.inject({"fault": "stall", "kind": "any"})
    p = subprocess.Popen(
        [acached.binary(), "fs", "mount", "/s3", bucket.uri, "--state",
         cluster.state, *acached.s3_options(bucket.proxy.endpoint)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        acached.wait_for("the mount's first request", bucket.proxy.held)
        with open("/proc/%d/cmdline" % p.pid, "rb") as f:
            words = f.read()
        assert b"mount" in words and not found(words)
    finally:
        bucket.proxy.release()
        out, err = p.communicate(timeout=30)
    assert p.returncode == 0, err
    assert not found(out + err)


def test_the_environment_of_a_command_is_not_sent(cluster, bucket):
    cluster.start()
    p = cluster.run("fs", "mount", "/s3", bucket.uri, "--state", cluster.state,
                    "--option", "s3.endpoint=" + bucket.proxy.endpoint,
                    "--option", "s3.path-style=true", check=False,
                    env=cluster.env(AWS_ACCESS_KEY_ID=ACCESS_KEY,
                                    AWS_SECRET_ACCESS_KEY=SECRET_KEY))
    assert p.returncode == 1, p.stdout
    assert "s3://" in p.stderr
