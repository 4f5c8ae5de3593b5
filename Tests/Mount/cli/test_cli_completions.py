"""Shell completions and manual pages, in the real shells and by the real man."""

import os
import re
import subprocess

import pytest
import terminal
from desktop import TILE
from instance import PATIENCE, FSMVP, ROOT

VERBS = {
    "run", "ui", "jobs", "stage", "staged", "unstage", "pin", "unpin", "status", "trace", "shim", "reload", "stop", "cache", "config",
    "completions", "man", "version", "help",
}  # fmt: skip


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """The three scripts, named as `make install` names them."""
    folder = tmp_path_factory.mktemp("completions")
    for shell, name in (("bash", "fsmvp"), ("zsh", "_fsmvp"), ("fish", "fsmvp.fish")):
        done = subprocess.run([FSMVP, "completions", shell], capture_output=True, text=True, check=True)
        (folder / name).write_text(done.stdout)
    return folder


class Bash:
    def __init__(self, scripts, environment, folder):
        self.script, self.environment, self.folder = scripts / "fsmvp", environment, folder

    def offers(self, line):
        """The candidates at the end of the line: bash's own splitting, its breaks at `=` included."""
        words = [part for word in line.split(" ") for part in re.split("(=)", word) if part or part == word]
        if line.endswith("="):
            words.append("")
        quoted = " ".join(f"'{word}'" for word in words)
        function = "_fsmvp_tile" if words[0].endswith("-tile") else "_fsmvp"
        text = (
            f"source {self.script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; {function} fsmvp; "
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-uc", text],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return {line for line in done.stdout.splitlines() if line}


class Fish:
    def __init__(self, scripts, environment, folder):
        self.script, self.environment, self.folder = scripts / "fsmvp.fish", environment, folder

    def offers(self, line):
        text = f'source {self.script}; complete -C"{line}"'
        done = subprocess.run(
            ["fish", "--no-config", "-c", text],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        # A word and, behind a tab, what it is. A value that has its flag before it comes with it.
        return {re.sub("^--[a-z-]+=", "", line.split("\t")[0]) for line in done.stdout.splitlines()}


class Zsh:
    """On a terminal, as completion has no other form there: each match comes between marks of ours."""

    SETUP = r"""
PROMPT='ready> '; setopt nobeep; unsetopt list_beep zle_bracketed_paste; LISTMAX=10000
fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D
zstyle ':completion:*' completer _complete
typeset -gA seen
# All that is added, by whatever function.
compadd() {
  local -a found; local -i given
  if [[ ${@[(I)-(O|A|D)]} -gt 0 ]]; then builtin compadd "$@"; return; fi
  builtin compadd -O found "$@"
  (( $#found )) && print -rl -- $found >> %s
  builtin compadd "$@"
}
bindkey '^I' complete-word
print set''up
"""

    def __init__(self, scripts, environment, folder):
        self.scripts, self.environment, self.folder = scripts, environment, folder

    def offers(self, line):
        found = self.folder / "found"
        found.unlink(missing_ok=True)
        (self.folder / "setup").write_text(self.SETUP % (self.scripts, found))
        shell = terminal.Terminal(["zsh", "-f", "-i"], self.environment | {"TERM": "xterm", "PWD": str(self.folder)})
        try:
            shell.type(f"cd {self.folder}; source ./setup\n")
            shell.wait(lambda: b"setup\r" in shell.bytes.split(b"source ./setup", 1)[-1], what="set up")
            shell.wait(lambda: b"ready> " in shell.bytes.rsplit(b"setup", 1)[-1], what="the prompt")
            shell.type(line + "\t")
            # The next prompt's line is typed to once the completion is done.
            shell.type("\x15print do''ne\n")
            shell.wait(lambda: b"done" in shell.bytes, what="done")
        finally:
            shell.close()
        return {line for line in found.read_text().splitlines() if line} if found.exists() else set()


@pytest.fixture(params=[Bash, Zsh, Fish], ids=["bash", "zsh", "fish"])
def shell(request, scripts, run, tmp_path):
    (tmp_path / "some.toml").write_text("")
    (tmp_path / "a folder").mkdir()
    # The program as its users have it: in the PATH.
    environment = run.environment | {"PATH": f"{os.path.dirname(FSMVP)}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    return request.param(scripts, environment, tmp_path)


def test_verbs_flags_and_values_are_offered(shell):
    assert shell.offers("fsmvp ") >= VERBS
    assert shell.offers("fsmvp sta") == {"stage", "staged", "status"}
    assert shell.offers("fsmvp --config some.toml unst") == {"unstage"}
    assert {"--search", "--start", "--limit", "--table", "--json", "--config", "--help"} <= shell.offers(
        "fsmvp jobs --"
    )
    assert shell.offers("fsmvp stage --ti") == {"--tile"}
    # A word that is a verb's name, where it is none.
    assert "--tile" in shell.offers("fsmvp stage pin --")
    assert shell.offers("fsmvp shim ") == {"restart", "kill"}
    assert shell.offers("fsmvp completions f") == {"fish"}
    assert shell.offers("fsmvp help shi") == {"shim"}
    assert shell.offers("fsmvp jobs --search ") == set()


def test_files_and_folders_are_offered_where_they_are_meant(shell):
    offered = {word.rstrip("/") for word in shell.offers("fsmvp status --config so")}
    assert offered == {"some.toml"}
    assert {word.rstrip("/") for word in shell.offers("fsmvp --config so")} == {"some.toml"}
    assert {word.replace("\\", "").rstrip("/") for word in shell.offers("fsmvp run --mountpoint a")} == {"a folder"}
    assert shell.offers("fsmvp run --mountpoint so") == set()


def test_flags_with_an_equals_sign(shell):
    assert {word.rstrip("/") for word in shell.offers("fsmvp status --config=so")} == {"some.toml"}
    assert shell.offers("fsmvp --config=some.toml unst") == {"unstage"}


def test_staged_items_and_recipients_are_offered(shell, sim, run):
    items = [run.cli("stage", sim.add(1000), "--recipient", tag, "--json").json for tag in ("Ann", "Bob: the 2nd")]
    ids = {item["id"] for item in items}
    for verb in ("unstage", "pin", "unpin"):
        assert ids <= shell.offers(f"fsmvp {verb} ")
    assert shell.offers(f"fsmvp pin {items[0]['id'][:-1]}") == {items[0]["id"]}
    assert ids <= shell.offers("fsmvp-tile ")
    assert {word.replace("\\", "") for word in shell.offers("fsmvp stage x --recipient ")} == {"Ann", "Bob: the 2nd"}


def test_without_a_control_plane_nothing_is_said(shell, run):
    run.stop()
    assert not [word for word in shell.offers("fsmvp pin x") if "fsmvp" in word]
    for what in ("items", "recipients"):
        done = run.cli("completions", what)
        assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.parametrize("name", ["fsmvp", "_fsmvp", "fsmvp.fish"])
def test_scripts_parse(scripts, name):
    shell = {"fsmvp": ["bash", "-n"], "_fsmvp": ["zsh", "-n"], "fsmvp.fish": ["fish", "--no-execute"]}[name]
    done = subprocess.run([*shell, scripts / name], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["fsmvp", "fsmvp-tile"])
def test_manual_pages_are_what_man_wants(name, tmp_path):
    page = tmp_path / f"{name}.1"
    page.write_bytes(subprocess.run([FSMVP, "man", name], capture_output=True, check=True).stdout)
    assert page.read_bytes().isascii()
    # A single language and width, whatever the machine's.
    environment = os.environ | {"LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFOPT": "-ww"}
    done = subprocess.run(["man", "--warnings=w", "-l", page], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    text = re.sub(".\b", "", done.stdout)
    assert f"{name} - " in text and max(map(len, text.splitlines())) <= 80
    if name == "fsmvp":
        for verb in VERBS:
            assert f"\n   {verb}\n" in text, verb
        # Hyphens that can be pasted.
        assert "--demo-without-credentials" in text and "FSMVP_RUNTIME_DIR" in text


def test_the_tile_and_its_manual_page_say_the_same(scripts):
    said = set(
        re.findall(
            r"^  (--[a-z-]+)", subprocess.run([TILE, "--help"], capture_output=True, text=True, check=True).stdout, re.M
        )
    )
    manual = subprocess.run([FSMVP, "man", "fsmvp-tile"], capture_output=True, text=True, check=True).stdout.replace(
        "\\-", "-"
    )
    assert said and said == set(re.findall(r'^\.B "(--[a-z-]+)', manual, re.M))
    for name in ("fsmvp", "_fsmvp"):
        assert all(flag in (scripts / name).read_text() for flag in said)


def test_installed_files_are_where_their_readers_look(tmp_path):
    """`make install` into a folder, without building anything."""
    target = tmp_path / "root"
    done = subprocess.run(
        [
            "make",
            "-s",
            "-o",
            "all",
            "install-texts",
            f"DESTDIR={target}",
            "PREFIX=/usr",
            f"BIN={os.path.dirname(FSMVP)}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    share = target / "usr/share"
    for path in (
        "bash-completion/completions/fsmvp", "bash-completion/completions/fsmvp-tile", "zsh/site-functions/_fsmvp",
        "fish/vendor_completions.d/fsmvp.fish", "fish/vendor_completions.d/fsmvp-tile.fish", "man/man1/fsmvp.1", "man/man1/fsmvp-tile.1",
    ):  # fmt: skip
        assert (share / path).exists() and (share / path).read_text(), path
    found = subprocess.run(["man", "-M", share / "man", "-w", "fsmvp"], capture_output=True, text=True)
    assert found.stdout.strip() == str(share / "man/man1/fsmvp.1")
