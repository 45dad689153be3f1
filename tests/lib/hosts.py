"""Hosts for tests: each a network and a UTS namespace, on one bridge.

`Hosts(3)` makes three of them beside this machine, which reaches them, and
they it, at `gateway`.  What runs there by `host.argv()` has another host name
and its own loopback.  All goes with close().
"""

import os
import subprocess


def missing():
    """Why there can be no hosts, or None."""
    if os.geteuid() != 0:
        return "not root: no network namespaces"
    tried = subprocess.run(["unshare", "--net", "--uts", "true"],
                           capture_output=True)
    return None if tried.returncode == 0 else "no network namespaces here"


def ip(*words, check=True):
    p = subprocess.run(["ip", *words], capture_output=True, text=True)
    if check and p.returncode:
        raise RuntimeError("ip %s: %s" % (" ".join(words), p.stderr))


class Host:
    def __init__(self, hosts, i):
        self.hosts = hosts
        self.name = "host%d" % i
        self.netns = "%s-%d" % (hosts.bridge, i)
        self.address = hosts.address(i + 1)
        self.veth = "%sv%d" % (hosts.bridge, i)
        ip("netns", "add", self.netns)
        ip("link", "add", self.veth, "type", "veth", "peer", "name", "eth0",
           "netns", self.netns)
        ip("link", "set", self.veth, "master", hosts.bridge, "up")
        for words in (("addr", "add", self.address + "/24", "dev", "eth0"),
                      ("link", "set", "eth0", "up"),
                      ("link", "set", "lo", "up")):
            ip("-n", self.netns, *words)

    def argv(self, argv):
        """The command that runs `argv` here, as the same process."""
        return ["nsenter", "--net=/run/netns/" + self.netns, "unshare",
                "--uts", "sh", "-c", 'hostname "$0" && exec "$@"',
                self.name] + argv

    def unplug(self):
        ip("link", "set", self.veth, "down")

    def plug(self):
        ip("link", "set", self.veth, "up")


class Hosts:
    def __init__(self, n):
        pid = os.getpid()
        self.bridge = "ac%x" % pid
        self.net = "10.%d.%d" % (128 + (pid >> 8) % 127, pid & 255)
        self.gateway = self.address(1)
        self.all = []
        try:
            ip("link", "add", self.bridge, "type", "bridge")
            ip("addr", "add", self.gateway + "/24", "dev", self.bridge)
            ip("link", "set", self.bridge, "up")
            for i in range(1, n + 1):
                self.all.append(Host(self, i))
        except Exception:
            self.close()
            raise

    def address(self, i):
        return "%s.%d" % (self.net, i)

    def __getitem__(self, i):
        return self.all[i]

    def close(self):
        for h in self.all:
            ip("netns", "del", h.netns, check=False)
            ip("link", "del", h.veth, check=False)
        ip("link", "del", self.bridge, check=False)
