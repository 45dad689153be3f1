"""Keys that are odd names: each is shown as it is, or left out with a warning.
The keys are those of the table in doc/under-storage.md."""

import errno
import os
import re
import urllib.parse

import pytest

import doctable

EMPTY = "an empty component"
DOTS = "the component . or .."
LONG = "a component of more than 255 bytes"
TWICE = "a directory of the name of a file"
MARKER = "bytes of the marker of a directory"


class Wanted:
    """What must become of keys, by the rules and not by our code."""

    def __init__(self, keys):
        self.keys = [k.encode() for k in keys]
        self.files, self.dirs, self.left_out = {}, {b""}, {}
        for key in self.keys:
            self.add(key)

    def why_not(self, at, component, last):
        if component == b"":
            return EMPTY
        if component in (b".", b".."):
            return DOTS
        if len(component) > 255:
            return LONG
        return TWICE if not last and at in self.keys else None

    def add(self, key):
        parts = key.split(b"/")
        for i, part in enumerate(parts):
            last = i + 1 == len(parts)
            at = b"/".join(parts[:i + 1])
            if last and i and part == b"":
                if body(key):
                    self.left_out[key] = MARKER
                return
            reason = self.why_not(at, part, last)
            if reason:
                self.left_out[at if last else at + b"/"] = reason
                return
            if not last:
                self.dirs.add(at)
        self.files[key] = body(key)


def body(key):
    """Other bytes for each key; markers have none, but the full one."""
    return b"" if key.endswith(b"/") and key != b"full/" else b"<%s>" % key


def table():
    """[(keys, what is said of them, what becomes of them), …]"""
    return [([eval(c, {"__builtins__": {}})  # pylint: disable=eval-used
              for c in doctable.code(r["for example"])], r["keys"],
             r["what becomes of them"])
            for r in doctable.rows("under-storage.md", "### Odd keys")]


def walk(top):
    files, dirs = {}, set()
    for where, _, names in os.walk(top, onerror=pytest.fail):
        dirs.add(os.path.relpath(where, top) if where != top else b"")
        for name in names:
            path = os.path.join(where, name)
            with open(path, "rb") as f:
                files[os.path.relpath(path, top)] = f.read()
    return files, dirs


def skipped_in(log):
    return {urllib.parse.unquote_to_bytes(k): r for k, r in re.findall(
        r'event="key skipped" bucket=\S+ key=(\S+) reason="([^"]*)"', log)}


@pytest.fixture
def odd(cluster, bucket):
    keys = [k for row in table() for k in row[0]]
    assert len(keys) == len(set(keys)) > 50
    for k in keys:
        bucket.put(k, body(k.encode()))
    cluster.start()
    cluster.mount_s3("/s3", bucket.name, bucket.proxy.endpoint)
    return Wanted(keys)


def test_the_table_says_what_the_rules_say():
    wanted = Wanted([k for row in table() for k in row[0]])
    for keys, what, becomes in table():
        for key in (k.encode() for k in keys):
            reasons = {r for k, r in wanted.left_out.items()
                       if key == k or k[-1:] == b"/" and key.startswith(k)}
            if becomes == "shown":
                assert not reasons and (key in wanted.files or
                                        key[:-1] in wanted.dirs), key
            elif key not in wanted.files:
                assert reasons == {what}, key
    assert set(wanted.left_out.values()) == {EMPTY, DOTS, LONG, TWICE, MARKER}


@pytest.mark.slow
def test_each_odd_key_is_shown_or_left_out_with_a_warning(odd, cluster):
    top = os.fsencode(cluster.at("s3"))
    for key in sorted(odd.files, reverse=True):  # asked for one by one
        with open(os.path.join(top, key), "rb") as f:
            assert f.read() == odd.files[key], key
    files, dirs = walk(top)
    assert files == odd.files
    assert dirs == odd.dirs
    assert skipped_in(cluster.log_text()) == odd.left_out
    for _ in range(2):
        report = cluster.admin_json("report")
        assert report["numbers"]["ufs_names_skipped"] == len(odd.left_out)
        assert "are not shown" in report["warnings"][0]
        cluster.fs("ls", "-R", "-f", "/s3")  # a second time counts no more
    files, dirs = walk(top)
    assert (files, dirs) == (odd.files, odd.dirs)
    for key, code in ((b"both/in", errno.ENOTDIR),
                      (b"n" * 256, errno.ENAMETOOLONG),
                      (b"cAse", errno.ENOENT), (b"a b ", errno.ENOENT)):
        with pytest.raises(OSError) as e:
            os.stat(os.path.join(top, key))
        assert e.value.errno == code, key
    for key in (b"a b", b"new\nline", b"%2F", b"e\xcc\x81", b"\x01"):
        got = cluster.fs("cat", "/s3/" + key.decode()).stdout
        assert got.encode() == odd.files[key]
    cluster.fs("unmount", "/s3")
    report = cluster.admin_json("report")
    assert report["numbers"]["ufs_names_skipped"] == 0
    assert not report["warnings"]
