"""Checks of tidy.py: what the documents name, cite and quote exists."""

import collections
import pathlib
import posixpath
import re

from tidy_tree import CODE, line_of

# Decisions


def check_decisions(tree):
    """Every ADR that is cited exists; each one has its number in the title, a date, a state, and a row in the table
    of them."""
    numbers, rows = {}, {}
    for name, text in tree.named(".md", under="docs/adr/").items():
        stem = pathlib.PurePath(name).stem
        if not re.fullmatch(r"\d{4}-[a-z0-9-]+", stem):
            if stem != "README":
                tree.find(name, 0, "a decision's file is called NNNN-its-title-in-short.md")
            continue
        number = int(stem[:4])
        if number in numbers:
            tree.find(name, 0, f"the number {number} belongs to {numbers[number]} already")
        numbers[number] = name
        if not text.startswith(f"# {number}. "):
            tree.find(name, 1, f'the title has to begin with "# {number}. "')
        state = re.search(r"^\d{4}-\d\d-\d\d · (accepted|superseded by \d{4}|rejected)\b", text, re.M)
        if state:
            title = text.split("\n", 1)[0].partition(". ")[2]
            rows[number] = f"| [{number}]({stem}.md) | {title} | {state[1]} |"
        else:
            tree.find(name, 3, 'the line below the title has to say date and status: "2026-11-29 · accepted"')
    table = "docs/adr/README.md"
    for number, wanted in rows.items():
        if table in tree.text and not re.search(rf"^{re.escape(wanted)} .+ \|$", tree.text[table], re.M):
            tree.find(table, 0, f'a row has to begin with "{wanted}" and say which types or files follow the decision')
    cited = re.compile(
        r"\badr/(\d{4})|\bADR (\d+)\b|[( ](?:amends|amended by|superseded by|supersedes) ((?:\d{4}(?:, | and )?)+)|\((0\d{3})\)"
    )
    for name, text in tree.text.items():
        for match in cited.finditer(text):
            # Four digits in brackets are a decision's number in these documents alone.
            if match[4] and not name.startswith("docs/adr/"):
                continue
            for digits in re.findall(r"\d+", match[0].removeprefix("adr/")):
                if int(digits) not in numbers:
                    tree.find(name, line_of(text, match.start()), f"there is no decision {digits} in docs/adr")


# Promises


def test_names(tree):
    """The functions of the tests in Python, and the sentences of those in Swift."""
    names = set()
    for name, text in tree.named(".py", under="Tests/").items():
        names.update(re.findall(r"^def (test_\w+)", text, re.M))
    for name, text in tree.named(".swift", under="Tests/").items():
        names.update(match.replace('\\"', '"') for match in re.findall(r'@Test\(\s*"((?:[^"\\]|\\.)*)"', text))
    return names


def check_promises(tree):
    """Each row of a promise in docs/SEMANTICS.md names tests, and they and those of the other tables exist."""
    name = "docs/SEMANTICS.md"
    if name not in tree.text:
        return
    tests, seen = test_names(tree), {}
    for number, line in enumerate(tree.text[name].splitlines(), 1):
        match = re.match(r"\| `?(S-[A-Z]+-\d+)`? \|", line)
        if not match and line.startswith("|"):
            if re.match(r"\| `?S-", line):
                tree.find(name, number, "a promise's id looks like S-READ-1")
            for test in re.findall(r"`(test_\w+)`", line) + re.findall(r"“([^”]+)”", line):
                if test not in tests:
                    tree.find(name, number, f"there is no test “{test}”")
        if not match:
            continue
        if match[1] in seen:
            tree.find(name, number, f"{match[1]} is the promise of line {seen[match[1]]} already")
        seen[match[1]] = number
        cell = line.rstrip().rstrip("|").rsplit("|", 1)[1]
        named = re.findall(r"`(test_\w+)`", cell) + re.findall(r"“([^”]+)”", cell)
        if not named:
            tree.find(
                name, number, f"{match[1]} names no test: `test_name` of Tests/Mount, or the “sentence” of a Swift test"
            )
        for test in named:
            if test not in tests:
                tree.find(name, number, f"{match[1]} names the test “{test}”, which does not exist")
    for other, text in tree.text.items():
        for match in re.finditer(r"\bS-[A-Z]+-\d+\b", text):
            if match[0] not in seen:
                tree.find(other, line_of(text, match.start()), f"there is no promise {match[0]} in {name}")


def check_index(tree):
    """Tests/Mount/README.md has a row for each file of tests on real mounts, with the promises that a test of the
    file shows."""
    name = "Tests/Mount/README.md"
    if name not in tree.text:
        return
    shown = collections.defaultdict(list)
    for promise, cell in re.findall(
        r"^\| `(S-[A-Z]+-\d+)` \|.*\|([^|]*)\|\s*$", tree.text.get("docs/SEMANTICS.md", ""), re.M
    ):
        for test in re.findall(r"`(test_\w+)`", cell):
            shown[test].append(promise)
    rows = re.findall(r"^\| \[(test_\w+\.py)\]\(([^)]+)\) \|.*\|([^|]*)\|[^|]*\|$", tree.text[name], re.M)
    files = {
        path: text
        for path, text in tree.named(".py", under="Tests/Mount/").items()
        if pathlib.PurePath(path).name.startswith("test_")
    }
    said = {f"Tests/Mount/{path}": re.findall(r"S-[A-Z]+-\d+", cell) for _, path, cell in rows}
    for path, text in files.items():
        wanted = {promise for test in re.findall(r"^def (test_\w+)", text, re.M) for promise in shown[test]}
        if path not in said:
            tree.find(name, 0, f"it has no row for {path}")
        elif set(said[path]) != wanted:
            tree.find(name, 0, f"the promises of {path} are {', '.join(sorted(wanted)) or 'none'} (docs/SEMANTICS.md)")


# Links, paths, commands and names of the documents


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


def without_fences(text):
    """The same text with blanks in place of blocks of code, so that positions stay."""
    return re.sub(r"^```.*?^```", blank, text, flags=re.M | re.S)


def without_code(text):
    """The same without code in a line."""
    return re.sub(r"`[^`\n]*`", blank, without_fences(text))


def anchors(text):
    found = set()
    for heading in re.findall(r"^#+ +(.*)", without_fences(text), re.M):
        found.add(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-"))
    return found


def check_links(tree):
    """Relative links lead to files that exist, and to headings in them; paths in code do too."""
    for name, text in tree.named(".md").items():
        for match in re.finditer(r"\]\(([^)\s]+)\)", without_code(text)):
            target, _, anchor = match[1].partition("#")
            if re.match(r"[a-z]+:", target):
                continue
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
            if not tree.has(path):
                tree.find(name, line_of(text, match.start()), f"the link leads to {match[1]}, which does not exist")
            elif anchor and path.endswith(".md") and anchor not in anchors(tree.text[path]):
                tree.find(name, line_of(text, match.start()), f"{target or name} has no heading #{anchor}")
    for name, text in tree.documents().items():
        for match in re.finditer(r"`((?:Sources|shim|Tests|docs|bench|packaging)/[\w./+@-]+)`", text):
            # NAME and NNNN stand for what the reader puts there.
            if not tree.has(match[1]) and not re.search("NAME|NNNN", match[1]):
                tree.find(name, line_of(text, match.start()), f"there is no {match[1]}")


def code_spans(text):
    """Each piece of code in a document: spans of a line, and lines of blocks."""
    for match in re.finditer(r"^(?: {4,}|\t)\S.*$|`([^`\n]+)`", without_fences(text), re.M):
        if match[1] is not None:
            yield match.start(), match[1]
        else:
            yield match.start(), match[0]
    for match in re.finditer(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S):
        at = match.start(1)
        for line in match[1].splitlines(keepends=True):
            yield at, line
            at += len(line)


def syntax(tree):
    """The verbs of fsmvp, and the flags of them and of fsmvp-tile."""
    verbs, flags = set(), set()
    for text in tree.named(".swift", under="Sources/").values():
        match = re.search(r"enum Verb: String[^\n]*\n((?:\s*case [^\n]+\n)+)", text)
        if match:
            verbs.update(re.findall(r"\b(?!case\b)[\w-]+", match[1]))
        if "FlagSyntax" in text:
            flags.update(re.findall(r'FlagSyntax\(\s*name: "([a-z-]+)"', text))
    return verbs, flags


def check_commands(tree):
    """`make X` and `fsmvp VERB --flag` of the documents exist."""
    makefile = tree.text.get("Makefile", "")
    targets = set()
    for line in re.findall(r"^([a-z][a-z -]*):", makefile, re.M):
        targets.update(line.split())
    verbs, flags = syntax(tree)
    flags |= {"help", "version"}
    for name, text in tree.documents().items():
        for at, code in code_spans(text):
            for match in re.finditer(r"(?:^|[;&|]|\$ )\s*(?:[A-Z_]+=\S+ )*make ([a-z][\w-]*)", code):
                if targets and match[1] not in targets:
                    tree.find(name, line_of(text, at), f"the Makefile has no target {match[1]}")
            for match in re.finditer(r"(?:^|[\s/(])fsmvp ([a-z]+)\b([^`;|&#]*)", code):
                if not verbs:
                    continue
                if match[1] not in verbs:
                    tree.find(name, line_of(text, at), f"fsmvp has no verb {match[1]}")
                for flag in re.findall(r"(?<!\S)--([a-z][a-z-]*)", match[2]):
                    if flag not in flags:
                        tree.find(name, line_of(text, at), f"no verb of fsmvp has the flag --{flag}")


def check_references(tree):
    """Each verb and flag stands in the manual of the commands, each setting and variable in that of the
    configuration, each route in that of the API."""
    manual = tree.text.get("docs/CLI.md", "")
    verbs, flags = syntax(tree)
    for word in sorted({f"fsmvp {verb}" for verb in verbs} | {f"--{flag}" for flag in flags}) if manual else ():
        if not re.search(rf"{re.escape(word)}\b", manual + tree.text.get("docs/TILE.md", "")):
            tree.find("docs/CLI.md", 0, f"it does not say what `{word}` does")
    for name, text in tree.named(".swift", under="Sources/").items():
        if re.search(r"\w+: SettingGroup\b", text) and "docs/CONFIG.md" in tree.text:
            keys = re.findall(r'^ +(?:package )?let \w+ = Setting\.\w+\(\s*"(?:\w+\.)?(\w+)"', text, re.M)
            for word in keys + re.findall(r'\bvariable: "(FSMVP_\w+)"', text):
                if f"`{word}`" not in tree.text["docs/CONFIG.md"]:
                    tree.find(name, 0, f"docs/CONFIG.md does not say what `{word}` means")
        for method, path in (
            re.findall(r'^\s*api\("([A-Z]+)", "([^"]+)"', text, re.M) if "docs/API.md" in tree.text else ()
        ):
            route = f"`{method} /" + re.sub(r"\{\w+\}", "ID", path)
            if not re.search(rf"{re.escape(route)}[`? ]", tree.text["docs/API.md"]):
                tree.find(name, 0, f"docs/API.md has no row for {route}`")


#: Names of other programs.
FOREIGN = {"SEEK_HOLE"}


def check_identifiers(tree):
    """A name in code font that looks like one of a type, variable, setting or file stands somewhere outside of the
    documents."""
    words, stems = set(), {pathlib.PurePosixPath(path).stem for path in tree.paths}
    for name, text in tree.text.items():
        if not name.endswith(".md"):
            words.update(re.findall(r"[A-Za-z_]\w*", text))
    for path in tree.paths:
        words.update(re.findall(r"\w+", path))
    for name, text in tree.documents().items():
        # A decision may speak of what it replaced; the table of them may not.
        if name.startswith("docs/adr/0"):
            continue
        for match in re.finditer(r"^\| \[\d.*", text, re.M) if name == "docs/adr/README.md" else ():
            for word in re.findall(r"`(\w+)(?:\.[ch])?`", match[0]):
                if word not in words:
                    tree.find(name, line_of(text, match.start()), f"nothing is called {word}")
        for match in re.finditer(r"`([A-Za-z_]\w*)(?:\(\))?`", text):
            # Tests that are named under a promise are check_promises' matter.
            if name == "docs/SEMANTICS.md" and match[1].startswith("test_"):
                continue
            if re.search(r"_|[a-z][A-Z]", match[1]) and match[1] not in words | FOREIGN:
                tree.find(name, line_of(text, match.start()), f"nothing is called {match[1]}")
        for match in re.finditer(r"`([A-Z]\w+\+\w+)`", text):
            if match[1] not in stems and "Type+" not in match[1]:
                tree.find(name, line_of(text, match.start()), f"no file is called {match[1]}")


# Sentences


def check_sentences(tree):
    """Sentences of the program that docs/TROUBLESHOOTING.md quotes stand in a source."""
    name = "docs/TROUBLESHOOTING.md"
    quotes = list(re.finditer(r"“([^”]+)”", tree.text.get(name, "")))
    if not quotes:
        return
    # A sentence that is longer than a line is several literals.
    joined = re.compile(r'"\s*\+?\s*"')
    said = "\n".join(
        joined.sub("", text) for other, text in tree.named(*CODE).items() if other.startswith(("Sources/", "shim/"))
    )
    for quote in quotes:
        if quote[1] not in said:
            tree.find(name, line_of(tree.text[name], quote.start()), f"no source says “{quote[1]}”")
