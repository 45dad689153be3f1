"""Tables of the documentation, for tests that execute them."""

import os

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))


def cells(line):
    return [c.strip() for c in line.strip().strip("|").split("|")]


def rows(name, heading):
    """[{column: cell}, …] of the table below `heading` of doc/`name`."""
    with open(os.path.join(TOP, "doc", name)) as f:
        lines = f.read().split("\n")
    at = lines.index(heading)
    while not lines[at].startswith("|"):
        at += 1
    columns = cells(lines[at])
    found = []
    for line in lines[at + 2:]:
        if not line.startswith("|"):
            break
        row = cells(line)
        assert len(row) == len(columns), line
        found.append(dict(zip(columns, row)))
    assert found, heading
    return found


def code(cell):
    """What stands between backquotes."""
    return cell.split("`")[1::2]
