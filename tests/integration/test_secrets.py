"""Storage keys are nowhere to be found once they are given."""

import os
import subprocess

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
