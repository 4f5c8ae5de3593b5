"""Checks of tidy.py: names and lengths of files, openings of comments, dependencies."""

import collections
import pathlib
import re

from tidy_tree import CODE, line_of

#: Comments that begin with a word of BANNED, for each folder. A number may only fall: rewrite the comment instead of
#: raising it.
OPENINGS = {}
BANNED = re.compile(r"^\s*(///?|/?\*+|#) (What|Whoever|Who|Of|As|Where|Those|That which|One that) ")

#: A file of more lines than this needs a comment `Long because ...` within it.
LONG = 400
#: Files that were longer before this check existed.
KNOWN_LONG = {
    "Sources/Bytes/OpenFiles/BackingStores.swift",
    "shim/wire/include/fsmvp_wire.h",
    "Tests/Swift/Control/ControlAPITests/ControlServerTests.swift",
    "Tests/Mount/api/test_web_listener.py",
    "Tests/Swift/Volumes/StagingTests/CacheTests.swift",
    "Tests/Swift/Volumes/StagingTests/Fakes.swift",
    "Tests/Swift/Volumes/StagingTests/TilesModelTests.swift",
    "Tests/Swift/Bytes/StoreTests/BothStoresTests.swift",
}

#: Swift files named for a subject instead of a type, from before this check existed.
KNOWN_SUBJECTS = {
    "Sources/Base/EventLoop/ProgramOutput.swift",
    "Sources/Origins/MediaHubSim/API.swift",
    "Sources/Origins/MediaHubSim/Admin.swift",
    "Sources/Origins/MediaHubSim/DemoCatalog.swift",
    "Sources/Origins/MediaHubSim/Jobs.swift",
    "Sources/Origins/MediaHubSim/Junk.swift",
    "Sources/Origins/MediaHubSim/Links.swift",
    "Sources/Origins/MediaHubSim/Program.swift",
    "Sources/Origins/MediaHubSim/Storage.swift",
    "Sources/Origins/MediaHubSim/Text.swift",
    "Sources/Origins/MediaHubSim/Tokens.swift",
    "Sources/Origins/MediaHubSim/Usage.swift",
    "Sources/Volumes/Staging/SafeFileName.swift",
    "Sources/Mount/Wire/HeaderFigures.swift",
    "Sources/Mount/Wire/Histograms.swift",
    "Sources/Mount/Wire/Succession.swift",
}

# Names and lengths of files, openings of comments


def check_names(tree):
    """`Type+Topic.swift` declares or extends Type; a file with one type on its top level is named for it."""
    top = re.compile(
        r"^(?:@[\w.]+(?:\([^)]*\))?\s+)*(?:(?:package|public|private|fileprivate|internal|final|indirect|nonisolated|@\w+)\s+)*"
        r"(struct|class|enum|actor|protocol|extension|typealias)\s+([\w.]+)",
        re.M,
    )
    for name, text in tree.named(".swift", under="Sources/").items():
        stem = pathlib.PurePath(name).stem
        if stem == "main":
            continue
        declared = top.findall(text)
        types = [type for kind, type in declared if kind != "extension"]
        extended = {
            part for kind, type in declared if kind == "extension" for part in (type.split(".")[0], type.split(".")[-1])
        }
        base = stem.split("+")[0]
        if "+" in stem:
            if base not in types and base not in extended:
                tree.find(name, 0, f"the file neither declares nor extends {base}")
        elif len(types) <= 1 and not re.search(
            rf"\b(struct|class|enum|actor|protocol|typealias)\s+{re.escape(stem)}\b", text
        ):
            if name not in KNOWN_SUBJECTS:
                tree.find(
                    name, 0, f"no type is called {stem}: name the file for its type, or `Type+Topic` for an extension"
                )
        elif name in KNOWN_SUBJECTS:
            tree.note(f"{name} can leave KNOWN_SUBJECTS")
    for name in KNOWN_SUBJECTS - set(tree.text):
        tree.note(f"{name} is gone and can leave KNOWN_SUBJECTS")


def check_lengths(tree):
    """A file of more than LONG lines says why."""
    for name, text in tree.named(*CODE).items():
        lines = text.count("\n")
        says = re.search(r"^\s*(//|/?\*+|#) ?Long because \S", text, re.M)
        if lines > LONG and not says and name not in KNOWN_LONG:
            tree.find(
                name,
                0,
                f"{lines} lines are more than {LONG}: split the file by subject, or add a comment `Long because ...`",
            )
        elif name in KNOWN_LONG and (lines <= LONG or says):
            tree.note(f"{name} can leave KNOWN_LONG")
    for name in KNOWN_LONG - set(tree.text):
        tree.note(f"{name} is gone and can leave KNOWN_LONG")


#: Columns of a line of code or of a comment; a tab is eight.
WIDTH = 120
STRING = re.compile(r"""#?"(?:\\.|[^"\\])*"#?|'(?:\\.|[^'\\])*'|`(?:\\.|[^`\\])*`""")
COMMENT = re.compile(r"\s*(//|/?\*|#(?!\w))")


def check_widths(tree):
    """No line is wider than WIDTH, except by a string: a text that is searched for stands as it is shown."""
    for name, text in tree.named(*CODE).items():
        is_block = False
        for number, line in enumerate(text.splitlines(), 1):
            was_block, is_block = is_block, is_block != (line.count('"""') % 2 == 1)
            if len(line.expandtabs(8)) <= WIDTH or was_block or is_block:
                continue
            rest = line if COMMENT.match(line) else STRING.sub("", line)
            if len(rest.expandtabs(8)) > WIDTH or rest == line:
                tree.find(name, number, f"{len(line.expandtabs(8))} columns are more than {WIDTH}")


def check_openings(tree):
    """No folder has more comments that begin with a relative clause than it had."""
    counts, last, lower = collections.Counter(), {}, []
    for name, text in tree.named(*CODE).items():
        if not name.startswith(("Sources/", "shim/", "Tests/")):
            continue
        parts = name.split("/")
        folder = "/".join(parts[:2]) if len(parts) > 2 else parts[0]
        for number, line in enumerate(text.splitlines(), 1):
            if BANNED.match(line):
                counts[folder] += 1
                last.setdefault(folder, []).append(f"{name}:{number}")
    for folder in sorted(counts.keys() | OPENINGS.keys()):
        count, allowed = counts[folder], OPENINGS.get(folder, 0)
        if count > allowed:
            tree.find(
                folder,
                0,
                f"{count} comments begin with What, Who, Whoever, Of, As, Where, Those, That which or One that, and {allowed} are allowed: "
                f"begin with a subject ({', '.join(last[folder][-3:])}, ...)",
            )
        elif count < allowed:
            lower.append(f"{folder} {count}")
    if lower:
        tree.note(f"OPENINGS of tidy_code.py can be lowered (leave out those of 0): {', '.join(lower)}")


# Dependencies


def targets(manifest):
    """The Swift targets of Package.swift: name, dependencies, folder, line."""
    for match in re.finditer(r'\b(module|program|tests)\(\s*"([\w/-]+)",\s*\[([^\]]*)\]', manifest):
        top = "Tests/Swift" if match[1] == "tests" else "Sources"
        yield (
            match[2].split("/")[-1],
            re.findall(r'"([\w-]+)"', match[3]),
            f"{top}/{match[2]}",
            line_of(manifest, match.start()),
        )
    for match in re.finditer(
        r'\.target\(\s*name: "([\w-]+)",\s*dependencies: \[([^\]]*)\],\s*path: "([^"]+)"', manifest
    ):
        yield match[1], re.findall(r'"([\w-]+)"', match[2]), match[3], line_of(manifest, match.start())


def check_dependencies(tree):
    """A dependency that Package.swift declares is imported by a file of its target. (The compiler says it the other
    way round.)"""
    manifest = tree.text.get("Package.swift", "")
    for name, dependencies, folder, line in targets(manifest):
        sources = tree.named(".swift", under=f"{folder}/")
        if not sources:
            continue
        imported = set()
        for text in sources.values():
            imported.update(
                re.findall(
                    r"^\s*(?:@\w+\s+|package |internal |private |public )*import (?:struct |enum |class |func |protocol )?(\w+)",
                    text,
                    re.M,
                )
            )
        for dependency in dependencies:
            if dependency.replace("-", "_") not in imported:
                tree.find("Package.swift", line, f"{name} declares {dependency} and no file of it imports it")


#: The names that a module gives to others: of its types, functions, variables, cases, and operators.
NAME = re.compile(
    r"\b(?:class|struct|enum|protocol|actor|typealias|func|var|let|case|associatedtype)\s+`?([^\s:<({=,`]+)"
)


def declared(tree, folder):
    names = set()
    for text in tree.named(".swift", under=f"{folder}/").values():
        names.update(NAME.findall(text))
        # `case one, two` and `let (a, b)` declare several.
        for line in re.findall(r"^\s*case ([^:\n]+)$", text, re.M):
            names.update(re.findall(r"\w+", line))
    return names


def check_imports(tree):
    """A module of ours that a file imports gives it at least one of the names in it. (The compiler says it the other
    way round.)"""
    modules = {name: folder for name, _, folder, _ in targets(tree.text.get("Package.swift", ""))}
    given = {name: declared(tree, folder) for name, folder in modules.items()}
    for name, text in tree.named(".swift").items():
        imports = re.findall(r"^(?:@\w+ )?import (\w+)$", text, re.M)
        if not imports:
            continue
        words = set(re.findall(r"\w+|[-+*/<>=&|~^!%]+", re.sub(r"^.*\bimport \w+$|^\s*//.*$", "", text, flags=re.M)))
        for module in imports:
            if module in given and given[module] and not words & given[module]:
                tree.find(name, 0, f"the import of {module} is not used")


#: Folders, and those that no module in them depends on (docs/adr/0034).
APART = [
    ("Base/", ("Mount/", "Bytes/", "Origins/", "Volumes/", "Control/", "CommandLine/", "Daemon/")),
    ("Mount/", ("Bytes/", "Origins/", "Volumes/", "Control/", "CommandLine/", "Daemon/")),
    ("Bytes/", ("Origins/", "Volumes/", "Control/", "CommandLine/", "Daemon/")),
    ("Bytes/Store", ("Bytes/Transfer",)),
    ("Bytes/OpenFiles", ("Bytes/Transfer",)),
    ("Volumes/", ("Control/ControlAPI", "CommandLine/", "Daemon/")),
    ("Control/", ("Mount/", "Bytes/", "Origins/", "Volumes/", "CommandLine/", "Daemon/")),
    ("CommandLine/", ("Mount/", "Bytes/", "Origins/", "Volumes/", "Control/ControlAPI", "Daemon/")),
]


def check_edges(tree):
    """The module graph has no edge that APART rules out."""
    all_targets = list(targets(tree.text.get("Package.swift", "")))
    folder_of = {
        name: folder.removeprefix("Sources/") for name, _, folder, _ in all_targets if folder.startswith("Sources/")
    }
    for name, dependencies, folder, line in all_targets:
        for start, others in APART:
            for dependency in dependencies:
                to = folder_of.get(dependency, "")
                if (
                    folder.removeprefix("Sources/").startswith(start)
                    and folder.startswith("Sources/")
                    and to.startswith(others)
                ):
                    tree.find("Package.swift", line, f"{name} depends on {dependency}: nothing of {start} may ({to})")
