"""The files that tidy.py checks."""

import pathlib
import posixpath

CODE = {".swift", ".c", ".h", ".cpp", ".py", ".js", ".css"}
#: Everything that is read; what was built and what tools keep is not.
TOPS = ["Sources", "shim", "Tests", "bench", "docs", "packaging", ".ci"]
#: It tells of commands and files as they were at the time.
HISTORY = "CHANGELOG.md"


class Tree:
    """The files of the repository, read once, and what was found in them."""

    def __init__(self, text, others=()):
        """`text`: the files that are read, by name. `others`: names of files that are only there."""
        self.text = text
        self.findings, self.notes = [], []
        self.paths = {"."}
        for name in [*text, *others]:
            self.paths.update([name, *(folder.as_posix() for folder in pathlib.PurePosixPath(name).parents)])

    @classmethod
    def read(cls, root):
        paths = [path for path in root.iterdir() if path.is_file()]
        for top in TOPS:
            paths += [path for path in (root / top).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        text, others = {}, []
        for path in sorted(paths):
            name = path.relative_to(root).as_posix()
            # The tests of the checks hold bad samples of everything.
            if is_text(path) and name != "Tests/test_tidy.py":
                text[name] = path.read_text(errors="replace")
            else:
                others.append(name)
        return cls(text, others)

    def has(self, path):
        return posixpath.normpath(path) in self.paths

    def find(self, name, line, message):
        self.findings.append(f"{name}:{line}: {message}" if line else f"{name}: {message}")

    def note(self, message):
        self.notes.append(message)

    def named(self, *suffixes, under=""):
        return {
            name: text
            for name, text in self.text.items()
            if name.startswith(under) and pathlib.PurePath(name).suffix in suffixes
        }

    def documents(self):
        return {name: text for name, text in self.named(".md").items() if name != HISTORY}


def is_text(path):
    return path.suffix in CODE | {".md", ".json", ".html", ".service", ".desktop", ".modulemap"} or path.name in (
        "Makefile",
        "run",
        ".clang-format",
    )


def line_of(text, at):
    return text.count("\n", 0, at) + 1
