"""The environment a program is started in: limits of the shell, variables, streams. Each either makes no
difference, or is refused with one true sentence that names what to change. Nothing ends without a word, and nothing
hangs."""

import os
import pathlib
import signal
import subprocess

import pytest
from instance import FSMVP, PATIENCE, wait_until

SIZE = 300_000
#: EX_TEMPFAIL: the machine, or a limit, has too little of something.
SHORTAGE = 75


def shell(text):
    """A wrapper that does this before the program."""
    return ["bash", "-c", f'{text} && exec "$@"', "_"]


def serves(run, sim, file):
    """A browser's read is right, the command line answers, and it stops in order."""
    path = run.stage(file)
    with open(path, "rb") as stream:
        assert stream.read() == sim.bytes(file, "somebody")
    assert run.cli("status").code == 0
    assert run.stop() == 0


# Limits that are too low

#: The shell's command, the exit code, and what the one line says.
LIMITS = {
    "4 open files": ("ulimit -n 4", "ulimit -n"),
    "20 open files": ("ulimit -n 20", "ulimit -n"),
    "40 open files": ("ulimit -n 40", "ulimit -n"),
    "64 open files": ("ulimit -n 64", "ulimit -n"),
    "250 of 256 files open already": (
        'ulimit -n 256 && for n in $(seq 10 250); do eval "exec $n</dev/null"; done',
        "ulimit -n",
    ),
    "files of no byte": ("ulimit -f 0", "ulimit -f"),
    "files of 100 KiB": ("ulimit -f 100", "ulimit -f"),
    "no address space to speak of": ("ulimit -v 200000", "ulimit -v"),
}


@pytest.mark.parametrize("what", LIMITS)
def test_a_limit_that_is_too_low_is_named(sim, make, what):
    command, setting = LIMITS[what]
    run = make()
    run.wrapper = shell(command)
    done = subprocess.run(
        [*run.wrapper, FSMVP, "run"], env=run.environment, capture_output=True, text=True, timeout=PATIENCE
    )
    lines = done.stderr.splitlines()
    assert done.returncode == SHORTAGE and len(lines) == 1 and setting in lines[0], done
    assert not list(run.folder.glob("*/*")), "it left something behind"


ENOUGH = {
    "256 open files": shell("ulimit -n 256"),
    "1 GiB of address space": shell("ulimit -v 1048576"),
    "a small stack": shell("ulimit -s 256"),
    "no locked memory": shell("ulimit -l 0"),
    "no core files": shell("ulimit -c 0"),
    "the lowest priority": ["nice", "-n", "19", "ionice", "-c", "3"],
    "closed standard input": shell("exec 0<&-"),
    "SIGPIPE ignored": shell("trap '' PIPE"),
    "SIGXFSZ, SIGUSR1, SIGCHLD ignored": shell("trap '' XFSZ USR1 CHLD"),
}


def test_the_end_of_a_child_is_told_if_sigchld_was_ignored_by_the_starter(sim, make):
    run = make()
    run.wrapper = ENOUGH["SIGXFSZ, SIGUSR1, SIGCHLD ignored"]
    run.start()
    before = run.shim_pid()
    os.kill(before, signal.SIGKILL)
    shim = wait_until(
        lambda: (lambda shim: shim if shim["pid"] != before and shim.get("standbyPid") else None)(
            run.cli("status", "--json").json["shim"]
        ),
        what="a successor and a new standby",
    )
    assert run.says("shim.ended") and before not in (shim["pid"], shim["standbyPid"])
    assert run.cli("reload").code == 0
    serves(run, sim, sim.add(SIZE))
    assert "shim.left" not in run.log.read_text()


@pytest.mark.parametrize("what", ENOUGH)
def test_it_serves_under(sim, make, what):
    run = make()
    run.wrapper = ENOUGH[what]
    serves(run.start(), sim, sim.add(SIZE))


def test_a_verb_needs_hardly_any_descriptors_and_its_output_has_a_limit_of_its_own(sim, run, tmp_path):
    """A command line that cannot do its work says so; in a shell with less than that there is no shell."""
    for count in (8, 10, 12, 16, 24, 32):
        done = subprocess.run(
            [*shell(f"ulimit -n {count}"), FSMVP, "status"],
            env=run.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0 or (done.returncode == 1 and "ulimit -n" in done.stderr), (count, done)
    done = subprocess.run(
        [*shell(f'ulimit -f 0 && exec >"{tmp_path}/out"'), FSMVP, "status", "--json"],
        env=run.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 1 and "cannot be written: File too large" in done.stderr, done


# Variables

HOMES = ["a b", "a\nb", "ü", "a'\"$x", "a,b", "a\\b", "a%20b", "*"]


@pytest.mark.parametrize("name", HOMES, ids=[repr(name) for name in HOMES])
def test_any_home_will_do(sim, make, name):
    """All folders follow from it."""
    run = make()
    home = run.folder / name
    home.mkdir()
    for variable in (
        "FSMVP_RUNTIME_DIR",
        "FSMVP_STATE_DIR",
        "FSMVP_CACHE_DIR",
        "FSMVP_MOUNTPOINT",
        "XDG_STATE_HOME",
        "XDG_CACHE_HOME",
    ):
        run.environment.pop(variable, None)
    run.environment |= {"HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    run.start()
    run.mount = pathlib.Path(run.cli("status", "--json").json["mount"])
    assert home in run.mount.parents
    serves(run, sim, sim.add(SIZE))


VARIABLES = {
    "no HOME": {"HOME": None},
    "HOME is no absolute path": {"HOME": "here"},
    "no TERM": {"TERM": None},
    "a dumb TERM": {"TERM": "dumb"},
    "LANG=C": {"LANG": "C", "LC_ALL": "C"},
    "a language that is not installed": {"LANG": "xx_YY.UTF-8", "LC_ALL": "xx_YY.UTF-8"},
    "COLUMNS=0": {"COLUMNS": "0", "LINES": "0"},
    "COLUMNS=-5": {"COLUMNS": "-5", "LINES": "-5"},
    "COLUMNS=99999": {"COLUMNS": "99999", "LINES": "99999"},
    "no PATH": {"PATH": None},
}


@pytest.mark.parametrize("what", VARIABLES)
def test_a_variable_that_is_missing_or_odd_makes_no_difference(sim, make, what):
    run = make()
    for name, value in VARIABLES[what].items():
        if value is None:
            run.environment.pop(name, None)
        else:
            run.environment[name] = value
    run.start()
    file = sim.add(SIZE, "Ünïcode — film.mp4")
    path = run.stage(file)
    assert path.endswith("/Ünïcode — film.mp4")
    table = run.cli("staged")
    assert table.code == 0 and "Ünïcode" in table.out and "somebody" in table.out
    serves(run, sim, file)


#: What stands around a value that somebody copied, quoted twice, or wrote on another system; and whether the value is
#: found in it.
AROUND = {
    "blanks": "  {} ",
    "a line end": "{}\n",
    "a line end of another system": "{}\r\n",
    "double quotes": '"{}"',
    "single quotes": "'{}'",
    "quotes and blanks": ' "{}" ',
    "a mark of byte order": "\ufeff{}",
}

SETTINGS = {
    "FSMVP_FETCH_MODE": ("fetch_mode", "range-lru", "range-lru"),
    "FSMVP_MOUNTPOINT": ("mountpoint", "/some/where", "/some/where"),
    "FSMVP_CACHE_DIR": ("cache_dir", "/some/cache", "/some/cache"),
    "FSMVP_SHIM_TIMEOUT": ("shim_timeout", "7s", "7s"),
    "FSMVP_STANDBY": ("standby", "false", "false"),
    "FSMVP_LOG_LEVEL": ("log_level", "debug", "debug"),
    "FSMVP_API_BASE": ("api_base", "https://hub.example/v1", "https://hub.example/v1"),
    "FSMVP_CLIENT_ID": ("client_id", "demo-client", "demo-client"),
}


def configured(run, key, *arguments, **variables):
    done = run.cli("config", "--json", *arguments, **variables)
    assert done.code == 0, done
    return next(entry["value"] for entry in done.json if entry["key"] == key).strip('"')


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", SETTINGS)
def test_what_stands_around_a_value_is_no_part_of_it(make, name, around):
    key, value, shown = SETTINGS[name]
    found = configured(make(), key, **{name: AROUND[around].format(value)})
    # A folder's name may end in a blank.
    assert found == shown or (around == "blanks" and found == shown + " " and value.startswith("/")), found


def test_a_quoted_configuration_file_is_found(make):
    run = make()
    config = run.folder / "a b.toml"
    config.write_text("max_tiles = 7\n")
    assert configured(run, "max_tiles", FSMVP_CONFIG=f'"{config}"') == "7"


FILES = {
    "line ends of another system": b"client_id = 'demo-client'\r\nclient_secret = 'demo-secret'\r\nmax_tiles = 7\r\n",
    "a mark of byte order": b"\xef\xbb\xbfclient_id = 'demo-client'\nclient_secret = 'demo-secret'\nmax_tiles = 7\n",
    "both": b"\xef\xbb\xbfclient_id = 'demo-client'\r\nclient_secret = \"demo-secret\\n\"\r\nmax_tiles = 7\r\n",
    "no line end": b"client_id = ' demo-client '\nclient_secret = 'demo-secret'\nmax_tiles = 7",
}


@pytest.mark.parametrize("what", FILES)
def test_a_configuration_file_of_another_system_is_understood(sim, make, what):
    run = make(FSMVP_CLIENT_ID="", FSMVP_CLIENT_SECRET="")
    config = run.folder / "config.toml"
    config.write_bytes(FILES[what])
    config.chmod(0o600)
    assert configured(run, "max_tiles", "--config", str(config)) == "7"
    run.start("--config", str(config))
    assert run.cli("jobs").code == 0


# Folders


def refused(run, *says):
    """Ends with 1 and one line that says all of it."""
    done = subprocess.run(
        [*run.wrapper, FSMVP, "run"], env=run.environment, capture_output=True, text=True, timeout=PATIENCE
    )
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and len(lines) == 1 and all(word in lines[0] for word in says), done


def test_a_home_that_cannot_be_written_to_names_the_setting(make):
    run = make(HOME="/proc/nowhere")
    run.environment.pop("FSMVP_STATE_DIR")
    refused(run, "/proc/nowhere", "state_dir")


def test_a_runtime_folder_on_a_read_only_disk_names_the_setting(make):
    run = make()
    run.wrapper = ["unshare", "-m", "--propagation", "private", *shell(f"mount -t tmpfs -o ro none {run.runtime}")]
    run.runtime.mkdir()
    refused(run, str(run.runtime), "Read-only file system", "runtime_dir")


@pytest.mark.parametrize("arguments", [["run"], ["status"], ["help"]])
def test_without_proc_it_says_so(make, arguments):
    run = make()
    wrapper = ["unshare", "-m", "--propagation", "private", *shell("mount -t tmpfs none /proc")]
    done = subprocess.run(
        [*wrapper, FSMVP, *arguments], env=run.environment, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1 and "/proc is not mounted" in done.stderr and len(done.stderr.splitlines()) == 1, done


def test_a_temporary_folder_that_is_missing_names_the_setting_or_is_made(make):
    """The default of the runtime folder lies in it."""
    run = make(TMPDIR="/proc/nowhere")
    for variable in ("FSMVP_RUNTIME_DIR", "XDG_RUNTIME_DIR"):
        run.environment.pop(variable, None)
    refused(run, "/proc/nowhere", "runtime_dir")
