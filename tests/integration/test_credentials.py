"""Keys from all the places where they may be, on a real S3 server; and keys
that change while a mount is in use."""

import json
import os

import pytest

import acached
import iam
import rgw as ceph
from test_s3 import Driver, names, sentence

ROLE = "arn:aws:iam::1:role/reader"


def write(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)
    return path


def profile(path, name, key, secret):
    return write(path, "[%s]\naws_access_key_id=%s\n"
                 "aws_secret_access_key=%s\n" % (name, key, secret))


class Key:
    """A pair of keys of the owner of all buckets."""

    def __init__(self, server, name):
        self.server = server
        self.id = "ROTATED" + name.upper() + "0" * 8
        self.secret = "secret-of-%s-0123456789" % name
        server.run("radosgw-admin", "-n", "client.rgw", "key", "create",
                   "--uid=test", "--key-type=s3", "--access-key=" + self.id,
                   "--secret-key=" + self.secret)

    def remove(self):
        self.server.run("radosgw-admin", "-n", "client.rgw", "key", "rm",
                        "--uid=test", "--key-type=s3",
                        "--access-key=" + self.id)


@pytest.fixture
def key(rgw):
    made = []

    def make(name):
        made.append(Key(rgw, name))
        return made[-1]

    yield make
    for k in made:
        try:
            k.remove()
        except RuntimeError:
            pass  # the test did


@pytest.fixture
def issuer():
    made = iam.Iam(ceph.ACCESS_KEY, ceph.SECRET_KEY)
    yield made
    made.close()


def nowhere(c, *secrets):
    """Not in any log, listing or journal."""
    text = c.log_text() + c.fs("mount").stdout + \
        c.fs("mount", "--json").stdout + c.admin("journal dump").stdout
    for s in secrets:
        assert s not in text


def test_each_place_that_may_have_keys(bucket, workdir, issuer):
    bucket.put("k", b"x")
    token = write(os.path.join(workdir, "token"), issuer.token + "\n")
    file = profile(os.path.join(workdir, "keys"), "train", ceph.ACCESS_KEY,
                   ceph.SECRET_KEY)
    config = write(os.path.join(workdir, "config"),
                   "[profile web]\nrole_arn=%s\nweb_identity_token_file=%s\n" %
                   (ROLE, token))
    web = {"AWS_ENDPOINT_URL_STS": issuer.url}
    places = [
        (["aws.profile=train", "aws.credentialsFile=" + file], {}),
        (["s3.region=r"], {"AWS_PROFILE": "train",
                           "AWS_SHARED_CREDENTIALS_FILE": file}),
        (["aws.roleArn=" + ROLE, "aws.identityTokenFile=" + token,
          "aws.stsEndpoint=" + issuer.url], {}),
        (["s3.tls=false"], dict(web, AWS_ROLE_ARN=ROLE,
                                AWS_WEB_IDENTITY_TOKEN_FILE=token)),
        (["aws.profile=web"], dict(web, AWS_CONFIG_FILE=config)),
        (["aws.metadataEndpoint=" + issuer.url + "/"], {}),
        (["s3.tls=false"],
         {"AWS_CONTAINER_CREDENTIALS_FULL_URI": issuer.url + "/container",
          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token}),
        (["s3a.accessKeyId=" + ceph.ACCESS_KEY,
          "s3a.secretKey=" + ceph.SECRET_KEY], {}),
    ]
    asked = [0, 0, 1, 1, 1, 1, 1, 0]
    for (options, env), n in zip(places, asked):
        issuer.asked = issuer.refused = 0
        d = Driver(bucket, workdir, *options, env=env)
        a = d.list()
        assert a.results[0] == 0, (options, a.rest)
        assert names(a) == ["k"]
        assert (issuer.asked, issuer.refused) == (n, 0), options


def test_what_gives_no_keys_is_said_without_them(bucket, workdir, issuer):
    token = write(os.path.join(workdir, "token"), "another")
    d = Driver(bucket, workdir, "aws.roleArn=" + ROLE,
               "aws.identityTokenFile=" + token,
               "aws.stsEndpoint=" + issuer.url)
    text = sentence(d)
    assert "no keys from %s: 403 InvalidIdentityToken" % issuer.url in text
    assert "another" not in text
    write(token, issuer.token)
    issuer.down = True
    d.options.append("s3.attempts=2")
    assert "no keys from %s: 500 (2 attempts)" % issuer.url in sentence(d)
    d = Driver(bucket, workdir, "aws.profile=gone")
    assert "profile gone is neither in" in d.list().refused
    d = Driver(bucket, workdir, "s3.endpoint=" + bucket.proxy.endpoint,
               "alluxio.underfs.s3.endpoint=http://127.0.0.1:1")
    assert "mean the same" in d.list().refused


def test_who_asks_pays_if_the_bucket_says_so(rgw, bucket, workdir):
    bucket.put("k", b"x")
    rgw.run("radosgw-admin", "-n", "client.rgw", "user", "create",
            "--uid=guest", "--display-name=Guest", "--access-key=GUEST",
            "--secret=guest-secret")
    try:
        bucket.s3.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps({
            "Version": "2012-10-17", "Statement": [{
                "Effect": "Allow", "Action": "s3:*", "Principal": {
                    "AWS": ["arn:aws:iam:::user/guest"]},
                "Resource": ["arn:aws:s3:::" + bucket.name,
                             "arn:aws:s3:::" + bucket.name + "/*"]}]}))
        bucket.s3.put_bucket_request_payment(
            Bucket=bucket.name, RequestPaymentConfiguration={
                "Payer": "Requester"})
        guest = ["aws.accessKeyId=GUEST", "aws.secretKey=guest-secret"]
        refused = Driver(bucket, workdir, *guest).list()
        assert refused.results[0] == -13, refused.rest
        d = Driver(bucket, workdir, *guest, "s3.requester-pays=true")
        assert names(d.list()) == ["k"]
        assert d.read("k", d.stat("k").version, 0, 1)[1] == b"x"
    finally:
        rgw.run("radosgw-admin", "-n", "client.rgw", "user", "rm",
                "--uid=guest")


def halves(names):
    return sorted(names)[::2], sorted(names)[1::2]


def read_some(c, top, which):
    for name in which:
        with open(c.at("s3", name), "rb") as f, \
                open(os.path.join(top, name), "rb") as g:
            assert f.read() == g.read(), name


def test_keys_in_a_file_are_changed_without_a_new_mount(cluster, bucket, tree,
                                                        key, workdir):
    top, files = tree
    bucket.upload(top, files)
    first, second = halves(files)
    a, b = key("first"), key("second")
    file = profile(os.path.join(workdir, "keys"), "train", a.id, a.secret)
    cluster.start()
    cluster.fs("mount", "/s3", bucket.uri,
               "--option", "alluxio.underfs.s3.endpoint=" +
               bucket.proxy.endpoint,
               "--option", "alluxio.underfs.s3.disable.dns.buckets=true",
               "--option", "aws.profile=train",
               "--option", "aws.credentialsFile=" + file)
    read_some(cluster, top, first)
    profile(file, "train", b.id, b.secret)
    a.remove()  # at once: what is signed with it is refused from here on
    read_some(cluster, top, second)
    bucket.put("later", b"seen by the master, too")
    assert "later" in cluster.fs("ls", "-f", "/s3").stdout
    assert "storage keys read again" in cluster.log_text()
    nowhere(cluster, a.secret, b.secret)


def test_keys_that_expire_are_renewed_in_use(cluster, bucket, tree, key,
                                             workdir, issuer):
    top, files = tree
    bucket.upload(top, files)
    a, b = key("third"), key("fourth")
    issuer.keys = (a.id, a.secret, 2)
    token = write(os.path.join(workdir, "token"), issuer.token)
    cluster.start()
    cluster.fs("mount", "/s3", bucket.uri,
               "--option", "s3.endpoint=" + bucket.proxy.endpoint,
               "--option", "aws.roleArn=" + ROLE,
               "--option", "aws.identityTokenFile=" + token,
               "--option", "aws.stsEndpoint=" + issuer.url)
    first, second = halves(files)
    read_some(cluster, top, first)
    issuer.keys = (b.id, b.secret, 3600)
    issuer.token = "renewed.token"
    write(token, issuer.token)
    before = issuer.asked

    def one_more():
        read_some(cluster, top, [second.pop()])
        return issuer.asked > before

    acached.wait_for("the worker has other keys", one_more, every=0.1)
    a.remove()
    read_some(cluster, top, second)
    bucket.put("class0/later", b"seen by the master, too")
    assert "later" in cluster.fs("ls", "-f", "/s3/class0").stdout
    assert issuer.asked >= before + 2
    assert issuer.refused == 0
    nowhere(cluster, a.secret, b.secret, issuer.token)
