"""Signature V4 as botocore makes it, and as Amazon documents it."""

import os
import random
import subprocess

import pytest

from acached import binary

botocore_auth = pytest.importorskip("botocore.auth")
import botocore.awsrequest  # noqa: E402
import botocore.credentials  # noqa: E402

SEED = 20130524
N = 1000
ODD = " +%&=?#@!$'()*,;:/~-._<>\"\\^`{|}[]äß漢€\U0001f600"


def ufs_tool():
    path = os.path.join(os.path.dirname(binary() or "x"), "tests", "lib",
                        "ufs_tool")
    if not os.path.exists(path):
        pytest.fail("%s is not built: make" % path)
    return path


def sign(requests):
    """Authorization headers of our own."""
    lines = "".join("\t".join(r) + "\n" for r in requests)
    p = subprocess.run([ufs_tool(), "sign"], input=lines.encode(), check=True,
                       stdout=subprocess.PIPE, timeout=60)
    return p.stdout.decode().splitlines()


def word(rng, most):
    letters = "abcXYZ019" + (ODD if rng.random() < 0.7 else "")
    return "".join(rng.choice(letters) for _ in range(rng.randint(0, most)))


def quote(s, safe):
    import urllib.parse
    return urllib.parse.quote(s, safe=safe)


class FixedDate(botocore_auth.S3SigV4Auth):
    """botocore's signer at a date of ours."""

    def __init__(self, date, *args):
        super().__init__(*args)
        self.date = date

    def add_auth(self, request):
        request.context["timestamp"] = self.date
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        signature = self.signature(
            self.string_to_sign(request, canonical), request)
        self._inject_signature_to_request(request, signature)


def random_request(rng):
    """(what our tool reads, botocore's Authorization)"""
    access = "AK%016X" % rng.getrandbits(64)
    secret = "".join(rng.choice("abcABC0189/+") for _ in range(40))
    region = rng.choice(["us-east-1", "eu-central-1", "x"])
    date = "20%02d%02d%02dT%02d%02d%02dZ" % (
        rng.randint(10, 60), rng.randint(1, 12), rng.randint(1, 28),
        rng.randint(0, 23), rng.randint(0, 59), rng.randint(0, 59))
    token = rng.choice([None, "tok/en+%d==" % rng.getrandbits(40)])
    method = rng.choice(["GET", "HEAD", "PUT", "POST", "DELETE"])
    host = rng.choice(["bucket.s3.amazonaws.com", "localhost:%d" %
                       rng.randint(1024, 65535)])
    path = "/" + quote(word(rng, 60), "/~")
    names = {word(rng, 8) or "list-type" for _ in range(rng.randint(0, 6))}
    query = "&".join(
        quote(k, "~") + rng.choice(["=" + quote(word(rng, 30), "~"), "="])
        for k in rng.sample(sorted(names), len(names)))
    payload = rng.choice(["UNSIGNED-PAYLOAD", "%064x" % rng.getrandbits(256)])
    headers = {"x-amz-content-sha256": payload}
    for i in range(rng.randint(0, 4)):
        headers["%s-%d" % (rng.choice(["X-Amz-Meta", "x-amz-acl", "Range"]),
                           i)] = rng.choice([
                               "bytes=0-1", "  two   spaces  ", "a;b,c", ""])

    request = botocore.awsrequest.AWSRequest(
        method=method, url="http://%s%s%s" % (host, path,
                                              "?" + query if query else ""),
        headers=dict(headers))
    request.context["payload_signing_enabled"] = True
    auth = FixedDate(date, botocore.credentials.Credentials(
        access, secret, token), "s3", region)
    auth.payload = lambda r: payload
    auth.add_auth(request)
    headers.update({"host": host, "x-amz-date": date})
    if token:
        headers["x-amz-security-token"] = token
    fields = [access, secret, region, date, method, path, query, payload]
    for k in rng.sample(sorted(headers), len(headers)):
        fields += [k, headers[k]]
    return fields, request.headers["Authorization"]


def test_signatures_are_those_of_botocore():
    rng = random.Random(SEED)
    made = [random_request(rng) for _ in range(N)]
    assert len(made) == N
    ours = sign([fields for fields, _ in made])
    assert len(ours) == N
    for i, ((fields, theirs), mine) in enumerate(zip(made, ours)):
        assert mine == theirs, "request %d of seed %d: %r" % (i, SEED, fields)


# "Examples: Signature Calculations" of the S3 API reference.
KEYS = ["AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "us-east-1", "20130524T000000Z"]
HOST = ["host", "examplebucket.s3.amazonaws.com", "x-amz-date", KEYS[3]]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
PUT = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
EXAMPLES = [
    (["GET", "/test.txt", "", EMPTY], ["range", "bytes=0-9"],
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    (["PUT", "/test%24file.text", "", PUT],
     ["date", "Fri, 24 May 2013 00:00:00 GMT",
      "x-amz-storage-class", "REDUCED_REDUNDANCY"],
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    (["GET", "/", "lifecycle", EMPTY], [],
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    (["GET", "/", "max-keys=2&prefix=J", EMPTY], [],
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
]


@pytest.mark.parametrize("example", range(len(EXAMPLES)))
def test_signatures_are_those_of_amazons_examples(example):
    request, headers, signature = EXAMPLES[example]
    line = sign([KEYS + request + HOST +
                 ["x-amz-content-sha256", request[3]] + headers])[0]
    assert line.endswith("Signature=" + signature)


def test_however_it_was_encoded_the_signature_is_the_same():
    """As a server must see what clients send."""
    variants = [("/a%2Fb%2a%7ec", "x=1&uploads"),
                ("/a/b*~c", "uploads=&x=1"),
                ("/a/b%2A~c", "uploads&x=%31")]
    lines = sign([KEYS + ["GET", path, query, EMPTY] + HOST
                  for path, query in variants])
    assert len(set(lines)) == 1
