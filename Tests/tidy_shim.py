"""Checks of tidy.py: the folders of the shim (docs/ARCHITECTURE.md), which headers each includes, and that no files
call each other in a circle."""

import collections
import re

#: Headers that the files of a folder include, beside their own folder's and those of shim/wire; "life" stands for both
#: headers of that folder.
FILES = {
    "bytes": {"life/base.h"},
    "request": {"bytes", "life", "shim.h"},
    "mount": {"life"},
    "link": {"bytes", "request", "life", "shim.h"},
    "life": {"bytes", "request", "mount", "link", "shim.h"},
}
#: Files and headers whose includes are not those of the other files of their folder.
EXCEPTIONS = {
    "bytes/disk.c": {"request", "life", "shim.h"},
    "request/completion.c": FILES["request"] | {"link"},
    "bytes/disk.h": {"request"},
    "life/base.h": set(),
    "shim.h": {"bytes", "request", "life", "link"},
}
#: Every other header includes this one alone.
HEADERS = {"life/base.h"}

INCLUDE = re.compile(r'^#include "((?:\w+/)?\w+\.h)"', re.M)
#: A function or a variable that other files can name. What it is called is the first group that matched.
DEFINED = re.compile(
    r"^(?!static\b|extern\b|typedef\b)[a-z_][\w \t*]*?\b(?:(\w+)\([^;{}]*\)\n\{|(\w+) = \{|(\w+);$)", re.M
)
#: A macro of several lines and what it is replaced by.
MACRO = re.compile(r"^#define (\w+)\(.*\\\n((?:.*\\\n)*.*)", re.M)
NOT_CODE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)


def check_shim(tree):
    sources = {name.removeprefix("shim/src/"): text for name, text in tree.named(".c", ".h", under="shim/src/").items()}
    for name, text in sources.items():
        folder = name.split("/")[0]
        allowed = EXCEPTIONS.get(name, HEADERS if name.endswith(".h") else FILES.get(folder, set()))
        for header in INCLUDE.findall(text):
            near = header.split("/")[0] == folder and (name.endswith(".c") or name == "bytes/disk.h")
            if not header.startswith("fsmvp_") and not near and not {header, header.split("/")[0]} & allowed:
                tree.find(
                    f"shim/src/{name}",
                    0,
                    f"it may not include {header}: docs/ARCHITECTURE.md says which folders build on which",
                )
    circle = in_circles(calls({name: NOT_CODE.sub("", text) for name, text in sources.items()}))
    if circle:
        tree.find("shim/src", 0, f"these files call each other in a circle: {', '.join(sorted(circle))}")


def calls(sources):
    """The files whose functions or variables each file names."""
    files = {name: text for name, text in sources.items() if name.endswith(".c")}
    owner = {}
    for name, text in files.items():
        for match in DEFINED.finditer(text):
            owner[next(filter(None, match.groups()))] = name
    for text in sources.values():
        for macro, body in MACRO.findall(text):
            owner.update((macro, owner[word]) for word in re.findall(r"\w+", body) if word in owner)
    used = collections.defaultdict(set)
    for name, text in files.items():
        # Neither a member of a structure nor its name in an initializer.
        for word in set(re.findall(r"(?<![\w.>])[A-Za-z]\w*", text)):
            if owner.get(word, name) != name:
                used[name].add(owner[word])
    return used


def in_circles(used):
    """The files that remain when those that use none of the others, or are used by none, are taken away again and
    again."""
    files = {file for name, others in used.items() for file in [name, *others]}
    while True:
        inside = {name for name in files if used[name] & files and any(name in used[other] for other in files)}
        if inside == files:
            return files
        files = inside
