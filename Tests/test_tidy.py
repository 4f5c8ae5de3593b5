#!/usr/bin/env python3
"""Each check of tidy.py finds its fault in a repository that has that fault alone, and nothing in one that has none."""

import unittest

import tidy
import tidy_code

#: A repository without a fault.
GOOD = {
    "Makefile": "all: shim\nshim control:\n\ttrue\n",
    "Package.swift": 'module("Base/Core", []),\nmodule("Bytes/Store", ["Core"]),\n',
    "README.md": "# Title\n\nSee [the decision](docs/adr/0001-a-choice.md), [below](#some-words-more), `make all`, `fsmvp run --json`.\n\n## Some words, more\n\n```sh\nmake shim\n```\n",
    "CHANGELOG.md": "`make nothing`\n",
    "docs/adr/0001-a-choice.md": "# 1. A choice\n\n2026-01-01 · accepted\n\n**Context.** See (0001).\n",
    "docs/adr/README.md": "| [1](0001-a-choice.md) | A choice | accepted | `Range` |\n",
    "docs/SEMANTICS.md": "| `S-READ-1` | bytes are right | `test_bytes`, “a read past the end returns nothing” |\n",
    "docs/CLI.md": "`fsmvp run` and `fsmvp stop --json`\n",
    "docs/CONFIG.md": "| `min_free`, `proxy` | `FSMVP_PROXY` |\n",
    "docs/API.md": "| `GET /jobs/ID` | one job |\n",
    "Sources/Base/Core/StoreSettings.swift": (
        'struct StoreSettings: SettingGroup {\n  package let minFree = Setting.bytes(\n    "staged.min_free", "room")\n'
        '  let proxy = Setting.proxy("proxy", variable: "FSMVP_PROXY", "a proxy")\n}\n'
    ),
    "Sources/Base/Core/Route.swift": 'enum Route {\n  static let table = [\n    api("GET", "jobs/{id}"),\n  ]\n}\n',
    "docs/LOGGING.md": "| `store.failed` | warning | `cause`, `file` | Store | no bytes |\n| `step` | debug | `ms` | Store | a step |\n",
    "docs/TROUBLESHOOTING.md": "“the file cannot be read”\n",
    "Sources/Base/Core/LogEvent.swift": 'enum LogEvent: String {\n  case storeFailed = "store.failed"\n  case step\n}\n',
    "Sources/Base/Core/Sentence.swift": 'let sentence = "the file "\n  + "cannot be read: \\(error)"\n\nstruct Sentence {}\n',
    "Sources/Base/Core/Range.swift": "struct Range {}\n// docs/adr/0001 and S-READ-1\n",
    "Sources/Bytes/Store/Plan.swift": (
        'import Core\nstruct Plan {\n  func fail() {\n    Log.warning(\n      .storeFailed, ["file": name, "cause": "a \\(f("b")), c"])\n    said(.step)\n  }\n'
        '  func said(_ event: LogEvent) { Log.debug(event, ["ms": 1]) }\n}\n'
    ),
    "Sources/Bytes/Store/Plan+Bytes.swift": "import Core\nextension Plan { var range: Range { Range() } }\n",
    "Sources/Bytes/Store/Verb.swift": 'enum Verb: String {\n  case run, stop\n}\nlet json = FlagSyntax(name: "json")\n',
    "shim/src/shim.h": '#include "fsmvp_wire.h"\n#include "life/life.h"\n',
    "shim/src/request/bell.c": '#include "request/request.h"\n\nvoid bell_ring(int bell)\n{\n\t(void)bell;\n}\n',
    "shim/src/request/ring.c": '#include "life/base.h"\n\nuint64_t ring_high;\nbool ring_free(struct ring *ring,\n\t       int row)\n{\n\tbell_ring(row);\n}\n',
    "shim/src/bytes/window.c": '#include "bytes/bytes.h"\n#include "life/base.h"\n',
    "Tests/Mount/reading/test_read.py": "def test_bytes(run):\n    pass\n",
    "Tests/Swift/Bytes/StoreTests/PlanTests.swift": '@Test(\n  "a read past the end returns nothing") func past() {}\n',
}

#: A change that makes a fault, and a part of the finding: file, text (None: not there), message.
FAULTS = [
    ("Sources/Base/Core/Range.swift", "struct Range {}\n// docs/adr/0009\n", "no decision 0009"),
    ("docs/adr/0001-a-choice.md", "# 1. A choice\n\n**Context.**\n", "date and status"),
    ("docs/adr/README.md", "| [1](0001-a-choice.md) | A choice | rejected | `Range` |\n", "a row has to begin with"),
    ("docs/adr/README.md", "| [1](0001-a-choice.md) | A choice | accepted | `Gone` |\n", "nothing is called Gone"),
    ("docs/adr/0001-a-choice.md", "# 2. A choice\n\n2026-01-01 · accepted\n", 'begin with "# 1. "'),
    ("docs/adr/0001-a-choice.md", "# 1. A choice\n\n2026-01-01 · accepted · amends 0008\n", "no decision 0008"),
    ("docs/SEMANTICS.md", "| `S-READ-1` | right | `test_gone` |\n", "“test_gone”, which does not exist"),
    ("docs/SEMANTICS.md", "| `S-READ-1` | right | “a sentence of no test” |\n", "which does not exist"),
    ("docs/SEMANTICS.md", "| `S-READ-1` | right | see above |\n", "names no test"),
    (
        "docs/SEMANTICS.md",
        "| `S-READ-1` | a | `test_bytes` |\n| `S-READ-1` | b | `test_bytes` |\n",
        "of line 1 already",
    ),
    ("docs/SEMANTICS.md", GOOD["docs/SEMANTICS.md"] + "| `S-read-1` | a | `test_bytes` |\n", "id looks like"),
    ("docs/SEMANTICS.md", GOOD["docs/SEMANTICS.md"] + "| EIO | read | `test_gone` |\n", "no test “test_gone”"),
    ("Tests/Mount/README.md", "# Tests\n", "no row for Tests/Mount/reading/test_read.py"),
    ("Tests/Mount/README.md", "| [test_read.py](reading/test_read.py) | any order | S-READ-1 | 3 s |\n", None),
    (
        "Tests/Mount/README.md",
        "| [test_read.py](reading/test_read.py) | any order | | 3 s |\n",
        "the promises of Tests/Mount/reading/test_read.py are S-READ-1",
    ),
    ("README.md", "The type `RangeMap`.\n", "nothing is called RangeMap"),
    ("README.md", "`Plan+Gone`\n", "no file is called Plan+Gone"),
    ("Sources/Base/Core/Range.swift", "struct Range {} // S-OPEN-9\n", "no promise S-OPEN-9"),
    ("README.md", "[gone](docs/GONE.md)\n", "leads to docs/GONE.md"),
    ("README.md", "[gone](docs/SEMANTICS.md#nothing)\n", "no heading #nothing"),
    ("README.md", "`Sources/Gone/Type.swift`\n", "there is no Sources/Gone/Type.swift"),
    ("README.md", "run `make nothing`\n", "no target nothing"),
    ("README.md", "```sh\nmake nothing\n```\n", "no target nothing"),
    ("README.md", "run `build/bin/fsmvp jump`\n", "no verb jump"),
    ("README.md", "    fsmvp run --fast\n", "the flag --fast"),
    ("docs/CLI.md", "`fsmvp run --json`\n", "what `fsmvp stop` does"),
    ("docs/CLI.md", "`fsmvp run`, `fsmvp stop`\n", "what `--json` does"),
    ("docs/CONFIG.md", "| `proxy` | `FSMVP_PROXY` |\n", "what `min_free` means"),
    ("docs/CONFIG.md", "| `min_free`, `proxy` | - |\n", "what `FSMVP_PROXY` means"),
    ("docs/API.md", "| `GET /jobs` | jobs |\n", "no row for `GET /jobs/ID`"),
    ("docs/TROUBLESHOOTING.md", "“the file is gone”\n", "no source says “the file is gone”"),
    ("docs/LOGGING.md", "| `step` | debug | `ms` | Store | a step |\n", "no row for the event store.failed"),
    (
        "docs/LOGGING.md",
        GOOD["docs/LOGGING.md"] + "| `gone` | info | - | Store | nothing |\n",
        "no source has the event gone",
    ),
    ("docs/LOGGING.md", GOOD["docs/LOGGING.md"].replace("warning", "error"), "the sources say"),
    ("docs/LOGGING.md", GOOD["docs/LOGGING.md"].replace("`cause`, ", ""), "the sources say"),
    ("Sources/Base/Core/Other.swift", "struct Range {}\n", "no type is called Other"),
    ("Sources/Bytes/Store/Sum+Bytes.swift", "extension Plan {}\n", "neither declares nor extends Sum"),
    ("Tests/Mount/reading/test_read.py", "def test_bytes(run):\n    pass\n" + "\n" * tidy_code.LONG, "split the file"),
    ("Sources/Base/Core/Range.swift", "/// What a range is.\nstruct Range {}\n" * 3, "comments begin with What"),
    ("Sources/Bytes/Store/Plan+Bytes.swift", "extension Plan {}\n", None),
    ("Sources/Bytes/Store/Plan+Bytes.swift", "import Core\nextension Plan {}\n", "the import of Core is not used"),
    ("Sources/Base/Core/Range.swift", f"struct Range {{}}\n// {'x' * tidy_code.WIDTH}\n", "columns are more than"),
    ("Sources/Base/Core/Range.swift", f'struct Range {{}}\nlet text = "{"x" * tidy_code.WIDTH}"\n', None),
    (
        "Package.swift",
        'module("Bytes/Core", []),\nmodule("Base/Store", ["Core"]),\n',
        "Store depends on Core: nothing of Base/ may",
    ),
    ("Package.swift", 'module("Base/Core", ["Wire"]),\nmodule("Bytes/Store", ["Core"]),\n', "Core declares Wire"),
    ("Package.swift", 'program(\n  "Bytes/Store",\n  [\n    "Core", "Wire",\n  ])', "Store declares Wire"),
    ("shim/src/bytes/window.c", '#include "request/request.h"\n', "may not include request/request.h"),
    ("shim/src/bytes/bytes.h", '#include "life/life.h"\n', "may not include life/life.h"),
    ("shim/src/life/base.h", '#include "life/life.h"\n', "may not include life/life.h"),
    (
        "shim/src/request/bell.c",
        "void bell_ring(int bell)\n{\n\tring_free(NULL, bell);\n}\n",
        "circle: request/bell.c, request/ring.c",
    ),
    (
        "shim/src/request/bell.c",
        "void bell_ring(int bell)\n{\n\tring_high = 1;\n}\n",
        "circle: request/bell.c, request/ring.c",
    ),
    (
        "shim/src/request/bell.c",
        'void bell_ring(int bell)\n{\n\tbell.ring_free("ring_free"); /* ring_free */\n}\n',
        None,
    ),
]


def findings(files):
    tree = tidy.Tree(files)
    for check in tidy.CHECKS:
        check(tree)
    return tree.findings


class Tidy(unittest.TestCase):
    def test_nothing_is_found_where_nothing_is_wrong(self):
        self.assertEqual(findings(GOOD), [])

    def test_each_fault_is_found_and_no_other(self):
        for name, text, message in FAULTS:
            with self.subTest(name=name, message=message):
                found = findings(GOOD | {name: text})
                self.assertEqual(len(found), 0 if message is None else 1, found)
                if message:
                    self.assertIn(message, found[0])

    def test_a_long_file_that_says_why_is_none(self):
        text = "# Long because it is a table.\n" + "\n" * tidy_code.LONG
        self.assertEqual(findings(GOOD | {"Tests/Mount/harness/table.py": text}), [])


if __name__ == "__main__":
    unittest.main()
