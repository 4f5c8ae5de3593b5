"""The table of symptoms in README.md names tests that exist."""

import re

from instance import ROOT

SYMPTOMS = 38


def rows():
    lines = (ROOT / "Tests" / "Mount" / "README.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d+ \|", line)]
    return {int(number): re.findall(r"`(test_\w+)`|\"([^\"]+)\"", tests) for number, _, tests in cells}


def test_each_symptom_has_a_test_that_exists():
    folder = ROOT / "Tests"
    python = "\n".join(path.read_text() for path in (folder / "Mount").rglob("test_*.py"))
    swift = "\n".join(path.read_text() for path in (folder / "Swift").rglob("*.swift"))
    functions = set(re.findall(r"^def (test_\w+)", python, re.MULTILINE))
    table = rows()
    assert sorted(table) == list(range(1, SYMPTOMS + 1))
    assert all(table.values())
    missing = [
        name or title
        for tests in table.values()
        for name, title in tests
        if (name and name not in functions) or (title and f'"{title}"' not in swift)
    ]
    assert not missing
