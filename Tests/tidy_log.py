"""Checks of tidy.py: docs/LOGGING.md and the log events of the sources are the same."""

import collections
import re

from tidy_tree import line_of


def arguments(text, at):
    """The text between the parenthesis at `at` and the one that closes it, and the end of its first argument."""
    depth, in_string, first, here = 0, False, None, at
    while here < len(text):
        letter = text[here]
        if in_string:
            if letter == "\\":
                # An interpolation holds code with strings of its own.
                if text[here + 1] == "(":
                    here = closing(text, here + 1)
                else:
                    here += 1
            elif letter == '"':
                in_string = False
        elif letter == '"':
            in_string = True
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
            if depth == 0:
                break
        elif letter == "," and depth == 1 and first is None:
            first = here
        here += 1
    return text[at + 1 : here], (here if first is None else first) - at - 1


def closing(text, at):
    return at + 1 + len(arguments(text, at)[0])


def cases(tree):
    """The cases of LogEvent and the names in the log that they stand for."""
    found = {}
    for text in (
        text for name, text in tree.named(".swift", under="Sources/").items() if name.endswith("/LogEvent.swift")
    ):
        for case, raw in re.findall(r'^  case (\w+)(?: = "([^"]+)")?$', text, re.M):
            found[case] = raw or case
    return found


def events(tree):
    """Each log event of the sources: its levels, its fields and its modules."""
    known = cases(tree)
    found = collections.defaultdict(lambda: {"levels": set(), "fields": set(), "modules": set(), "at": None})
    for name, text in tree.named(".swift", under="Sources/").items():
        for match in re.finditer(r"\bLog\.(debug|info|warning|error)\(", text):
            inside, end = arguments(text, match.end() - 1)
            names = re.findall(r"(?<![\w)])\.(\w+)", inside[:end]) or passed(tree, name, text[: match.start()])
            if not names:
                tree.find(
                    name,
                    line_of(text, match.start()),
                    "the name of this log event is not found: give it as a case of LogEvent",
                )
            names = [known.get(case, case) for case in names]
            fields = re.findall(r'[\[,]\s*"(\w+)":', inside[end:])
            variable = re.fullmatch(r",\s*(\w+)", inside[end:].strip())
            if variable:
                made = re.search(rf"let {variable[1]}: Log\.Fields = \[(.*?)\]\n", text, re.S)
                fields = re.findall(r'(?:^|,)\s*"(\w+)":', made[1]) if made else []
            for event in names:
                entry = found[event]
                entry["levels"].add(match[1])
                entry["fields"].update(fields)
                entry["modules"].add(name.split("/")[-2])
                entry["at"] = entry["at"] or (name, line_of(text, match.start()))
    return found


def passed(tree, name, before):
    """Names of events that callers in the same folder give to the function that logs."""
    function = re.findall(r"\bfunc (\w+)", before)[-1]
    folder = name.rsplit("/", 1)[0] + "/"
    calls = re.compile(rf"\b{function}\(\s*\.(\w+)")
    return [event for text in tree.named(".swift", under=folder).values() for event in calls.findall(text)]


LEVELS = ["debug", "info", "warning", "error"]


def row(event, entry):
    levels = ", ".join(level for level in LEVELS if level in entry["levels"])
    fields = ", ".join(f"`{field}`" for field in sorted(entry["fields"])) or "-"
    return f"| `{event}` | {levels} | {fields} | {', '.join(sorted(entry['modules']))} |"


def check_events(tree):
    """docs/LOGGING.md has a row for each event of the sources, with its level, fields and module, and no other."""
    name = "docs/LOGGING.md"
    found = events(tree)
    if name not in tree.text:
        return
    rows = {}
    for number, line in enumerate(tree.text[name].splitlines(), 1):
        match = re.match(r"\| `([^`]+)` \|[^|]*\|[^|]*\|[^|]*\|", line)
        if match:
            if match[1] in rows:
                tree.find(name, number, f"the event {match[1]} has a row already")
            rows[match[1]] = (number, match[0])
    for event, entry in sorted(found.items()):
        wanted = row(event, entry)
        if event not in rows:
            tree.find(*entry["at"], f'{name} has no row for the event {event}: add "{wanted} meaning |"')
        elif rows[event][1] != wanted:
            tree.find(name, rows[event][0], f'the sources say "{wanted}"')
    for event, (number, _) in rows.items():
        if event not in found:
            tree.find(name, number, f"no source has the event {event}")
