"""A throw-away S3 server on loopback: Ceph's mon, osd (in memory) and radosgw.

`Rgw(dir).start()` takes two to three seconds.  Everything is below `dir`, ports
are free ones, the daemons end with the program that started them unless it says
`keep`.  Only the gateway can be killed and started again: the osd's store is in
memory.
"""

import concurrent.futures
import http.client
import os
import random
import shutil
import socket
import subprocess
import time
import uuid

from s3proxy import die_with_parent

ACCESS_KEY = "TESTKEY0000000000001"
SECRET_KEY = "TESTSECRET/000000000000000000000000000001"
PROGRAMS = ("monmaptool", "ceph-mon", "ceph-osd", "ceph", "radosgw",
            "radosgw-admin")
QUIET = ("rgw osd ms objecter rados mon paxos auth monc bluestore bdev rocksdb "
         "memdb optracker asok throttle timer tp finisher mgrc client").split()

CONF = """[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
public_network = 127.0.0.0/8
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
# radosgw's own default, secure, hangs without authentication
ms_mon_client_mode = crc
auth_allow_insecure_global_id_reclaim = true
run_dir = {dir}/run
log_file = {dir}/log/$name.log
mon_cluster_log_file = {dir}/log/cluster.log
admin_socket = {dir}/run/$name.asok
pid_file = {dir}/run/$name.pid
crash_dir = {dir}/run
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pgp_num = 8
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 2000
# 1 s by default, and each change of a map waits for it
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
mon_data_avail_crit = 1
mon_data_avail_warn = 2
{quiet}
[mon.a]
mon_data = {dir}/mon
[osd]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
osd_data = {dir}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
[client.rgw]
# without tcp_nodelay Nagle's algorithm is what one measures
rgw_frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw_data = {dir}/rgw
rgw_rados_pool_pg_num_min = 8
rgw_dns_name = localhost
rgw_enable_usage_log = false
rgw_enable_ops_log = false
rgw_thread_pool_size = 64
"""


def free_ports(n):
    """Ports that nobody listens on; if there are others, none of those that the
    kernel gives to who lets it choose: another process might have them before
    they are used."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        low, high = (int(w) for w in f.read().split())
    ports = random.sample(range(10000, 65536), 55536)
    socks = []
    for port in sorted(ports, key=lambda p: low <= p <= high):
        if len(socks) == n:
            break
        s = socket.socket()
        try:
            s.bind(("127.0.0.1", port))
            socks.append(s)
        except OSError:
            s.close()
    ports = [s.getsockname()[1] for s in socks]
    for s in socks:
        s.close()
    return ports


def clean_env():
    """The environment without what would change S3 clients."""
    return {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}


def missing_programs():
    return [p for p in PROGRAMS if not shutil.which(p)]


class Rgw:
    def __init__(self, path, keep=False):
        self.dir = os.path.abspath(path)
        self.keep = keep
        self.conf = os.path.join(self.dir, "ceph.conf")
        self.port = None
        self.killed = False  # a gateway of ours
        self.daemons = {}

    @property
    def endpoint(self):
        return "http://127.0.0.1:%d" % self.port

    def start(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        for d in ("mon", "osd", "rgw", "run", "log"):
            os.makedirs(os.path.join(self.dir, d))
        self.port, mon1, mon2 = free_ports(3)
        fsid = str(uuid.uuid4())
        with open(self.conf, "w") as f:
            f.write(CONF.format(
                dir=self.dir, port=self.port, mon1=mon1, mon2=mon2, fsid=fsid,
                quiet="\n".join("debug_%s = 0/0" % q for q in QUIET)))
        try:
            self.bring_up(fsid, mon1, mon2)
        except BaseException:
            self.stop()
            raise
        return self

    def bring_up(self, fsid, mon1, mon2):
        monmap = os.path.join(self.dir, "monmap")
        self.run("monmaptool", "--create", "--clobber", "--fsid", fsid,
                 "--set-min-mon-release", "pacific", "--addv", "a",
                 "[v2:127.0.0.1:%d,v1:127.0.0.1:%d]" % (mon2, mon1), monmap)
        self.run("ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap)
        self.spawn("mon", "ceph-mon", "-f", "-i", "a")
        osd = str(uuid.uuid4())
        self.run("ceph", "osd", "new", osd)
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.spawn("osd", "ceph-osd", "-f", "-i", "0")
        self.wait("the osd", lambda: b"1 up" in self.run("ceph", "osd", "stat"))
        self.run("radosgw-admin", "-n", "client.rgw", "user", "create",
                 "--uid=test", "--display-name=Test",
                 "--access-key=" + ACCESS_KEY, "--secret=" + SECRET_KEY)
        self.start_gateway()

    def start_gateway(self):
        """One that was killed left watchers in the osd, for which another with
        a cache would wait half a minute at its first change."""
        more = ("--rgw_cache_enabled=false",) if self.killed else ()
        self.spawn("rgw", "radosgw", "-f", "-n", "client.rgw", *more)
        self.wait("the gateway", self.answers)

    def kill_gateway(self):
        """As a crash would: connections break, then are refused."""
        self.killed = True
        self.end("rgw")

    def answers(self):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            c.request("GET", "/")
            return c.getresponse().status < 500
        except OSError:
            return False
        finally:
            c.close()

    def stop(self):
        for name in ("rgw", "osd", "mon"):
            self.end(name)

    def end(self, name):
        p = self.daemons.pop(name, None)
        if p:
            p.kill()
            p.wait()

    def pids(self):
        return [p.pid for p in self.daemons.values()]

    def spawn(self, name, *argv):
        with open(os.path.join(self.dir, "log", name + ".out"), "ab") as out:
            self.daemons[name] = subprocess.Popen(
                argv + ("-c", self.conf), stdout=out, stderr=out,
                stdin=subprocess.DEVNULL, env=clean_env(),
                start_new_session=self.keep,
                preexec_fn=None if self.keep else die_with_parent)

    def run(self, *argv):
        p = subprocess.run(argv + ("-c", self.conf)
                           if argv[0] != "monmaptool" else argv,
                           capture_output=True, env=clean_env(), timeout=120)
        if p.returncode:
            raise RuntimeError("%s: %s" % (" ".join(argv[:4]),
                                           p.stderr.decode()[-500:]))
        return p.stdout

    def wait(self, what, ready):
        end = time.monotonic() + 60
        while not ready():
            for name, p in self.daemons.items():
                if p.poll() is not None:
                    raise RuntimeError("%s ended: see %s/log" %
                                       (name, self.dir))
            if time.monotonic() > end:
                raise RuntimeError("%s did not start within 60 s: see %s/log" %
                                   (what, self.dir))
            time.sleep(0.02)

    def client(self, endpoint=None, connections=16, attempts=5):
        """A boto3 client, straight to the gateway unless told otherwise."""
        import boto3
        import botocore.config

        for k in [k for k in os.environ if k.startswith("AWS_")]:
            del os.environ[k]
        return boto3.session.Session().client(
            "s3", endpoint_url=endpoint or self.endpoint,
            aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1", config=botocore.config.Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": attempts},
                max_pool_connections=connections))


def upload(s3, bucket, files, threads=8, progress=None):
    """Puts (key, path or bytes) pairs, in parallel."""
    def put(item):
        key, source = item
        if not isinstance(source, bytes):
            with open(source, "rb") as f:
                source = f.read()
        s3.put_object(Bucket=bucket, Key=key, Body=source)
        return len(source)

    done = size = 0
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for n in pool.map(put, files):
            done += 1
            size += n
            if progress:
                progress(done, size)
    return done, size
