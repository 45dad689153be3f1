"""Results as Markdown: all of them, and a page's worth for the README."""

import json
import os

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
               if c != "shown"]
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
        parts.append(table(result["targets"]))
    return "\n".join(parts)


def cell(row):
    """What one system does in one case, in a few words."""
    if "shown" in row:
        return row["shown"]
    return "%s, %s µs" % (show(row["per s"]), show(float(row["CPU us"])))


def wide(result):
    """A line a case, a column a system."""
    rows = result["rows"]
    keys = [k for k in result["keys"] if k != "system"]
    columns = list(dict.fromkeys(r["system"] for r in rows))
    lines = {}
    for r in rows:
        name = ", ".join("%s" % r[k] if k == "case" else "%s %s" % (r[k], k)
                         for k in keys if k in r)
        lines.setdefault(name, {})[r["system"]] = cell(r)
    return table([{result["title"]: name,
                   **{c: of.get(c, "") for c in columns}}
                  for name, of in lines.items()])


def short(results):
    parts = []
    for r in results:
        parts += [wide(r)]
    targets = [t for r in results for t in r["targets"]]
    if targets:
        parts.append(table(targets))
    parts.append("\n".join(dict.fromkeys(
        "%s: %s" % (r["bench"], about(r)) for r in results)) + "\n")
    parts.append("".join(dict.fromkeys(
        line for r in results for line in skipped(r).splitlines(True))))
    return "\n".join(p for p in parts if p)


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
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    with open(path, "w") as f:
        f.write(before + BEGIN + "\n\n" + short(results) + "\n" + END + after)
