"""The S3 driver by itself against a real S3 server, with faults in between."""

import os
import re
import shutil
import subprocess
import threading
import time
import urllib.parse

import pytest

import rgw as ceph
from acached import wait_for
from pages import Pages
from test_s3_sign import ufs_tool

KEYS = ["aws.accessKeyId=" + ceph.ACCESS_KEY,
        "aws.secretKey=" + ceph.SECRET_KEY]
ENOENT, EIO, EACCES, ECANCELED, ERR_CHANGED = -2, -5, -13, -125, -5006


def quote(s):
    return urllib.parse.quote(s, safe="/")


class Entry:
    def __init__(self, fields):
        self.type = fields[0]
        self.size = int(fields[1])
        self.mtime_ns = int(fields[2])
        self.version = fields[3]  # encoded
        self.name = urllib.parse.unquote(fields[4]) if fields[4:] else None


class Answers:
    """What the tool printed: results by number, entries of listings."""

    def __init__(self, text):
        self.results, self.entries, self.rest = {}, {}, {}
        self.refused = None  # why it could not be opened
        for line in text.splitlines():
            f = line.split("\t")
            if f[0] == "entry":
                self.entries.setdefault(int(f[1]), []).append(Entry(f[2:]))
            elif f[0] == "usage":
                (self.cpu_us, self.peak_kib, self.sent,
                 self.retries) = map(int, f[1:])
            elif f[0] == "open":
                self.refused = f[2]
            elif re.fullmatch(r"\d+\t-?\d+(\t.*)?", line):
                self.results[int(f[0])] = int(f[1])
                self.rest[int(f[0])] = f[2:]
            else:
                assert " level=" in line, line

    def error(self, n=0):
        return self.rest[n][-1]


class Driver:
    def __init__(self, bucket, top, *options, uri=None, endpoint=None, env=None):
        self.bucket = bucket
        self.top = top
        self.uri = uri or bucket.uri
        self.options = list(options or KEYS)
        self.options.append("s3.endpoint=" +
                            (endpoint or bucket.proxy.endpoint))
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith("AWS_") and k != "HOME"}
        self.env.update({"HOME": top, "ACACHED_PARALLEL": "200"})
        self.env.update(env or {})

    def run(self, *commands, timeout=60):
        p = subprocess.run(
            [ufs_tool(), self.uri] + self.options, env=self.env,
            input="".join(c + "\n" for c in commands).encode(),
            stdout=subprocess.PIPE, timeout=timeout, check=False)
        answers = Answers(p.stdout.decode())
        assert p.returncode == (1 if answers.refused else 0)
        return answers

    def list(self, path="", limit=0):
        return self.run("list\t%s\t%d" % (quote(path), limit))

    def stat(self, path):
        a = self.run("stat\t" + quote(path))
        assert a.results[0] == 0, a.rest
        return Entry(a.rest[0])

    def out(self, name):
        return os.path.join(self.top, name)

    def command(self, path, version, offset, length, name):
        return "read\t%s\t%s\t%d\t%d\t%s" % (quote(path), version, offset,
                                             length, self.out(name))

    def read(self, path, version, offset, length):
        """(result, bytes or None, all answers)"""
        out = self.out("out")
        if os.path.exists(out):
            os.unlink(out)
        a = self.run(self.command(path, version, offset, length, "out"))
        data = None
        if a.results[0] >= 0:
            with open(out, "rb") as f:
                data = f.read()
        return a.results[0], data, a


@pytest.fixture
def driver(bucket, workdir):
    return Driver(bucket, workdir)


def names(answers, n=0):
    return sorted(e.name for e in answers.entries.get(n, []))


def test_three_thousand_keys_come_once_each_whatever_the_page(driver):
    keys = ["many/%s%05d" % ("d/" if i % 7 == 0 else "f-", i)
            for i in range(3000)]
    ceph.upload(driver.bucket.s3, driver.bucket.name,
                [(k, b"x") for k in keys], threads=16)
    wanted = sorted({k[5:].split("/")[0] for k in keys})
    for limit, pages in ((0, 3), (1000, 3), (997, 3), (100, 26)):
        a = driver.list("many", limit)
        assert a.results[0] == 0, a.rest
        assert names(a) == wanted
        assert int(a.rest[0][0]) in (pages, pages + 1)
    a = driver.list("many/d", 10)
    assert names(a) == sorted(k[7:] for k in keys if k[5:7] == "d/")


@pytest.fixture
def pages():
    server = Pages()
    yield server
    server.close()


def test_a_hundred_thousand_keys_take_the_memory_of_a_page(pages, workdir):
    d = Driver(None, workdir, "s3.anonymous=true", uri="s3://bucket",
               endpoint=pages.endpoint)
    peaks = []
    for pages.n in (1000, 100000):
        a = d.list("p")
        assert a.results[0] == 0, a.rest
        assert names(a) == ["%07d" % i for i in range(pages.n)]
        assert int(a.rest[0][0]) == pages.n // 1000
        peaks.append(a.peak_kib)
    assert peaks[1] < peaks[0] + 4096, peaks


def test_a_master_lists_a_hundred_thousand_keys_in_little_memory(cluster,
                                                                 pages):
    pages.n = 100000
    cluster.start()
    cluster.fs("mount", "/s3", "s3://bucket", "--option", "s3.anonymous=true",
               "--option", "s3.endpoint=" + pages.endpoint)
    assert sorted(os.listdir(cluster.at("s3/p"))) == [
        "%07d" % i for i in range(pages.n)]
    kib = {}
    with open("/proc/%d/status" % cluster.child("master")) as f:
        for line in f:
            if line.startswith("Vm"):
                kib[line.split(":")[0]] = int(line.split()[1])
    assert kib["VmHWM"] <= kib["VmRSS"] + 32 * 1024, kib


ODD = ["a b", "a+b", "a%20b", "a%b", "a#b", "a?b=c&d", "q=1&r", "ü€", "漢/字",
       "sp ace/in side", "new\nline", "tab\there", "quote\"'<>&", "back\\slash",
       "~tilde", "star*", "co,lon:semi;", "[brackets]", "-", "@", "$",
       "\U0001f600", "\x01ctl", "\ufffe", "c\x02d/\x03", "long/" + "n" * 255, "deep/" + "d/" * 50 + "f"]
BAD = ["x//y", "s/./y", "s/../y", "long/" + "n" * 256]


def test_odd_keys_are_listed_and_read(driver):
    s3, bucket = driver.bucket.s3, driver.bucket.name
    for k in ODD + BAD:
        s3.put_object(Bucket=bucket, Key=k, Body=("<%s>" % k).encode())
    for limit in (0, 1, 3):
        a = driver.list("", limit)
        assert a.results[0] == 0, a.rest
        assert names(a) == sorted({k.split("/")[0] for k in ODD + BAD})
    for key in ODD:
        e = driver.stat(key)
        body = ("<%s>" % key).encode()
        assert (e.type, e.size) == ("f", len(body))
        n, data, a = driver.read(key, e.version, 0, 1000)
        assert data == body, a.rest
        where, _, name = key.rpartition("/")
        assert name in names(driver.list(where))


def test_keys_that_are_no_names_are_skipped_and_counted(driver):
    for k in BAD:
        driver.bucket.put(k, b"x")
    for where, shown, skipped in (("x", [], 1), ("s", [], 2),
                                  ("long", [], 1)):
        for limit in (0, 1):
            a = driver.list(where, limit)
            assert a.results[0] == 0, a.rest
            assert names(a) == shown
            assert int(a.rest[0][1]) == skipped


def test_directories_markers_and_a_file_of_the_same_name(driver):
    for k in ("mark/", "mark/sub/", "file", "dup", "dup/in", "dup!", "dup-a"):
        driver.bucket.put(k, b"" if k.endswith("/") else b"x")
    for limit in (0, 1, 2):
        a = driver.list("", limit)
        assert names(a) == ["dup", "dup!", "dup-a", "file", "mark"]
        types = {e.name: e.type for e in a.entries[0]}
        assert types["dup"] == "f" and types["mark"] == "d"
        assert int(a.rest[0][1]) == 1
        assert names(driver.list("mark", limit)) == ["sub"]
        assert driver.list("mark/sub", limit).results[0] == 0
    for path, kind in (("", "d"), ("mark", "d"), ("mark/sub", "d"),
                       ("dup", "f"), ("file", "f")):
        assert driver.stat(path).type == kind
    assert driver.run("stat\tnone").results[0] == ENOENT
    assert driver.list("none").results[0] == ENOENT


def test_listing_and_stat_agree(driver):
    driver.bucket.put("d/one", b"12345")
    listed = driver.list("d").entries[0][0]
    told = driver.stat("d/one")
    assert (listed.size, listed.mtime_ns, listed.version) == \
        (told.size, told.mtime_ns, told.version)
    assert listed.version and '"' not in listed.version
    assert abs(listed.mtime_ns / 1e9 - os.stat(driver.top).st_mtime) < 600


def test_a_prefix_is_a_root_and_may_be_empty(driver):
    driver.bucket.put("top/in/f", b"abc")
    inner = Driver(driver.bucket, driver.top, uri=driver.uri + "/top/in/")
    assert names(inner.list()) == ["f"]
    e = inner.stat("f")
    assert inner.read("f", e.version, 1, 2)[1] == b"bc"
    empty = Driver(driver.bucket, driver.top, uri=driver.uri + "/nothing")
    assert empty.list().results[0] == 0
    assert empty.stat("").type == "d"


def test_ranges_are_byte_for_byte(driver):
    body = os.urandom(3 * 1024 * 1024 + 12345)
    driver.bucket.put("big", body)
    v = driver.stat("big").version
    size = len(body)
    ranges = [(0, size), (0, 1), (size - 1, 1), (size - 10, 100), (0, 2 * size),
              (1, size - 1), (1 << 20, 1 << 20), (12345, 1000000), (size, 10),
              (size + 5, 10), (7, 0)]
    ranges += [(i * 65536, 65536) for i in range(48)]
    a = driver.run(*[driver.command("big", v, o, n, "r%d" % i)
                     for i, (o, n) in enumerate(ranges)])
    for i, (o, n) in enumerate(ranges):
        wanted = body[o:o + n]
        assert a.results[i] == len(wanted), (o, n, a.rest[i])
        with open(driver.out("r%d" % i), "rb") as f:
            assert f.read() == wanted


def test_a_replaced_object_is_an_error_and_never_a_mixture(driver):
    old, new = b"o" * 400000, b"n" * 400000
    driver.bucket.put("k", old)
    v = driver.stat("k").version
    driver.bucket.put("k", new)
    n, _, a = driver.read("k", v, 0, len(old))
    assert n == ERR_CHANGED
    assert a.error().startswith(driver.uri + "/k: ")
    assert driver.read("k", v, len(old), 10)[0] == ERR_CHANGED
    assert driver.read("k", v, 0, 0)[0] == ERR_CHANGED
    driver.bucket.s3.delete_object(Bucket=driver.bucket.name, Key="k")
    assert driver.read("k", v, 0, 10)[0] == ENOENT


def test_an_object_replaced_between_attempts_is_an_error(driver):
    """The first attempt breaks in the middle; the rest is another version's."""
    driver.env["ACACHED_ATTEMPTS"] = "4"
    old = b"o" * 400000
    proxy = driver.bucket.proxy
    driver.bucket.put("k", old)
    v = driver.stat("k").version
    proxy.inject({"fault": "stall-body", "count": 1, "at": 100000})
    p = subprocess.Popen([ufs_tool(), driver.uri] + driver.options,
                         env=driver.env, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    p.stdin.write((driver.command("k", v, 0, len(old), "out") +
                   "\n").encode())
    p.stdin.close()
    wait_for("the stalled body", proxy.held)
    driver.bucket.put("k", b"n" * 400000)
    proxy.process.kill()  # the connection breaks; nobody answers for a while
    proxy.process.wait()
    a = Answers(p.stdout.read().decode())
    p.wait()
    assert a.results[0] == EIO  # it could not ask again
    driver.bucket.proxy = type(proxy)(driver.bucket.server.endpoint)
    again = Driver(driver.bucket, driver.top)
    driver.bucket.proxy.inject({"fault": "reset-body", "count": 1})
    assert again.read("k", v, 0, len(old))[0] == ERR_CHANGED


FAULTS = [
    {"fault": "status", "status": 500}, {"fault": "status", "status": 503},
    {"fault": "status", "status": 429}, {"fault": "status", "status": 502},
    {"fault": "reset"}, {"fault": "reset-body"}, {"fault": "short-body"},
    {"fault": "short-body", "at": 1}, {"fault": "reset-body", "at": 99999},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_faults_are_healed_by_retries(driver, fault):
    body = os.urandom(100000)
    driver.bucket.put("k", body)
    v = driver.stat("k").version
    for kind, run in (("get", lambda: driver.read("k", v, 0, 100000)[1:]),
                      ("head", lambda: (body, driver.run("stat\tk"))),
                      ("list", lambda: (body, driver.list()))):
        if "body" in fault["fault"] and (kind == "head" or
                                         fault.get("at", 0) > 1):
            if kind != "get":
                continue  # nothing there that could break
        driver.bucket.proxy.inject(dict(fault, kind=kind, count=3))
        data, a = run()
        assert data == body, a.rest
        assert a.results[0] >= 0, a.rest
        injected = driver.bucket.proxy.reset()["injected"]
        assert a.retries == sum(injected.values()) or "body" in fault["fault"]
        assert a.retries > 0
        assert sum(injected.values()) == 3 or "body" in fault["fault"]


def test_a_broken_body_goes_on_where_it_broke(driver):
    body = os.urandom(1000000)
    driver.bucket.put("k", body)
    v = driver.stat("k").version
    driver.bucket.proxy.reset()
    driver.bucket.proxy.inject({"fault": "short-body", "at": 300000,
                                "count": 2})
    n, data, a = driver.read("k", v, 0, len(body))
    assert data == body
    ranges = [e[2] for e in driver.bucket.proxy.log("get")]
    assert ranges == ["bytes=0-999999", "bytes=300000-999999",
                      "bytes=600000-999999"]


def test_retries_end_with_what_the_storage_said(driver):
    driver.env["ACACHED_ATTEMPTS"] = "3"
    driver.bucket.put("k", b"x")
    v = driver.stat("k").version
    driver.bucket.proxy.inject({"fault": "status", "status": 503})
    n, _, a = driver.read("k", v, 0, 1)
    assert n == EIO
    assert a.error() == (
        "s3://%s/k: 503 SlowDown: injected; the storage asks for fewer "
        "requests (3 attempts)" % driver.bucket.name)
    assert a.retries == 2
    driver.bucket.proxy.inject({"fault": "reset"})
    n, _, a = driver.read("k", v, 0, 1)
    assert n == EIO
    assert "(3 attempts)" in a.error()


def test_403_and_404_are_not_retried(driver):
    driver.bucket.put("k", b"x")
    v = driver.stat("k").version
    for status, code in ((403, EACCES), (404, ENOENT)):
        driver.bucket.proxy.inject({"fault": "status", "status": status})
        n, _, a = driver.read("k", v, 0, 1)
        assert (n, a.retries) == (code, 0)


def test_md5_is_checked_only_where_the_etag_is_one(bucket, workdir):
    d = Driver(bucket, workdir, *KEYS, "s3.verify=md5")
    part = os.urandom(5 << 20)
    bucket.put("one part", part[:100000])
    upload = bucket.s3.create_multipart_upload(Bucket=bucket.name, Key="two")
    parts = [{"PartNumber": n, "ETag": bucket.s3.upload_part(
        Bucket=bucket.name, Key="two", UploadId=upload["UploadId"],
        PartNumber=n, Body=body)["ETag"]}
        for n, body in ((1, part), (2, b"rest"))]
    bucket.s3.complete_multipart_upload(
        Bucket=bucket.name, Key="two", UploadId=upload["UploadId"],
        MultipartUpload={"Parts": parts})
    for key, body in (("one part", part[:100000]), ("two", part + b"rest")):
        v = d.stat(key).version
        bucket.proxy.reset()
        bucket.proxy.inject({"fault": "wrong-bytes", "count": 1})
        n, data, a = d.read(key, v, 0, len(body))
        assert n == len(body), a.rest
        assert (data == body) == (key == "one part")
        assert a.retries == (key == "one part")
        assert d.read(key, v, 0, len(body))[1] == body
        assert d.read(key, v, 10, 1000)[1] == body[10:1010]


def test_hundreds_of_gets_are_in_flight_on_one_loop(driver):
    body = {("d/%d" % i): os.urandom(20000) for i in range(300)}
    ceph.upload(driver.bucket.s3, driver.bucket.name, body.items(), threads=16)
    versions = {"d/" + e.name: e.version
                for e in driver.list("d").entries[0]}
    driver.env["ACACHED_PARALLEL"] = "300"
    driver.options.append("s3.min-requests=300")
    proxy = driver.bucket.proxy
    proxy.inject({"fault": "stall"})
    p = subprocess.Popen([ufs_tool(), driver.uri] + driver.options,
                         env=driver.env, stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE)
    keys = sorted(body)
    p.stdin.write("".join(driver.command(k, versions[k], 0, 20000,
                                         "o%d" % i) + "\n"
                          for i, k in enumerate(keys)).encode())
    p.stdin.close()
    wait_for("300 requests at the storage", lambda: proxy.held() == 300, 20)
    proxy.clear()
    a = Answers(p.stdout.read().decode())
    assert p.wait() == 0
    for i, k in enumerate(keys):
        assert a.results[i] == 20000, a.rest[i]
        with open(driver.out("o%d" % i), "rb") as f:
            assert f.read() == body[k]
    assert a.retries == 0


@pytest.fixture
def own_server(rgw, workdir):
    """One to kill: a bucket is made only 30 s after a gateway crashed."""
    server = ceph.Rgw(os.path.join(workdir, "ceph"))
    try:
        yield server.start()
    finally:
        server.stop()


def test_a_restarted_server_is_waited_for(own_server, workdir):
    """One process: connections that it keeps break while they are idle, then
    while they are in use; nobody is at the port for a while."""
    body = {("d/%d" % i): os.urandom(200000) for i in range(40)}
    s3 = own_server.client()
    s3.create_bucket(Bucket="bucket")
    ceph.upload(s3, "bucket", body.items())
    d = Driver(None, workdir, uri="s3://bucket", endpoint=own_server.endpoint)
    versions = {"d/" + e.name: e.version for e in d.list("d").entries[0]}
    keys = sorted(body)
    p = subprocess.Popen([ufs_tool(), d.uri] + d.options, env=d.env,
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(first, part):
        p.stdin.write("".join(
            d.command(k, versions[k], 0, 200000, "o%d" % (first + i)) + "\n"
            for i, k in enumerate(part)).encode() + b"pause\n")
        p.stdin.flush()

    def answers():
        got = []
        while True:
            line = p.stdout.readline().decode().rstrip("\n")
            if line == "paused":
                return got
            if " level=" not in line:
                got.append(line.split("\t"))

    ask(0, keys[:20])
    got = answers()
    own_server.kill_gateway()
    own_server.start_gateway()
    ask(20, keys[20:])
    got += answers()
    own_server.kill_gateway()
    ask(40, keys)
    time.sleep(0.5)  # some attempts fail meanwhile
    own_server.start_gateway()
    got += answers()
    p.stdin.close()
    assert p.stdout.readline().startswith(b"usage")
    assert p.wait() == 0
    assert len(got) == 80
    for n, rv, *rest in got:
        assert int(rv) == 200000, rest
        with open(d.out("o" + n), "rb") as f:
            assert f.read() == body[keys[int(n) % 40]]


def test_cancel_ends_what_is_in_flight(driver):
    driver.bucket.put("k", b"x" * 1000)
    v = driver.stat("k").version
    read = driver.command("k", v, 0, 1000, "out")
    driver.bucket.proxy.inject({"fault": "stall", "kind": "any"})
    a = driver.run(read, "stat\tk", "list\t", "cancel", timeout=10)
    assert [a.results[i] for i in range(3)] == 3 * [ECANCELED]
    driver.bucket.proxy.inject({"fault": "status", "kind": "any",
                                "status": 503})
    a = driver.run(read, "stat\tk", "list\t", "cancel", timeout=10)
    assert [a.results[i] for i in range(3)] == 3 * [ECANCELED]


def sentence(driver):
    driver.env["ACACHED_ATTEMPTS"] = "2"
    a = driver.list()
    assert a.results[0] < 0
    return a.error()


def test_wrong_keys_and_names_get_the_right_sentence(bucket, workdir):
    def of(*options, **kw):
        return sentence(Driver(bucket, workdir, *options, **kw))

    wrong = KEYS[:1] + ["aws.secretKey=x"]
    assert "403 SignatureDoesNotMatch" in of(*wrong)
    assert "check aws.secretKey" in of(*wrong)
    unknown = ["aws.accessKeyId=NOBODY"] + KEYS[1:]
    assert "403 InvalidAccessKeyId" in of(*unknown)
    assert "check aws.accessKeyId" in of(*unknown)
    missing = of(uri="s3://no-such-bucket")
    assert missing.startswith("s3://no-such-bucket/: 404 NoSuchBucket")
    assert "check the bucket's name" in missing
    anonymous = of("s3.anonymous=true")
    assert "403 AccessDenied" in anonymous
    assert "no keys were found" in of("s3.region=us-east-1")
    dead = of(endpoint="http://127.0.0.1:9")
    assert "could not connect to http://127.0.0.1:9: Connection refused; " \
        "check s3.endpoint" in dead
    nowhere = of(endpoint="http://no-such-host.invalid")
    assert "could not connect to http://no-such-host.invalid" in nowhere
    tls = of(endpoint=bucket.server.endpoint.replace("http:", "https:"))
    assert "check http:// or https://" in tls
    for text in (of(*wrong), of(*unknown), anonymous, dead, tls):
        assert "TESTSECRET" not in text and "NOBODY" not in text


def test_keys_of_the_environment_then_of_the_credentials_file(bucket, workdir):
    bucket.put("k", b"x")
    place = os.path.join(workdir, ".aws")
    os.mkdir(place)
    with open(os.path.join(place, "credentials"), "w") as f:
        f.write("[other]\naws_access_key_id = no\n"
                "aws_secret_access_key = no\n\n[default]\n"
                "aws_access_key_id=%s\naws_secret_access_key = %s\n" %
                (ceph.ACCESS_KEY, ceph.SECRET_KEY))
    d = Driver(bucket, workdir, "s3.region=us-east-1")
    assert names(d.list()) == ["k"]
    d.env.update({"AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": "x"})
    assert "InvalidAccessKeyId" in sentence(d)
    d.env.update({"AWS_ACCESS_KEY_ID": ceph.ACCESS_KEY,
                  "AWS_SECRET_ACCESS_KEY": ceph.SECRET_KEY})
    assert names(d.list()) == ["k"]
    d = Driver(bucket, workdir, *KEYS, env={
        "AWS_ACCESS_KEY_ID": "NOBODY", "AWS_SECRET_ACCESS_KEY": "x"})
    assert names(d.list()) == ["k"]


def test_a_public_bucket_is_read_without_keys(bucket, workdir):
    bucket.put("k", b"public")
    bucket.s3.put_bucket_acl(Bucket=bucket.name, ACL="public-read")
    bucket.s3.put_object_acl(Bucket=bucket.name, Key="k", ACL="public-read")
    d = Driver(bucket, workdir, "s3.anonymous=true")
    assert names(d.list()) == ["k"]
    assert d.read("k", d.stat("k").version, 0, 10)[1] == b"public"


def test_the_bucket_may_be_part_of_the_host(bucket, workdir):
    bucket.put("a b+c", b"x")
    host = bucket.server.endpoint.replace("127.0.0.1", "localhost")
    d = Driver(bucket, workdir, *KEYS, "s3.path-style=false", endpoint=host)
    if "Could not resolve" in str(d.list().rest):
        pytest.skip("BUCKET.localhost has no address on this machine")
    assert names(d.list()) == ["a b+c"]
    assert d.read("a b+c", d.stat("a b+c").version, 0, 1)[1] == b"x"


def test_the_environments_proxy_is_not_used(bucket, workdir):
    bucket.put("k", b"x")
    d = Driver(bucket, workdir, env={"http_proxy": "http://127.0.0.1:9",
                                     "ALL_PROXY": "http://127.0.0.1:9"})
    assert names(d.list()) == ["k"]


@pytest.fixture
def tls(rgw, workdir):
    """The proxy's address by TLS: (endpoint, CA file)."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    cert, key = (os.path.join(workdir, n) for n in ("cert.pem", "key.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out",
         cert], check=True, capture_output=True)
    port = ceph.free_ports(1)[0]
    serve = os.path.join(workdir, "serve.py")
    with open(serve, "w") as f:
        f.write(TLS_FORWARDER)
    p = subprocess.Popen(["/usr/bin/python3", serve, cert, key, str(port),
                          str(rgw.port)], stdout=subprocess.PIPE)
    p.stdout.readline()
    yield "https://127.0.0.1:%d" % port, cert
    p.kill()
    p.wait()


TLS_FORWARDER = """
import asyncio, ssl, sys
cert, key, port, upstream = sys.argv[1:]
async def pump(r, w):
    try:
        while data := await r.read(65536):
            w.write(data)
            await w.drain()
    except OSError:
        pass
    w.close()
async def serve(r, w):
    ur, uw = await asyncio.open_connection("127.0.0.1", int(upstream))
    await asyncio.gather(pump(r, uw), pump(ur, w))
async def main():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(cert, key)
    s = await asyncio.start_server(serve, "127.0.0.1", int(port), ssl=c)
    print("ready", flush=True)
    await s.serve_forever()
asyncio.run(main())
"""


def test_tls_is_verified(bucket, workdir, tls):
    endpoint, cert = tls
    body = os.urandom(500000)
    bucket.put("k", body)
    d = Driver(bucket, workdir, endpoint=endpoint)
    text = sentence(d)
    assert "certificate" in text and "s3.ca-file" in text
    d = Driver(bucket, workdir, *KEYS, "s3.ca-file=" + cert,
               endpoint=endpoint)
    assert names(d.list()) == ["k"]
    assert d.read("k", d.stat("k").version, 0, 500000)[1] == body
