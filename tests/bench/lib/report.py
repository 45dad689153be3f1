"""Results as Markdown: all of them, and a page's worth for the README."""

import json
import os

from world import Problem

BEGIN = "<!-- bench: written by make bench-readme -->"
END = "<!-- bench: end -->"


def show(value):
    if not isinstance(value, float):
        return str(value)
    if abs(value) >= 100 or value == int(value):
        return "{:,.0f}".format(value).replace(",", " ")
    return "%.3g" % value


def table(rows):
    columns = [c for c in dict.fromkeys(k for r in rows for k in r)
               if c not in ("shown", "row")]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(show(r.get(c, "")) for c in columns) + " |"
              for r in rows]
    return "\n".join(lines) + "\n"


def about(result):
    return "%s UTC, commit %s, %s, medians of %d round%s%s." % (
        result["date"], result["commit"], result["machine"], result["rounds"],
        "" if result["rounds"] == 1 else "s",
        "" if result["size"] == "full" else
        ", less data (--size %s)" % result["size"])


def skipped(result):
    return "".join("Skipped: %s (%s).\n" % i
                   for i in result["skipped"].items())


def full(result):
    parts = ["# %s\n" % result["title"], about(result) + "\n"]
    if result["skipped"]:
        parts.append(skipped(result))
    parts.append(table(sorted(result["rows"], key=lambda r: [
        str(r.get(k, "")) for k in result["keys"]])))
    if result["targets"]:
        keys = [k for k in result["keys"] if k != "system"]
        parts.append(table([{"case": name_of(t["row"], keys), **t}
                            for t in result["targets"]]))
    return "\n".join(parts)


def cell(row):
    """What one system does in one case, in a few words."""
    if "shown" in row:
        return row["shown"]
    return "%s, %s µs" % (show(row["per s"]), show(float(row["CPU us"])))


def name_of(row, keys):
    """A case as people say it."""
    words = []
    for k in keys:
        if k == "case":
            words.append(str(row.get(k)))
        elif row.get(k) is not None:
            words.append("%s %s" % (row[k], k if row[k] != 1 else k[:-1]))
    return ", ".join(words)


def judged(result, row, keys):
    """The targets for this case of acached's."""
    want = {k: row.get(k) for k in keys if row.get(k) is not None}
    return "; ".join("%s %s: %s, **%s**" % (
        t["target"], t["limit"].replace("<=", "≤").replace(">=", "≥"),
        show(float(t["measured"])), t["result"])
        for t in result["targets"] if t["row"] == want)


def wide(result):
    """A line a case, a column a system, and at the end what was wanted."""
    keys = [k for k in result["keys"] if k != "system"]
    rows = result["rows"]
    columns = list(dict.fromkeys(r["system"] for r in rows))
    lines = {}
    for r in sorted(rows, key=lambda r: r["system"] != "acached"):
        of = lines.setdefault(name_of(r, keys), {"": judged(result, r, keys)})
        of[r["system"]] = cell(r)
    return table([{result["title"]: name, **{c: of.get(c, "") for c in columns},
                   "targets": of[""]} for name, of in lines.items()])


def short(results):
    said = {}
    for r in results:
        said.setdefault(about(r) + "\n" + skipped(r), []).append(r["bench"])
    return "\n".join([wide(r) for r in results] + [
        "%s: %s" % (", ".join(names), text) for text, names in said.items()])


def write_readme(path, out, names):
    """Puts what lies in `out` between the markers of the file."""
    results = []
    for name in names:
        where = os.path.join(out, name + ".json")
        if os.path.exists(where):
            with open(where) as f:
                results.append(json.load(f))
    with open(path) as f:
        text = f.read()
    if BEGIN not in text or END not in text:
        raise Problem("%s has no lines %s and %s" % (path, BEGIN, END))
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    with open(path, "w") as f:
        f.write(before + BEGIN + "\n\n" + short(results) + "\n" + END + after)
