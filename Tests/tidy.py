#!/usr/bin/env python3
"""Checks that the text of the repository is true: names, links, commands, promises, log events and dependencies that
it mentions exist.

tidy.py [FOLDER]           checks the repository (or FOLDER); prints a line for each finding and ends with 1 if there
are any
    tidy.py --events [FOLDER]  prints the log events of the sources as rows of docs/LOGGING.md

`make tidy` runs it after its own tests (test_tidy.py), and `make check` runs `make tidy`. A *note* says that a
number of tidy_code.py can be lowered or an entry removed; it is no failure, because it often appears when two
changes meet.
"""

import pathlib
import sys

from tidy_code import (
    check_dependencies,
    check_edges,
    check_imports,
    check_lengths,
    check_names,
    check_openings,
    check_widths,
)
from tidy_documents import (
    check_commands,
    check_decisions,
    check_identifiers,
    check_index,
    check_links,
    check_promises,
    check_references,
    check_sentences,
)
from tidy_log import check_events, events, row
from tidy_shim import check_shim
from tidy_tree import Tree

CHECKS = [
    check_decisions,
    check_promises,
    check_index,
    check_links,
    check_commands,
    check_references,
    check_identifiers,
    check_sentences,
    check_events,
    check_names,
    check_lengths,
    check_openings,
    check_widths,
    check_dependencies,
    check_edges,
    check_imports,
    check_shim,
]


def main(words):
    is_listing = "--events" in words
    folders = [word for word in words if not word.startswith("--")]
    tree = Tree.read(pathlib.Path(folders[0]) if folders else pathlib.Path(__file__).resolve().parent.parent)
    if is_listing:
        for event, entry in sorted(events(tree).items()):
            print(row(event, entry), "meaning |")
        return 0
    for check in CHECKS:
        check(tree)
    for note in tree.notes:
        print(f"note: {note}")
    for finding in sorted(set(tree.findings)):
        print(finding)
    print(f"tidy: {len(set(tree.findings))} findings" if tree.findings else f"tidy: clean ({len(tree.text)} files)")
    return 1 if tree.findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
