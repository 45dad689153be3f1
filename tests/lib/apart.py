"""Runs a command apart from this machine: in mount, PID and network namespaces
of its own.

    apart.py COMMAND [ARGUMENT...]

Mountpoints, processes, hosts (hosts.py) and listening sockets that COMMAND
makes are nobody else's, and the kernel removes them when COMMAND ends or this
process is killed, by whatever signal.  COMMAND sees no mountpoint of an acached
that it did not start: whether one is alive, or died with an earlier run, is no
matter to a test.  Where there can be no namespaces, COMMAND runs without, and a
line says why.
"""

import os
import signal
import subprocess
import sys

from s3proxy import die_with_parent

UNSHARE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
           "--mount-proc"]

# The shell stays, as PID 1: it reaps whoever is left by its parent.
INSIDE = """
umount --no-canonicalize --lazy --all --types fuse.acached 2>/dev/null
mkdir -p /run/netns && mount -t tmpfs tests /run/netns &&
	ip link set lo up || exit
"$@"
exit $?
"""


def apart(argv):
    """The command that runs `argv` apart."""
    return UNSHARE + ["sh", "-c", INSIDE, "sh"] + argv


def missing():
    """Why nothing can run apart, or None."""
    if os.geteuid() != 0:
        return "not root: no namespaces"
    tried = subprocess.run(apart(["true"]), capture_output=True, text=True)
    return None if tried.returncode == 0 else \
        "no namespaces here: " + tried.stderr.strip()


def main(argv):
    if not argv or argv[0] == "--help":
        print(__doc__.strip())
        return 0 if argv else 2
    why = missing()
    if why:
        print("tests share the mountpoints, processes and network of this "
              "machine (%s)" % why, flush=True)
        os.execvp(argv[0], argv)
    child = subprocess.Popen(apart(argv), preexec_fn=die_with_parent)

    def end(number, _frame):
        child.kill()
        sys.exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # COMMAND gets it too
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
