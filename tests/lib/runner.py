"""What tests/run does after installing: stages, counts, the last line.

Everything is built outside of the source tree, from a mirror of it below build/,
so that a tree that is configured already is no obstacle and nothing in it is
touched.
"""

import argparse
import filecmp
import glob
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build")
MIRROR = os.path.join(BUILD, "source")
JOBS = str(os.cpu_count() or 2)
SEEDS = {"quick": 100, "normal": 500, "long": 20000}
TAIL = 60  # lines of a log that failed

# What a build in the source tree leaves there.
MADE = {"build", ".git", ".deps", ".dirstamp", "__pycache__", "autom4te.cache",
        "build-aux", "aclocal.m4", "configure", "Makefile", "Makefile.in",
        "config.h", "config.h.in", "config.status", "config.log", "stamp-h1",
        "bench-results"}

# The folders of tests that `make check` knows, and the stage of each.
FOLDERS = (("tests/lint/", "lint"), ("tests/unit/", "unit"),
           ("tests/sim/", "simulation"), ("tests/fuzz/", "fuzz"),
           ("tests/integration/", "cli"))
STAGES = ["format", "lint", "unit", "simulation", "fuzz", "cli", "integration",
          "asan", "tsan", "distcheck", "fuzzing"]


class Results:
    def __init__(self):
        self.passed = 0
        self.failed = []   # sentences
        self.skipped = []  # (name, reason)
        self.seconds = []  # (stage, seconds, summary)

    def count(self):
        return (self.passed, len(self.failed), len(self.skipped))

    def add(self, verdict, name, reason=""):
        if verdict == "PASS":
            self.passed += 1
        elif verdict == "SKIP":
            self.skipped.append((name, reason))
        else:
            self.failed.append(name + (": " + reason if reason else ""))


def say(text=""):
    print(text, flush=True)


def quietly(argv, log, cwd=TOP, env=None):
    """Runs a command with its output in the file `log`; its exit code."""
    os.makedirs(os.path.dirname(log), exist_ok=True)
    with open(log, "wb") as out:
        return subprocess.run(argv, cwd=cwd, stdout=out, stderr=out, env=env,
                              stdin=subprocess.DEVNULL, check=False).returncode


def show_tail(log, lines=TAIL):
    with open(log, errors="replace") as f:
        text = f.read().splitlines()
    for line in text[-lines:]:
        say("    " + line)


def show_errors(log):
    """What a compiler or linker said, else the end of the log."""
    with open(log, errors="replace") as f:
        lines = f.read().splitlines()
    bad = [i for i, line in enumerate(lines) if re.search(
        r"(error|undefined reference|No rule to make target)\b", line)]
    if not bad:
        show_tail(log)
    for line in lines[bad[0]:bad[0] + TAIL] if bad else []:
        say("    " + line)


# the mirror and the builds

def from_git():
    """The files that git would commit; None without git or its data."""
    if not shutil.which("git"):
        return None
    git = subprocess.run(["git", "ls-files", "-z", "--cached", "--others",
                          "--exclude-standard"], cwd=TOP, check=False,
                         capture_output=True)
    if git.returncode:
        return None
    return [n for n in set(git.stdout.decode().split("\0")) if n]


def is_made(path):
    """Whether a build made this file, as far as one can tell without git."""
    name = os.path.basename(path)
    if name in MADE or name.endswith((".o", ".a", ".log", ".trs")):
        return True
    with open(path, "rb") as f:
        return f.read(4) == b"\x7fELF"


def from_disk():
    found = []
    for where, dirs, names in os.walk(TOP):
        dirs[:] = [d for d in dirs if d not in MADE]
        found += [os.path.relpath(os.path.join(where, n), TOP) for n in names]
    return [n for n in found if not is_made(os.path.join(TOP, n))]


def source_files():
    """The files of the source tree, without what is made from them."""
    names = from_git()
    if names is None:
        names = from_disk()
    return sorted(n for n in names if os.path.isfile(os.path.join(TOP, n)))


def same(a, b):
    return os.path.exists(b) and filecmp.cmp(a, b, shallow=False) and \
        os.access(a, os.X_OK) == os.access(b, os.X_OK)


def update_mirror():
    names = source_files()
    for name in names:
        a, b = os.path.join(TOP, name), os.path.join(MIRROR, name)
        if not same(a, b):
            os.makedirs(os.path.dirname(b), exist_ok=True)
            shutil.copy(a, b)  # newer now than what was built from it
    manifest = os.path.join(BUILD, "source.files")
    if os.path.exists(manifest):
        with open(manifest) as f:
            for name in set(f.read().splitlines()).difference(names):
                old = os.path.join(MIRROR, name)
                if os.path.exists(old):
                    os.unlink(old)
    with open(manifest, "w") as f:
        f.write("\n".join(names))


def compiler(cc):
    return ("ccache " if shutil.which("ccache") else "") + cc


def configure(name, options, cc="gcc"):
    """Makes or updates build/NAME; True if it can be built in."""
    where = os.path.join(BUILD, name)
    log = os.path.join(BUILD, "log", name + ".configure")
    os.makedirs(where, exist_ok=True)
    argv = ["%s/configure" % MIRROR, "--enable-werror", "--quiet"] + options
    argv.append("CC=" + compiler(cc))
    wanted = " ".join(argv)
    stamp = os.path.join(where, "configured-as")
    if os.path.exists(os.path.join(where, "Makefile")) and \
            os.path.exists(stamp) and open(stamp).read() == wanted:
        return True
    if not os.path.exists(os.path.join(MIRROR, "configure")) and \
            quietly(["autoreconf", "-fi"], log, MIRROR):
        say("autoreconf failed:")
        show_tail(log)
        return False
    if quietly(argv, log, where):
        say("configure failed:")
        show_tail(log)
        return False
    with open(stamp, "w") as f:
        f.write(wanted)
    return True


def make_all(where, log):
    """The program and the tests, without running them."""
    return quietly(["make", "-k", "-j" + JOBS, "all"], log, where) == 0 and \
        quietly(["make", "-k", "-j" + JOBS, "check", "TESTS="], log,
                where) == 0


def is_stale(log):
    """Whether make missed a file that an older tree had."""
    with open(log, errors="replace") as f:
        return "No rule to make target" in f.read()


def build(name, options, results, cc="gcc"):
    """Configures and builds the program and all tests in build/NAME."""
    where = os.path.join(BUILD, name)
    log = os.path.join(BUILD, "log", name + ".make")
    if not configure(name, options, cc):
        results.add("FAIL", "configure " + name)
        return None
    good = make_all(where, log)
    if not good and is_stale(log):
        shutil.rmtree(where)
        os.unlink(os.path.join(MIRROR, "configure"))
        good = configure(name, options, cc) and make_all(where, log)
    if not good:
        results.add("FAIL", "build " + name)
        say("make failed in build/%s:" % name)
        show_errors(log)
        return None
    return where


# tests that automake runs

def known_tests(where):
    """Every test that `make check` would run, sorted."""
    make = subprocess.run(
        ["make", "-s", "-f", "Makefile", "-f", "-", "show-tests"], cwd=where,
        input="show-tests:\n\t@echo $(TESTS)\n", capture_output=True,
        text=True, check=True)
    return sorted(make.stdout.split())


def stage_of(test):
    for prefix, stage in FOLDERS:
        if test.startswith(prefix):
            return stage
    return "unit"


def read_result(stem, test):
    """[(verdict, name, reason)] of one test program: automake's .trs file
    counts, its .log file has the names."""
    if not all(os.path.exists(stem + end) for end in (".trs", ".log")):
        return []  # make removes what it was interrupted in
    with open(stem + ".trs", errors="replace") as f:
        verdicts = re.findall(r"^:test-result: (\w+)", f.read(), re.M)
    with open(stem + ".log", errors="replace") as f:
        named = re.findall(r"^(X?PASS|X?FAIL|SKIP|ERROR): %s(?: \d+)?(?: -)?"
                           r" ?(.*)$" % re.escape(test), f.read(), re.M)
    if [v for v, _ in named] != verdicts:
        named = [(v, "") for v in verdicts]
    found = []
    for verdict, text in named:
        name, _, reason = text.partition(" # ")
        found.append(("PASS" if verdict == "XFAIL" else verdict, name,
                      re.sub(r"^SKIP\s*", "", reason)))
    return found


def run_checks(where, tests, results, label="", env=None, jobs=JOBS):
    """Runs automake tests and counts every result line of theirs."""
    if not tests:
        return
    stems = {t: re.sub(r"\.(sh|py)$", "", t) for t in tests}
    for stem in stems.values():
        for end in (".log", ".trs"):
            if os.path.exists(os.path.join(where, stem + end)):
                os.unlink(os.path.join(where, stem + end))
    quietly(["make", "-k", "-j" + jobs, "check-TESTS", "TESTS=" +
             " ".join(tests)], os.path.join(BUILD, "log", "check"), where,
            dict(os.environ, **(env or {})))
    for test in tests:
        found = read_result(os.path.join(where, stems[test]), test) or \
            [("FAIL", "did not run", "")]
        for verdict, name, reason in found:
            results.add(verdict, "%s%s: %s" % (label, test, name), reason)
        if any(v not in ("PASS", "SKIP") for v, _, _ in found):
            say("%s%s failed:" % (label, test))
            log = os.path.join(where, stems[test] + ".log")
            if os.path.exists(log):
                show_tail(log)


# stages

class Run:
    def __init__(self, args, names):
        self.args = args
        self.mode = "quick" if args.quick else "long" if args.long else \
            "normal"
        self.stages = [n for n in names if n in STAGES]
        self.patterns = [n for n in names if n not in STAGES]
        self.results = Results()
        self.ci = None

    def wants(self, stage):
        if "asan" in self.stages or "tsan" in self.stages:
            return stage in self.stages
        if self.stages or self.patterns:
            return stage in self.stages or (self.patterns and stage not in (
                "format", "asan", "tsan", "distcheck", "fuzzing"))
        if self.mode == "quick":
            return stage not in ("asan", "tsan", "distcheck", "fuzzing")
        return stage != "fuzzing" or self.mode == "long"

    def matching(self, stage, tests):
        if stage in self.stages or not self.patterns:
            return tests
        return [t for t in tests if any(p in t for p in self.patterns)]

    def timed(self, stage, work):
        if not self.wants(stage):
            return
        before = self.results.count()
        started = time.monotonic()
        say("== %s" % stage)
        work()
        passed, failed, skipped = (b - a for a, b in
                                   zip(before, self.results.count()))
        seconds = time.monotonic() - started
        summary = "%d passed, %d failed, %d skipped" % (passed, failed,
                                                        skipped)
        if not passed + failed + skipped:
            summary = "no tests here" if not self.patterns else "none match"
        self.results.seconds.append((stage, seconds, summary))
        say("   %s: %s, %.1f s" % (stage, summary, seconds))

    def format(self):
        files = [f for f in source_files() if re.match(
            r"(src|include|tests|examples)/.*\.[ch]$", f)]
        log = os.path.join(BUILD, "log", "format")
        if not shutil.which("clang-format-14"):
            self.results.add("SKIP", "format", "no clang-format-14 here, and "
                             "other versions format otherwise")
            return
        bad = quietly(["clang-format-14", "--dry-run", "-Werror"] + files, log)
        self.results.add("FAIL" if bad else "PASS", "format: clang-format-14")
        if bad:
            show_tail(log)

    def seeds(self, divisor=1):
        env = {"SIM_SEEDS": str(SEEDS[self.mode] // divisor)}
        if self.mode == "long":
            env["TEST_TIMEOUT_S"] = "7200"  # forty times the seeds
        return env

    def checks(self, stage):
        def work():
            tests = [t for t in known_tests(self.ci) if stage_of(t) == stage]
            run_checks(self.ci, self.matching(stage, tests), self.results,
                       env=self.seeds())
        return work

    def sanitized(self, name):
        def work():
            where = build(name, ["--enable-" + name], self.results)
            if not where:
                return
            tests = [t for t in known_tests(where)
                     if stage_of(t) in ("unit", "simulation", "fuzz")]
            if self.patterns:
                tests = [t for t in tests
                         if any(p in t for p in self.patterns)]
            # tests with threads fork children of their own
            options = "die_after_fork=0 suppressions=%s/tests/tsan.supp" % \
                MIRROR
            run_checks(where, tests, self.results, name + ": ",
                       dict({"TEST_TIMEOUT_S": "240"}, **self.seeds(10),
                            TSAN_OPTIONS=options))
        return work

    def integration(self):
        report = os.path.join(BUILD, "log", "integration.xml")
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q",
                "-rfE", "--timeout=300", "--junitxml=" + report,
                "tests/integration"]
        without = {"quick": "not slow and not long", "normal": "not long",
                   "long": ""}[self.mode]
        if without:
            argv += ["-m", without]
        if self.patterns and "integration" not in self.stages:
            argv += ["-k", " or ".join(re.sub(r"\W+", " and ", p).strip()
                                       for p in self.patterns)]
        if os.path.exists(report):
            os.unlink(report)
        env = dict(os.environ, ACACHED=os.path.join(self.ci, "acached"),
                   PYTHONDONTWRITEBYTECODE="1", top_builddir=self.ci)
        status = subprocess.run(argv, cwd=TOP, env=env, check=False,
                                stdin=subprocess.DEVNULL).returncode
        if status == 5 and self.patterns:
            return
        if not os.path.exists(report):
            self.results.add("FAIL", "integration: pytest ended with %d" %
                             status)
            return
        for case in ElementTree.parse(report).iter("testcase"):
            name = "integration: %s::%s" % (
                case.get("classname").rpartition(".")[2], case.get("name"))
            skip = case.find("skipped")
            if case.find("failure") is not None or \
                    case.find("error") is not None:
                self.results.add("FAIL", name)
            elif skip is not None:
                self.results.add("SKIP", name, skip.get("message", ""))
            else:
                self.results.add("PASS", name)

    def distcheck(self):
        log = os.path.join(BUILD, "log", "distcheck")
        bad = quietly(["make", "-j" + JOBS, "distcheck"], log, self.ci)
        self.results.add("FAIL" if bad else "PASS", "make distcheck")
        if bad:
            show_tail(log)

    def fuzzing(self):
        """A minute of each fuzzer, from its corpus."""
        where = build("fuzzers", ["--enable-fuzzers"], self.results,
                      "clang-14" if shutil.which("clang-14") else "clang")
        programs = glob.glob(os.path.join(where or "", "tests/fuzz/fuzz_*"))
        for p in sorted(f for f in programs if os.access(f, os.X_OK) and
                        os.path.isfile(f) and "." not in os.path.basename(f)):
            name = os.path.basename(p)
            corpus = os.path.join(MIRROR, "tests/fuzz/corpus",
                                  name.replace("fuzz_", ""))
            scratch = os.path.join(BUILD, "log", name + ".corpus")
            os.makedirs(scratch, exist_ok=True)
            log = os.path.join(BUILD, "log", name)
            replay = p.replace("/fuzz_", "/replay_")
            argv = [p, "-max_total_time=60", scratch]
            argv += [corpus] if os.path.isdir(corpus) else []
            bad = quietly([replay, scratch], log) or \
                quietly(argv, log, env=dict(
                    os.environ, ASAN_OPTIONS="allocator_may_return_null=1"))
            self.results.add("FAIL" if bad else "PASS", "fuzzing: " + name)
            if bad:
                show_tail(log)

    def build_ci(self):
        if not any(self.wants(s) for s in STAGES if s not in
                   ("format", "asan", "tsan", "fuzzing")):
            return True
        started = time.monotonic()
        say("== build")
        self.ci = build("ci", [], self.results)
        self.results.seconds.append(("build", time.monotonic() - started,
                                     "ok" if self.ci else "failed"))
        return self.ci is not None

    def all(self):
        os.makedirs(os.path.join(BUILD, "log"), exist_ok=True)
        update_mirror()
        self.timed("format", self.format)
        if self.build_ci():
            for stage in ("lint", "unit", "simulation", "fuzz", "cli"):
                self.timed(stage, self.checks(stage))
            self.timed("integration", self.integration)
        self.timed("asan", self.sanitized("asan"))
        self.timed("tsan", self.sanitized("tsan"))
        if self.ci:
            self.timed("distcheck", self.distcheck)
        self.timed("fuzzing", self.fuzzing)
        return self.report()

    def report(self):
        r = self.results
        say()
        for stage, seconds, summary in r.seconds:
            say("%-12s %7.1f s  %s" % (stage, seconds, summary))
        say("%-12s %7.1f s" % ("all", sum(s for _, s, _ in r.seconds)))
        for name, reason in r.skipped:
            say("skipped: %s (%s)" % (name, reason or "no reason given"))
        for name in r.failed:
            say("FAILED: " + name)
        passed, failed, skipped = r.count()
        if not passed + failed:
            say("nothing ran: no stage or test has such a name")
        say("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
        return 1 if failed or not passed else 0


def main():
    p = argparse.ArgumentParser(prog="tests/run")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--long", action="store_true")
    p.add_argument("--no-install", action="store_true")
    p.add_argument("names", nargs="*", metavar="NAME")
    args = p.parse_args()
    return Run(args, args.names).all()


if __name__ == "__main__":
    sys.exit(main())
