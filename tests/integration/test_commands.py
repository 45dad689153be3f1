"""Commands, each against what it must print; columns as the old system had."""

import hashlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import acached
import data


@pytest.fixture(scope="module")
def one(program):
    """A cluster for tests that leave it as it is, over a directory at /."""
    top = tempfile.mkdtemp(prefix="ac-")
    source = os.path.join(top, "source")
    os.makedirs(os.path.join(source, "cli", "sub"))
    for name, size in (("cli/a.txt", 0), ("cli/sub/b.bin", 300000),
                       ("cli/big", 9000001)):
        data.fill(os.path.join(source, name), size, 7)
    with open(os.path.join(source, "cli/a.txt"), "w") as f:
        f.write("hello\n")
    open(os.path.join(source, "empty"), "w").close()
    os.mkdir(os.path.join(source, "void"))
    for where, _, names in os.walk(source):  # what is new is not cached
        for name in names:
            os.utime(os.path.join(where, name), (2000, 2000))
    os.utime(os.path.join(source, "cli/big"), (1000, 1000))
    c = acached.Cluster(os.path.join(top, "c"), program)
    c.source = source
    c.start("--ufs", "file://" + source, mountpoint=False)
    yield c
    c.destroy()
    shutil.rmtree(top, ignore_errors=True)


def text_of(c, *words):
    return c.fs(*words).stdout


def columns(line):
    """Where each word of a line begins or ends, whichever is fixed."""
    return [(m.start(), m.end()) for m in re.finditer(r"\S+", line)]


def load_one(c):
    """/cli/a.txt is cached, and the master knows."""
    c.fs("load", "/cli/a.txt")
    acached.wait_for("the master knows", lambda: "100%" in
                     text_of(c, "ls", "/cli/a.txt"))


# As real Alluxio 2.9.6 printed it.
LS = """\
drwxr-xr-x  root           root                         1       PERSISTED \
11-23-2026 03:00:17:071  DIR /l/cli/sub
-rw-r--r--  root           root                    300000       PERSISTED \
11-23-2026 03:00:17:071   0% /l/cli/sub/b.bin
-rw-r--r--  root           root                         6       PERSISTED \
11-23-2026 03:00:17:069 100% /l/cli/a.txt
"""


def test_ls_has_the_columns_of_the_old_system(one):
    theirs = [columns(line) for line in LS.splitlines()]
    load_one(one)
    ours = {line.split()[-1]: line
            for line in text_of(one, "ls", "-R", "/cli").splitlines()}
    for path, theirs in zip(("/cli/sub", "/cli/sub/b.bin", "/cli/a.txt"),
                            LS.splitlines()):
        line = ours[path]
        a, b = columns(theirs), columns(line)
        assert len(a) == len(b) == 9, line
        for i in (0, 1, 2, 8):  # begin where theirs do
            assert a[i][0] == b[i][0], (theirs, line)
        for i in (3, 4, 5, 6, 7):  # end where theirs do
            assert a[i][1] == b[i][1], (theirs, line)
        assert line.split()[0] == theirs.split()[0]
    assert "292.97KB" in text_of(one, "ls", "-h", "/cli/sub/b.bin")


# As real Alluxio 2.9.6 printed it.
DU = """\
File Size     In Alluxio       Path
292.97KB      292.97KB (100%)  /l/cli
"""


def test_du_has_the_columns_of_the_old_system(one):
    one.fs("load", "/cli/sub")
    acached.wait_for("the master knows", lambda: "(100%)" in
                     text_of(one, "du", "/cli/sub"))
    assert text_of(one, "du", "-s", "-h", "/cli/sub") == DU.replace(
        "In Alluxio", "In acached").replace("/l/cli", "/cli/sub")


def test_ls_tells_what_is_in_no_storage(cluster, tree):
    cluster.start(mountpoint=False)
    cluster.fs("mount", "/m/data", "file://" + tree[0])
    cluster.fs("mount", "/m/dat", "file://" + tree[0])

    def told(path):
        return [line.split()[4] + line.split()[-1] for line in
                text_of(cluster, "ls", path).splitlines()]
    assert told("/") == ["NOT_PERSISTED/m"]
    # The root's directory of the old system:
    # "drwxr-xr-x  root           root                         4   "
    # "NOT_PERSISTED 11-23-2026 03:00:20:400  DIR /beh2"
    assert "   NOT_PERSISTED " in text_of(cluster, "ls", "/")
    assert sorted(told("/m")) == ["PERSISTED/m/dat", "PERSISTED/m/data"]
    assert {w.split("/")[0] for w in told("/m/data")} == {"PERSISTED"}


def names(text):
    return [line.split()[-1].rpartition("/")[2] for line in text.splitlines()]


def test_ls_sorts(one):
    def ls(*words):
        return names(text_of(one, "ls", "/cli", *words))
    assert ls("--sort", "path", "-f") == ["a.txt", "big", "sub"]
    assert ls("-r") == ["sub", "big", "a.txt"]
    by_size = ls("--sort", "size")
    assert by_size.index("a.txt") < by_size.index("big")
    assert ls("--sort", "size", "-r") == by_size[::-1]
    assert ls("--sort", "lastModificationTime")[0] == "big"
    load_one(one)
    one.fs("free", "/cli/big")
    acached.wait_for("the others are not cached", lambda: ls(
        "--sort", "inMemoryPercentage")[-1] == "a.txt")
    assert names(text_of(one, "ls", "-d", "/cli")) == ["cli"]
    deep = names(text_of(one, "ls", "-R", "--sort", "path", "-r", "/cli"))
    assert deep == ["sub", "big", "a.txt", "b.bin"]
    p = one.fs("ls", "--sort", "colour", "/cli", check=False)
    assert p.returncode == 2 and "size|lastModificationTime" in p.stderr


def content(c, name):
    with open(os.path.join(c.source, name), "rb") as f:
        return f.read()


def raw(c, *words):
    return c.fs(*words, text=False).stdout


def test_head_and_tail_print_the_ends(one):
    big = content(one, "cli/big")
    assert raw(one, "head", "/cli/big") == big[:1024]
    assert raw(one, "tail", "/cli/big") == big[-1024:]
    assert raw(one, "head", "-c", "5M", "/cli/big") == big[:5 << 20]
    assert raw(one, "tail", "-c", "5000001", "/cli/big") == big[-5000001:]
    assert raw(one, "tail", "-c", "1T", "/cli/a.txt", "/empty") == b"hello\n"
    p = one.fs("head", "-c", "many", "/cli/big", check=False)
    assert p.returncode == 2 and "many" in p.stderr
    p = one.fs("tail", "/cli", check=False)
    assert p.returncode == 1 and "/cli: is a directory" in p.stderr
    assert one.fs("head", "/none", "/cli/a.txt", check=False).returncode == 3


def crc32c(body):
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    crc = 0xffffffff
    for byte in body:
        crc = table[(crc ^ byte) & 0xff] ^ (crc >> 8)
    return "%08x" % (crc ^ 0xffffffff)


def test_checksums_are_of_the_content(one):
    big, b = content(one, "cli/big"), content(one, "cli/sub/b.bin")
    # The old system: "md5sum: b1946ac92492d2347c6235b4d2611184"
    assert text_of(one, "checksum", "/cli/a.txt") == \
        "md5sum: b1946ac92492d2347c6235b4d2611184\n"
    assert text_of(one, "checksum", "-a", "sha256", "/cli/big") == \
        "sha256sum: %s\n" % hashlib.sha256(big).hexdigest()
    assert text_of(one, "checksum", "--algorithm", "crc32c", "/empty",
                   "/cli/sub/b.bin") == \
        "crc32csum: 00000000  /empty\ncrc32csum: %s  /cli/sub/b.bin\n" % \
        crc32c(b)
    assert one.fs_json("checksum", "/cli/big") == [{
        "path": "/cli/big", "algorithm": "md5",
        "checksum": hashlib.md5(big).hexdigest()}]
    p = one.fs("checksum", "-a", "sha1", "/empty", check=False)
    assert p.returncode == 2 and "md5|sha256|crc32c" in p.stderr
    p = one.fs("checksum", "/none", "--json", check=False)
    assert p.returncode == 1 and "/none: No such file" in p.stderr


# As real Alluxio 2.9.6 printed it.
COUNT = """\
File Count               Folder Count             Folder Size    
2                        1                        300006         
"""  # noqa: W291


def test_count_is_printed_as_the_old_system_did(one):
    assert text_of(one, "count", "/cli") == COUNT.replace(
        "2  ", "3  ", 1).replace("300006 ", "9300007")
    assert one.fs_json("count", "/cli/sub", "/cli/a.txt") == [
        {"path": "/cli/sub", "files": 1, "directories": 0, "bytes": 300000},
        {"path": "/cli/a.txt", "files": 1, "directories": 0, "bytes": 6}]
    assert "8.87MB" in text_of(one, "count", "-h", "/cli")
    p = one.fs("count", "/none", check=False)
    assert p.returncode == 1 and p.stdout == ""


def test_test_answers_by_its_status(one):
    def test(letter, path):
        return one.fs("test", letter, path, check=False).returncode
    yes = {"-d": ("/cli", "/void", "/"), "-f": ("/cli/a.txt", "/empty"),
           "-e": ("/cli", "/empty"), "-z": ("/empty",),
           "-s": ("/cli", "/cli/a.txt")}
    no = {"-d": ("/empty", "/none"), "-f": ("/cli", "/none/x"),
          "-e": ("/none", "/empty/x"), "-z": ("/cli/a.txt", "/void", "/none"),
          "-s": ("/void", "/empty", "/none")}
    for letter, paths in yes.items():
        assert [test(letter, p) for p in paths] == [0] * len(paths), letter
    for letter, paths in no.items():
        assert [test(letter, p) for p in paths] == [1] * len(paths), letter
    assert test("-l", "/cli") == 2
    assert one.fs("test", "/cli", check=False).returncode == 2
    assert one.run("fs", "test", "-e", "/", "--state", "/nonexistent",
                   check=False).returncode == 3
    assert one.fs_json("test", "-d", "/cli") == {"answer": True}


def test_capacity_used_and_master_are_told(one):
    acached.wait_for("the worker is known", lambda: one.fs_json(
        "getCapacityBytes")["capacity"])
    capacity = one.fs_json("getCapacityBytes")["capacity"]
    assert text_of(one, "getCapacityBytes") == \
        "Capacity Bytes: %d\n" % capacity
    assert re.fullmatch(r"Used Bytes: \d+\n", text_of(one, "getUsedBytes"))
    assert one.fs_json("getUsedBytes")["used"] < capacity
    # "Current leader master: localhost/<unresolved>:21900"
    # "All masters: [localhost/<unresolved>:21900]"
    m = re.fullmatch(r"Current leader master: (\S+:\d+)\n"
                     r"All masters: \[(\S+:\d+)\]\n",
                     text_of(one, "masterInfo"))
    assert m and m.group(1) == m.group(2)
    leader = one.fs_json("masterInfo")["leader"]
    assert leader == m.group(1)
    p = one.run("fs", "masterInfo", "--master", leader, "--state", one.state)
    assert leader in p.stdout
    json.loads(one.fs("masterInfo", "--json").stdout)


def test_log_levels_are_told_and_changed_while_it_runs(one):
    def levels(*words, **kw):
        return one.admin_json("logLevel", *words, **kw)
    before = levels()
    assert before == {"master": {"all": "info"}, "worker:1": {"all": "info"}}
    levels("--target", "worker", "--logName", "rpc", "--level", "debug")
    now = levels()
    assert now["worker:1"] == {"all": "info", "rpc": "debug"}
    assert now["master"] == before["master"]
    one.fs("explain", "/cli/a.txt")
    log = one.log_text()
    assert "level=debug role=worker module=rpc" in log
    assert "level=debug role=master" not in log
    p = one.admin("logLevel", "-t", "worker:1", "-l", "info")
    assert p.stdout.split() == ["worker:1", "all=info"]
    assert levels() == before
    for words, status, why in (
            (["--level", "loud"], 2, "error|warn|info|debug"),
            (["--logName", "rpc"], 2, "--level"),
            (["-n", "stoer", "-l", "info"], 1, "no module of that name"),
            (["-t", "worker:9"], 1, "there is no such process")):
        p = one.admin("logLevel", *words, check=False)
        assert p.returncode == status and why in p.stderr, (words, p.stderr)


def test_every_module_that_logs_has_a_level(one):
    found = set()
    for where, _, names in os.walk(os.path.join(acached.TOP, "src")):
        for name in (n for n in names if n.endswith(".c")):
            with open(os.path.join(where, name)) as f:
                found |= set(re.findall(r'#define LOG_MODULE "(\w+)"',
                                        f.read()))
    assert len(found) > 8
    for module in found:
        one.admin("logLevel", "-t", "master", "-n", module, "-l", "info")
    one.admin("logLevel", "-l", "info")


def test_metrics_are_those_of_each_process(one):
    one.fs("load", "/cli/big")
    acached.wait_for("the worker counts", lambda: one.admin_json(
        "metrics")["worker:1"]["acached_cache_used_bytes"] > 9000000)
    all_ = one.admin_json("metrics")
    assert set(all_) == {"master", "worker:1"}
    assert all_["master"]["acached_workers"] == 1
    assert isinstance(all_["worker:1"]["acached_fill_seconds_sum"], float)
    few = one.admin_json("metrics", "-t", "worker", "acached_cache_c")
    assert set(few["worker:1"]) == {"acached_cache_capacity_bytes"}
    text = one.admin("metrics", "-t", "master").stdout
    assert text.startswith("# process master\n# HELP acached_")
    assert "# TYPE acached_inodes gauge\n" in text
    p = one.admin("metrics", "-t", "nobody", check=False)
    assert p.returncode == 1 and "worker[:ID]" in p.stderr


def test_a_mountpoints_process_answers_too(cluster, tree):
    cluster.start("--ufs", "file://" + tree[0])
    with open(cluster.at(tree[1][1]), "rb") as f:
        f.read()
    name = "fuse:" + cluster.mountpoint
    mine = cluster.admin_json("metrics", "-t", "fuse")
    assert list(mine) == [name]
    assert mine[name]['acached_fuse_upcalls_total{kind="lookup"}'] > 0
    levels = cluster.admin_json("logLevel", "-t", name, "-l", "warn")
    assert levels == {name: {"all": "warn"}}
    cluster.kill("fuse")
    acached.wait_for("the next process answers", lambda: cluster.admin_json(
        "logLevel").get(name) == {"all": "info"}, 20, 0.2)


# As real Alluxio 2.9.6 printed it (up to "cacheable"), and the names that its
# source has after that.
STAT = """\
/l/cli/a.txt is a file path.
URIStatus{info=FileInfo{fileId=513483472895, name=a.txt, path=/l/cli/a.txt, \
ufsPath=DIR/lufs/cli/a.txt, length=6, blockSizeBytes=67108864, \
creationTimeMs=1795402854625, completed=true, folder=false, pinned=false, \
pinnedlocation=[], cacheable=, persisted=, blockIds=, inMemoryPercentage=, \
lastModificationTimesMs=, ttl=, lastAccessTimesMs=, ttlAction=, owner=, \
group=, mode=, persistenceState=, mountPoint=, replicationMax=, \
replicationMin=, fileBlockInfos=, mountId=, inAlluxioPercentage=, \
ufsFingerprint=, acl=, defaultAcl=}}
"""


def test_stat_begins_as_the_old_system_printed_it(one):
    load_one(one)
    first, second = text_of(one, "stat", "/cli/a.txt").splitlines()[:2]
    assert first == STAT.splitlines()[0].replace("/l/", "/")
    theirs = re.findall(r"[{ ](\w+)=", STAT)
    ours = re.findall(r"[{ ](\w+)=", second)
    assert [w for w in theirs if w in ours] == ours  # no other, same order
    for part in ("name=a.txt, path=/cli/a.txt, ufsPath=file://",
                 ", length=6, blockSizeBytes=268435456, completed=true, "
                 "folder=false, ", "lastModificationTimesMs=2000000, ",
                 "mode=420, persistenceState=PERSISTED, mountPoint=false, "
                 "inAlluxioPercentage=100}}"):
        assert part in second, second
    assert text_of(one, "stat", "/cli").startswith(
        "/cli is a directory path.\n")
    assert "mountPoint=true" in text_of(one, "stat", "/")
    who = one.fs("ls", "-d", "/cli/a.txt").stdout.split()[1:3]
    assert text_of(one, "stat", "-f", "%N %z %u %g %y %Y %b %%x",
                   "/cli/a.txt") == "a.txt 6 %s %s 1970-01-01 00:33:20 " \
        "2000000 1 %%x\n" % tuple(who)
    assert text_of(one, "stat", "--format", "%z %b", "/cli") == "NA NA\n"


# As real Alluxio 2.9.6 printed it.
MOUNT = """\
DIR/lufs  on  /l  (local, capacity=251.97GB, used=27.05GB(10%), not \
read-only, not shared, properties={})
s3://w1data/     on  /   (s3, capacity=-1B, used=-1B, not read-only, not \
shared, properties={})
"""


def words_of(line):
    """A line of mount without what differs: sizes, paths, values."""
    line = re.sub(r"(capacity|used)=[^,]*", r"\1=", line)
    line = re.sub(r"\{.*\}", "{}", line)
    return re.sub(r"^\S+", "URI", re.sub(r" /\S*", " PATH", line))


def test_mount_has_the_columns_of_the_old_system(cluster, workdir,
                                                 tree):
    lufs = os.path.join(workdir, "lufs")
    os.mkdir(lufs)
    cluster.start("--ufs", "file://" + lufs, mountpoint=False)
    cluster.fs("mount", "/l", "file://" + tree[0], "--readonly")
    cluster.fs("mount", "/a bucket", "s3://w1data/", "--no-check",
               "--option", "s3.anonymous=true")
    lines = cluster.fs("mount").stdout.splitlines()
    theirs = {w.split("(")[1].split(",")[0]: w for w in MOUNT.splitlines()}
    for line in lines:
        kind = line.split("(")[1].split(",")[0]
        want = words_of(theirs[kind]).replace("not read-only", "read-only")
        squeeze = re.compile(" +")
        assert squeeze.sub(" ", words_of(line.replace("/a b", "/ab"))) == \
            squeeze.sub(" ", want), line
    assert len({line.index("  on  ") for line in lines}) == 1
    assert len({line.index("  (") for line in lines}) == 1
    assert len({line.index("/", line.index("  on  ")) for line in lines}) == 1
    assert "(s3, capacity=-1B, used=-1B, read-only, not shared, " \
        "properties={s3.anonymous=true})" in "".join(lines)


def test_the_options_of_a_mount_change_while_it_is_read(served):
    c, bucket = served.cluster, served.bucket
    other = type(served.proxy)(bucket.server.endpoint)
    try:
        name = served.names[9]
        for i in range(100):
            bucket.put("news%d" % i, b"of the other endpoint")
        with open(c.at("s3", name), "rb") as f:
            before = f.read()
        p = c.fs("updateMount", "/s3", "--option",
                 "s3.endpoint=" + other.endpoint, "--option", "umask=077",
                 "--option", "s3.region=us-east-1")
        assert p.stdout == "Updated the options of %s at /s3\n" % bucket.uri

        def other_is_asked(n=iter(range(100))):
            """The worker hears of it by its next heartbeat."""
            with open(c.at("s3", "news%d" % next(n)), "rb") as f:
                assert f.read() == b"of the other endpoint"
            return other.gets()
        acached.wait_for("the other is asked", other_is_asked, 10, 0.15)
        served.proxy.reset()
        served.read_all()
        assert other.gets() and not served.proxy.gets()
        with open(c.at("s3", name), "rb") as f:
            assert f.read() == before
        mount = c.fs_json("mount")[0]
        assert mount["umask"] == "077"
        assert mount["options"]["s3.endpoint"] == other.endpoint
        assert mount["options"]["aws.secretKey"] == "******"
        assert mount["options"]["aws.accessKeyId"] == "******"
        p = c.fs("updateMount", "/s3", "-o", "aws.secretKey=wrong-secret",
                 check=False)
        assert p.returncode == 1 and "/s3" in p.stderr
        assert c.fs_json("mount")[0] == mount
        p = c.fs("updateMount", "/none", "-o", "s3.region=x", check=False)
        assert p.returncode == 1
        assert "/none: nothing is mounted there" in p.stderr
        p = c.fs("updateMount", "/s3", "--unset", "s3.regoin", check=False)
        assert p.returncode == 1
        assert "/s3: no option s3.regoin is set there" in p.stderr
        c.fs("updateMount", "/s3", "--unset", "s3.region", "--readonly")
        assert "s3.region" in mount["options"]
        assert "s3.region" not in c.fs_json("mount")[0]["options"]
        text = c.admin("journal dump").stdout + c.log_text()
        assert '"update":true' in text and "wrong-secret" not in text
        assert c.fs("cat", "/s3/news0").stdout == "of the other endpoint"
    finally:
        other.close()


def test_what_under_storage_has_otherwise_is_told_and_mended(cluster, tree):
    top = tree[0]
    cluster.start("--ufs", "file://" + top, mountpoint=False)

    def check(*words):
        return cluster.fs("checkConsistency", "/", *words, check=False)
    cluster.fs("ls", "-R", "/")
    p = check()
    assert p.returncode == 0
    assert p.stdout == "/ is consistent with the under storage system.\n"
    changed, gone = tree[1][1], tree[1][2]
    data.fill(os.path.join(top, changed), 77, 5)
    os.unlink(os.path.join(top, gone))
    os.makedirs(os.path.join(top, "class0/more/below"))
    shutil.rmtree(os.path.join(top, "class5"))
    want = {"/" + changed: "differs", "/" + gone: "missing",
            "/class0/more": "new", "/class5": "missing"}
    p = check()
    assert p.returncode == 1
    lines = p.stdout.splitlines()
    assert lines[0] == "The following files are inconsistent:"
    told = dict(re.fullmatch(r"(.*)  \((\w+)\)", w).groups()
                for w in lines[1:])
    below = {k for k in told if k.startswith("/class5/")}
    assert {k: v for k, v in told.items() if k not in below} == want
    p = cluster.fs("checkConsistency", "/" + changed, "--json", check=False)
    assert p.returncode == 1 and json.loads(p.stdout) == [
        {"path": "/" + changed, "is": "differs", "repaired": False}]
    p = check("-r")
    assert p.returncode == 0 and "(differs, repaired)" in p.stdout
    assert "is consistent" in check().stdout
    assert cluster.fs("stat", "/" + gone, check=False).returncode == 1
    assert cluster.fs_json("stat", "/" + changed)["length"] == 77
    p = cluster.fs("checkConsistency", "/none", check=False)
    assert p.returncode == 1 and "/none: No such file" in p.stderr


class Top:
    """acached admin top --json: each interval as it comes."""

    def __init__(self, c, *words):
        self.process = subprocess.Popen(
            [c.program, "admin", "top", "--state", c.state, *words],
            env=c.env(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True)

    def next(self):
        line = self.process.stdout.readline()
        assert line, "it ended"
        return line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)
        self.process.stdout.close()


def test_top_tells_where_reads_come_from_and_what_is_busy(served):
    c, names = served.cluster, served.names[1:]
    hot = names[4]
    with Top(c, "--json", "--interval", "0.3", "--lines", "3") as top:
        json.loads(top.next())
        served.read_all()
        ticks = []

        def over(n=len(names)):
            ticks.append(json.loads(top.next()))
            return sum(t["opens"] for t in ticks) >= n
        acached.wait_for("all are opened", over, 20, 0)
        cold = ticks[:]
        assert sum(t["ufs"]["reads"] for t in cold) >= 1
        assert sum(t["misses"] for t in cold) > len(names) // 2
        assert sum(t["s3"]["requests"] for t in cold) >= \
            served.proxy.counts()["objects"]
        assert sum(t["s3"]["bytes"] for t in cold) > 0
        assert cold[-1]["workers"] == cold[-1]["mountpoints"] == 1
        c.fs("load", "/s3")
        del ticks[:]
        served.proxy.reset()
        for _ in range(30):
            with open(c.at("s3", hot), "rb") as f:
                f.read()
        acached.wait_for("all are opened", lambda: over(30), 20, 0)
        assert sum(t["misses"] for t in ticks) <= 1
        assert served.proxy.gets() == 0
        assert sum(t["ufs"]["reads"] for t in ticks) == 0
        assert min(t["hit_ratio"] for t in ticks if t["opens"] >= 10) > 0.9
        # What is granted is opened without the worker, who hears of it later.
        acached.wait_for("it is busiest", lambda: json.loads(top.next())[
            "busiest"][0]["path"] == "/s3/" + hot, 20, 0)
        assert len(ticks[-1]["busiest"]) == 3


def test_a_worker_that_hangs_is_told_and_not_waited_for(cluster, tree):
    cluster.start("--ufs", "file://" + tree[0], mountpoint=False)
    worker = cluster.child("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        p = cluster.admin("metrics", "acached_inodes", check=False)
        assert p.returncode == 3 and "worker:1" in p.stderr
        assert p.stdout.startswith("# process master\n")
        p = cluster.admin("top", "--json", "-n", "1", "-i", "0.1")
        tick = json.loads(p.stdout)
        assert (tick["silent"], tick["workers"]) == (1, 0)
    finally:
        os.kill(worker, signal.SIGCONT)


def test_scrub_waits_no_longer_for_a_worker_that_hangs(cluster, tree):
    cluster.start("--ufs", "file://" + tree[0], mountpoint=False)
    worker = cluster.child("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        start = time.monotonic()
        p = cluster.admin("scrub", check=False)
        assert time.monotonic() - start < 8  # it is not lost yet, either
        assert p.returncode == 1 and "worker:1: waited 3000 ms" in p.stderr
    finally:
        os.kill(worker, signal.SIGCONT)


def test_top_is_lines_or_a_screen(one):
    one.fs("cat", "/cli/a.txt")
    p = one.admin("top", "-n", "2", "-i", "0.1")
    lines = p.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert re.match(r"\d\d:\d\d:\d\d local=\S+/s,\S+B/s peer=\S+ "
                        r"ufs=\S+ opens=\S+/s hits=\S+ s3=\S+ failed=\d+ "
                        r"used=\d+", line), line
    near, far = pty.openpty()
    p = subprocess.Popen([one.program, "admin", "top", "--state", one.state,
                          "-n", "1", "-i", "0.1"], stdout=far,
                         env=one.env())
    os.close(far)
    shown = b""
    try:
        while chunk := os.read(near, 65536):
            shown += chunk
    except OSError:  # EIO: the other end is closed
        pass
    os.close(near)
    assert p.wait(10) == 0
    for part in (b"\033[H\033[J", b"1 workers, 0 mountpoints here",
                 b"reads, by workers", b"under-storage", b"S3 requests"):
        assert part in shown, shown
    for words in (["-n", "0"], ["-i", "soon"], ["-l", "1000"]):
        p = one.admin("top", *words, check=False)
        assert p.returncode == 2, words


# Words for each command, as they do no harm; None: prints content.
WORDS = {
    "fs": {
        "cat": None, "head": None, "tail": None,
        "checkConsistency": ["/cli"], "checksum": ["/cli/a.txt"],
        "count": ["/cli"], "distributedLoad": ["/cli"], "du": ["/cli"],
        "explain": ["/cli/a.txt"], "free": ["/empty"],
        "getCapacityBytes": [], "getUsedBytes": [], "help": [], "leader": [],
        "load": ["/cli"], "loadMetadata": ["/cli"],
        "location": ["/cli/a.txt"], "ls": ["/cli"], "masterInfo": [],
        "mount": [], "stat": ["/cli"], "test": ["-e", "/cli"],
        "unmount": ["/none"], "updateMount": ["/"],
    },
    "admin": {
        "config": [], "doctor": [], "fsck": [], "help": [],
        "journal": ["dump"], "logLevel": [], "metrics": [], "report": [],
        "scrub": [], "top": ["-n", "1", "-i", "0.1"],
    },
}


@pytest.mark.parametrize("group", ["fs", "admin"])
def test_each_command_of_the_table_has_help_json_and_statuses(one, group):
    told = [c["command"] for c in json.loads(one.run(
        group, "help", "--json").stdout)]
    assert sorted(told) == sorted(WORDS[group])
    for command, words in WORDS[group].items():
        p = one.run(group, command, "--help")
        assert p.stdout.startswith("usage: acached %s %s " % (group, command))
        p = one.run(group, command, "--no-such", check=False)
        assert p.returncode == 2, command
        if words is None:
            continue
        p = one.run(group, command, "--json", "--state", one.state, *words,
                    check=False)
        assert p.returncode in (0, 1, 3), (command, p.stderr)
        value = json.loads(p.stdout)
        if p.returncode == 1 and command not in ("doctor", "fsck"):
            assert value["error"], command
