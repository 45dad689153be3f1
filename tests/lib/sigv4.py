"""Amazon's Signature Version 4, for what stands between a client and a server."""

import datetime
import hashlib
import hmac

STAMP = "%Y%m%dT%H%M%SZ"


def now(ahead=0):
    """The time of a clock that is `ahead` seconds ahead of ours."""
    return datetime.datetime.now(datetime.timezone.utc) + \
        datetime.timedelta(seconds=ahead)


def signature(secret, stamp, region, canonical):
    scope = "%s/%s/s3/aws4_request" % (stamp[:8], region)
    key = ("AWS4" + secret).encode()
    for word in scope.split("/"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    return scope, hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def parts_of(authorization):
    """The words of an Authorization header: {"Credential": …, …}"""
    words = authorization.partition(" ")[2].split(",")
    return dict(w.strip().split("=", 1) for w in words)


def sign_again(head, access, secret, region="us-east-1"):
    """The head of a signed request, signed anew for now and this region."""
    lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    path, _, query = target.partition("?")
    fields = [[n, v.strip()] for n, _, v in
              (line.partition(":") for line in lines[1:])]
    stamp = now().strftime(STAMP)
    for f in fields:
        if f[0].lower() == "x-amz-date":
            f[1] = stamp
    value = {n.lower(): v for n, v in fields}
    names = parts_of(value["authorization"])["SignedHeaders"]
    canonical = "\n".join(
        [method, path, "&".join(sorted(query.split("&")))] +
        ["%s:%s" % (n, value[n]) for n in names.split(";")] +
        ["", names, value["x-amz-content-sha256"]])
    scope, sign = signature(secret, stamp, region, canonical)
    for f in fields:
        if f[0].lower() == "authorization":
            f[1] = ("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, "
                    "Signature=%s" % (access, scope, names, sign))
    text = [lines[0]] + ["%s: %s" % (n, v) for n, v in fields]
    return ("\r\n".join(text) + "\r\n\r\n").encode("latin-1")
