"""The benches measure: each gives its rows, and the README gets the tables."""

import json
import os
import subprocess
import sys

import pytest

import acached
import rgw

RUN = os.path.join(acached.TOP, "tests", "bench", "run")
pytestmark = pytest.mark.slow
BENCHES = {"small": 4, "latency": 3, "big": 4, "listing": 3, "many": 3}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    program = acached.binary()
    tools = os.path.join(os.path.dirname(program), "tests", "bench")
    if rgw.missing_programs():
        pytest.skip("no S3 server")
    if not os.path.exists(os.path.join(tools, "relay")):
        pytest.skip("%s/relay: not built" % tools)
    top = tmp_path_factory.mktemp("bench")
    readme = top / "README.md"
    readme.write_text("before\n<!-- bench: written by make bench-readme -->\n"
                      "what was there\n<!-- bench: end -->\nafter\n")
    rival = top / "bin" / "geesefs"
    rival.parent.mkdir()
    rival.write_text("#!/bin/sh\necho it is broken\nexit 1\n")
    rival.chmod(0o755)
    path = "%s:%s" % (rival.parent, os.environ["PATH"])
    p = subprocess.run(
        [sys.executable, RUN, "--program", program, "--size", "tiny",
         "--rounds", "1", "--systems", "native,acached,geesefs", "--out",
         str(top / "out"), "--scratch", str(top), "--readme", str(readme),
         *BENCHES], env={**os.environ, "PATH": path}, capture_output=True,
        text=True, timeout=240, check=False)
    assert p.returncode == 0, p.stdout[-2000:] + p.stderr
    return {n: json.loads((top / "out" / (n + ".json")).read_text())
            for n in BENCHES}, readme.read_text(), top


def rows_of(result, **want):
    return [r for r in result["rows"]
            if all(r.get(k) == v for k, v in want.items())]


def test_every_bench_has_rows_of_all_its_cases(results):
    for name, cases in BENCHES.items():
        result = results[0][name]
        mine = rows_of(result, system="acached")
        assert len({r["case"] for r in mine}) >= cases, name
        assert result["targets"], name


def test_a_cold_file_is_one_get_and_a_warm_one_none(results):
    small = results[0]["small"]
    assert [r["GETs"] for r in rows_of(small, system="acached",
                                       case="cold")] == [40] * 3
    assert [r["GETs"] for r in rows_of(small, system="acached",
                                       case="restarted")] == [0] * 3
    assert all(0.99 < r["S3 bytes / data"] < 1.01 for r in rows_of(
        small, system="raw GETs"))


def test_cpu_of_reader_and_daemons_is_seen(results):
    for r in rows_of(results[0]["small"], system="acached"):
        assert 0 < r["system CPU us"] < 1e6 and 0 < r["reader CPU us"] < 1e6
        assert r["up-calls"] > 0 and r["PSS MB"] > 1


def test_latency_before_s3_is_felt(results):
    rows = rows_of(results[0]["latency"], system="raw GETs",
                   case="small files")
    assert len(rows) == 4
    for r in rows:
        assert r["p50 us"] >= 20000
        assert r["per s"] <= r["readers"] / 0.02


def test_the_readme_has_the_tables_between_its_markers(results):
    _, readme, _ = results
    assert readme.startswith("before\n<!-- bench") and \
        readme.endswith("<!-- bench: end -->\nafter\n")
    assert "what was there" not in readme
    assert "| native | " in readme and "commit " in readme


def test_a_rival_that_fails_is_named_and_the_others_go_on(results):
    rows, readme, _ = results
    for name in ("small", "big", "listing"):
        said = rows[name]["skipped"]["geesefs"]
        assert said == "failed: geesefs does not mount: it is broken"
    assert "Skipped: geesefs (failed: geesefs does not mount" in readme


def test_nothing_is_left_of_a_bench(results):
    top = str(results[2])
    assert not acached.mounts_below(top)
    assert sorted(os.listdir(top)) == ["README.md", "bin", "out"]
