"""Fails if more than two files write the same stored variable of a type.

    check_writers.py [--list N] [FOLDER]

A write is an assignment, an operator that assigns, `&variable`, and a call of a mutating method, on the variable
itself or on a value inside it (`plan.version.judge(…)` writes `version` of the plan and `plan` of its owner). A call
through a reference to an object is none: what the object's methods write is its own. Nor is the value that an `init`
gives it. `--list N` shows every variable that at least N files write.

The sources are read without the compiler, so some writes are not seen:
- through a local variable, a closure's parameter or a function's result whose type is not written down, unless only
  one type has a variable of that name;
- by methods of the standard library beyond those in MUTATORS, and inside string interpolations;
- by key paths, `inout` arguments of another name, and code in macros.
A method that is mutating in one type is not taken for one of another type, and a local variable of the same name hides
the type's.
"""

# Long because the reader of the sources and what it counts cannot be understood apart.
import re
import sys
from collections import defaultdict
from pathlib import Path

LIMIT = 2
MUTATORS = set(
    "append insert remove removeAll removeFirst removeLast removeSubrange removeValue popFirst popLast updateValue merge sort reverse shuffle swapAt "
    "formUnion formIntersection subtract formSymmetricDifference update reserveCapacity replaceSubrange toggle negate next".split()
)
BUILT_IN = "Array Dictionary Set String Data Bool Int".split()
TYPE = re.compile(r"\b(struct|class|actor|enum|extension|protocol)\s+([A-Z][\w.]*)")
FUNCTION = re.compile(
    r"\b(?:func\s+([\w]+|[^\s(]+)|(init)[?!]?|(deinit)|(subscript)|(?<!\()\b(get|set|didSet|willSet|_modify)\b)"
)
STORED = re.compile(r"\b(?:var|let)\s+(\w+)\s*(?::\s*([^={\n]+))?\s*(=)?")
OPERATOR = re.compile(r"\s*(?:=(?!=)|[-+*/%&|^]=|&[-+*]=|<<=|>>=|&<<=|&>>=|\|=)")
CHAIN = re.compile(r"(?<![\w.])(&?)((?:self|[a-z_$]\w*)(?:(?:[?!]|\[\])*\.[a-zA-Z_]\w*)*)((?:[?!]|\[\])*)")


def plain(text):
    """The text with comments and the contents of strings as blanks, so that offsets and lines stay."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())

    pattern = r'//[^\n]*|/\*.*?\*/|#"""(?:.|\n)*?"""#|"""(?:\\.|(?!""").|\n)*?"""|#".*?"#|"(?:\\\((?:[^()"]|\([^()]*\)|"[^"\n]*")*\)|\\.|[^"\\\n])*"'
    return re.sub(pattern, blank, text, flags=re.S)


def matching(text, start, pair="{}"):
    """The offset behind the bracket that closes the one at `start`."""
    depth = 0
    for offset in range(start, len(text)):
        if text[offset] == pair[0]:
            depth += 1
        elif text[offset] == pair[1]:
            depth -= 1
            if depth == 0:
                return offset + 1
    return len(text)


def element(name):
    """The type of what a subscript or an unwrapping of the type gives."""
    name = name.strip()
    if name.endswith(("?", "!")):
        return element(name[:-1]) if name[:-1].startswith("[") else name[:-1]
    if name.startswith("[") and name.endswith("]"):
        depth = 0
        for offset, sign in enumerate(name[1:-1], 1):
            depth += (sign in "[(<") - (sign in "])>")
            if sign == ":" and depth == 0:
                return name[offset + 1 : -1].strip()
        return name[1:-1].strip()
    return name


def module_of(path):
    """Sources/GROUP/MODULE/… has its module in the second folder."""
    return path.parts[1]


class Type:
    def __init__(self, module, name):
        self.module, self.name = module, name
        self.is_object = False
        self.variables = {}
        self.computed = {}
        self.mutating = set()
        self.writers = defaultdict(lambda: defaultdict(list))


class Sources:
    def __init__(self, root, files):
        """`files`: the texts of the Swift files in `root`."""
        self.types = {}
        self.by_name = defaultdict(list)
        self.bodies = []
        texts = {path: plain(text) for path, text in files.items()}
        # An extension may come before its type.
        for self.knows_types in (False, True):
            for path, text in texts.items():
                self.declare(path, module_of(path.relative_to(root)), text, 0, len(text), None)
        for body in self.bodies:
            self.find_writes(*body)

    def type(self, module, name):
        key = (module, name)
        if key not in self.types:
            self.types[key] = Type(module, name)
            self.by_name[name.split(".")[-1]].append(self.types[key])
        return self.types[key]

    def resolve(self, module, name, inside=None):
        """The type of that name as it is known inside another; nil if it is none of ours, or several are."""
        name = re.sub(r"^(any|some|borrowing|inout|consuming|isolated|@\w+)\s+", "", name.strip()).strip("()?! ")
        name = re.sub(r"<.*", "", name)
        scope = inside.name if inside else ""
        while scope:
            if (module, scope + "." + name) in self.types:
                return self.types[module, scope + "." + name]
            scope = scope.rpartition(".")[0]
        if (module, name) in self.types:
            return self.types[module, name]
        found = [one for one in self.by_name.get(name.split(".")[-1], []) if one.name == name]
        return found[0] if len(found) == 1 else None

    def declare(self, path, module, text, start, end, owner):
        """Takes the types, variables and functions of one scope."""
        offset = start
        pattern = re.compile(
            TYPE.pattern + "|" + STORED.pattern.replace("(", "(?:", 0) + "|" + FUNCTION.pattern + r"|\{"
        )
        while offset < end:
            match = pattern.search(text, offset, end)
            if not match:
                return
            kind = match.group(1)
            if kind:
                opening = text.find("{", match.end(), end)
                if opening < 0 or (kind == "class" and re.match(r"class\s+(func|var)", match.group())):
                    offset = match.end()
                    continue
                name = match.group(2)
                if kind == "extension":
                    found = self.resolve(module, name) if self.knows_types else None
                    found = found or Type(module, name)
                else:
                    found = self.type(module, f"{owner.name}.{name}" if owner else name)
                    found.is_object |= kind in ("class", "actor")
                    if kind == "protocol":
                        found.is_object |= "AnyObject" in text[match.end() : opening]
                close = matching(text, opening)
                self.declare(path, module, text, opening + 1, close - 1, found)
                offset = close
            elif not self.knows_types:
                offset = matching(text, match.end() - 1) if match.group() == "{" else match.end()
            elif match.group(3):
                offset = self.variable(path, module, text, match, end, owner)
            elif match.group() == "{":
                offset = matching(text, match.start())
            else:
                offset = self.function(path, module, text, match, end, owner)

    def variable(self, path, module, text, match, end, owner):
        name, written = match.group(3), (match.group(4) or "").strip()
        offset = match.end()
        is_computed = False
        if match.group(5):
            made = re.match(r"\s*([A-Z][\w.]*)\s*[.(]", text[offset:])
            if not written and made:
                written = re.sub(r"\.[a-z]\w*$", "", made.group(1))
            line = re.compile(r"[\n{;]").search(text, offset)
            offset = line.start() if line else end
        opening = re.compile(r"[ \t]*\{").match(text, offset)
        if opening:
            inside = text[opening.end() :].lstrip()
            is_computed = not match.group(5) and not inside.startswith(("didSet", "willSet"))
            close = matching(text, opening.end() - 1)
            if owner:
                self.bodies.append((path, module, owner, text, opening.end() - 1, close, ""))
            offset = close
        if owner:
            if is_computed or match.group().startswith("let"):
                owner.computed[name] = written
            else:
                owner.variables.setdefault(name, written)
        return offset

    def function(self, path, module, text, match, end, owner):
        opening = re.compile(r"[({]").search(text, match.end(), end)
        if not opening:
            return match.end()
        offset = opening.start()
        if text[offset] == "(":
            offset = matching(text, offset, "()")
        head = re.compile(r"[^{}\n]*(?:\n\s*(?:where|async|throws|->)[^{}\n]*)*").match(text, offset)
        brace = head.end()
        line = text.rfind("\n", 0, match.start()) + 1
        if owner and re.search(r"\bmutating\b", text[line : match.start()]) and match.group(6):
            owner.mutating.add(match.group(6))
        if brace >= end or text[brace] != "{":
            return max(offset, match.end())
        close = matching(text, brace)
        if owner:
            self.bodies.append((path, module, owner, text, brace, close, text[match.start() : brace]))
        return close

    def find_writes(self, path, module, owner, text, start, close, head):
        is_init = bool(re.match(r"(convenience )?init\b", head))
        # Subscripts as "[]", so that a chain is one word.
        body = text[start:close]
        places = {}
        flat, kept, depth = [], [], 0
        for offset, sign in enumerate(body):
            follows = offset > 0 and (body[offset - 1].isalnum() or body[offset - 1] in "_]?!")
            if sign == "[" and (depth or follows):
                depth += 1
                if depth == 1:
                    flat.append("[]")
                    kept += [offset, offset]
                continue
            if sign == "]" and depth:
                depth -= 1
                continue
            if not depth:
                flat.append(sign)
                kept.append(offset)
        flat = "".join(flat)
        locals_ = {
            name: kind
            for name, kind in re.findall(r"(\w+)\s*:\s*((?:inout\s+|any\s+)?\[?[A-Z][\w.:\s\[\]]*[?]?)", head)
        }
        for names in re.findall(r"\b(?:let|var)\s+\(([^)]*)\)", flat):
            locals_.update(dict.fromkeys(re.findall(r"\w+", names), ""))
        for name, kind, made in re.findall(
            r"\b(?:let|var)\s+(\w+)(?:\s*:\s*([\w.\[\]: ?]+))?(?:\s*=\s*([A-Z][\w.]*)\()?", flat
        ):
            locals_[name] = kind or made
        for name, chain in re.findall(
            r"\b(?:let|var)\s+(\w+)\s*=\s*((?:self|[a-z]\w*)(?:(?:[?!]|\[\])*\.\w+)*(?:[?!]|\[\])*)\s*(?=[,\n{;]|else)",
            flat,
        ):
            others = {other: kind for other, kind in locals_.items() if other != name}
            locals_[name] = self.kind(module, owner, chain, others)
        for name in re.findall(r"\bfor\s+(?:case\s+let\s+)?(\w+)\??\s+in\b", flat):
            locals_[name] = ""
        # `if let x` is the type's own x.
        for name in re.findall(r"\b(?:if|guard|while)\s[^{}\n]*?\blet\s+(\w+)\s*(?=,|\{|else)", flat):
            locals_.pop(name, None)
        for match in CHAIN.finditer(flat):
            reference, chain, tail = match.groups()
            after = flat[match.end() :]
            is_assigned = bool(OPERATOR.match(after)) and not re.search(
                r"\b(let|var)\s+$|[,(]\s*$", flat[: match.start()]
            )
            is_call = after.startswith(("(", " {"))
            if not (reference or is_assigned or is_call):
                continue
            # A value that a variable begins with is none that is written later.
            if is_init and is_assigned and re.fullmatch(r"(self\.)?\w+", chain):
                continue
            line = text.count("\n", 0, start + kept[match.start()]) + 1
            self.follow(path, module, owner, chain, locals_, line, is_call and not reference)

    def kind(self, module, owner, chain, locals_):
        """The type of what a chain of variables gives; "" if it is not known."""
        current, kind = owner, ""
        for index, (name, marks) in enumerate(re.findall(r"([\w$]+)((?:[?!]|\[\])*)", chain)):
            if index == 0 and name == "self":
                continue
            if index == 0 and name in locals_:
                kind = locals_[name]
            elif current is None:
                return ""
            else:
                kind = current.variables.get(name, current.computed.get(name, ""))
            kind = element(kind) if marks else kind
            bare = kind.strip().rstrip("?!")
            current = self.resolve(module, bare, current or owner) if bare and not bare.startswith("[") else None
        return kind.strip().rstrip("?!")

    def follow(self, path, module, owner, chain, locals_, line, is_call):
        parts = re.findall(r"([\w$]+)((?:[?!]|\[\])*)", chain)
        method = parts.pop()[0] if is_call else None
        if not parts:
            return
        first = parts[0][0]
        current, written, kind = owner, [], ""
        if first == "self":
            parts = parts[1:]
            if owner.is_object is False and not parts and method:
                return
        elif first in locals_:
            kind = locals_[first]
            for _ in range(parts[0][1].count("[]")):
                kind = element(kind)
            current = self.resolve(module, kind, owner) if kind else None
            parts = parts[1:]
        elif first not in owner.variables and first not in owner.computed:
            return
        for index, (name, marks) in enumerate(parts):
            if current is None and kind:
                return
            if current is None:
                # Its type is not known: by the name of the variable, if only one type of this module has it.
                having = [one for one in self.types.values() if one.module == module and name in one.variables]
                if len(having) != 1:
                    return
                current = having[0]
            if current.is_object:
                written = []
            kind = current.variables.get(name)
            if kind is None:
                kind = current.computed.get(name)
                if kind is None:
                    return
            else:
                written.append((current, name))
            if "[]" in marks or "?" in marks or "!" in marks:
                kind = element(kind) if kind else ""
            bare = kind.rstrip("?!")
            current = self.resolve(module, bare, current) if bare and not bare.startswith("[") else None
        if method:
            if current and current.is_object:
                return
            is_ours = current and method in current.mutating
            is_built_in = current is None and method in MUTATORS and written
            if not (is_ours or is_built_in):
                return
        for type, name in written:
            type.writers[name][path].append(line)

    def crowded(self, least):
        for type in self.types.values():
            for name, files in type.writers.items():
                if len(files) >= least:
                    yield type, name, files


SAMPLE = {
    "Part.swift": """
        struct Part {
          private(set) var count = 0
          var isEmpty: Bool { count == 0 }
          mutating func grow() { count += 1 }
          func look() -> Int { count }
        }
        final class Object { var part = Part(); func grow() { part.grow() } }
        struct Plan {
          var part = Part(); var parts: [Int: Part] = [:]; var object = Object(); var own = 0; private(set) var read = 0
        }
        """,
    "Plan+One.swift": """
        extension Plan {
          mutating func one() { part.grow(); parts[1]?.grow(); object.grow(); own = 1; _ = part.look() }
          func readers(_ count: Int) -> Bool { var own = own; own += count; return part.isEmpty && read == 1 }
        }
        """,
    "Plan+Two.swift": """
        extension Plan {
          mutating func two() {
            self.part = Part(); parts[2] = nil; object.part.grow(); self.own += 1; let other = 3; _ = other == own
          }
        }
        """,
    "Plan+Three.swift": """
        extension Plan {
          mutating func three() { swap(&part, &self.part); parts.removeAll(); if let object { object.part = Part() } }
        }
        final class Owner {
          let plan: Object
          var mine = Plan()
          func four() { mine.own = 4; // own = 5
            plan.grow() }
        }
        """,
}
FOUND = {("Plan", "part"), ("Plan", "parts"), ("Plan", "own"), ("Object", "part")}


def check_itself():
    sources = Sources(Path(), {Path("Sample/Sample") / name: text for name, text in SAMPLE.items()})
    found = {(type.name, name) for type, name, _ in sources.crowded(LIMIT + 1)}
    if found != FOUND:
        sys.exit(f"check_writers: of its own sample it finds {sorted(found)} instead of {sorted(FOUND)}")


def main():
    check_itself()
    arguments = sys.argv[1:]
    least = LIMIT + 1
    if arguments[:1] == ["--list"]:
        least, arguments = int(arguments[1]), arguments[2:]
    root = Path(arguments[0] if arguments else "Sources")
    files = {path: path.read_text() for path in sorted(root.rglob("*.swift"))}
    found = sorted(Sources(root, files).crowded(least), key=lambda one: (one[0].module, one[0].name, one[1]))
    for type, name, files in found:
        places = ", ".join(f"{path.name}:{lines[0]}" for path, lines in sorted(files.items()))
        print(f"{type.module}: {type.name}.{name} is written by {len(files)} files: {places}")
    if found and least > LIMIT:
        print(
            f"check_writers: {len(found)} variables have more than {LIMIT} files that write them; give each one owner with methods"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
