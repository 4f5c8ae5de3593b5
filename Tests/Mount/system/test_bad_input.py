"""Bad input of every kind gives one clear sentence and the right exit code; nothing is lost, nothing left mounted."""

import os
import subprocess

import pytest
from instance import PATIENCE, FSMVP, MiB, Sim, mounts


def refuses(instance, *arguments, code=1, says=()):
    """`fsmvp run` ends by itself with one sentence."""
    done = instance.cli("run", *arguments, timeout=PATIENCE)
    lines = [line for line in done.err.strip().splitlines() if " info " not in line]
    assert done.code == code and done.out == "" and len(lines) == 1, done
    for word in [says] if isinstance(says, str) else says:
        assert word in lines[0], done
    assert str(instance.mount) not in mounts()


def test_no_credentials(make):
    instance = make(sim=None)
    refuses(instance, says=["client_id", "--demo"])


def test_wrong_credentials(sim, make):
    instance = make(FSMVP_CLIENT_SECRET="wrong").start()
    done = instance.cli("jobs")
    assert done.code == 5 and "client_secret" in done.err and "wrong" not in done.err
    assert instance.cli("stage", sim.add(1000), "--recipient", "x").code == 5
    assert instance.cli("status").code == 0


def test_unreachable_api(make):
    instance = make(FSMVP_API_BASE="http://127.0.0.1:9/v1").start()
    done = instance.cli("jobs")
    assert done.code == 5 and "127.0.0.1" in done.err, done
    assert instance.cli("stage", "a" * 24, "--recipient", "x").code == 5


def test_plain_http_to_another_host(make):
    refuses(make(FSMVP_API_BASE="http://example.com/v1"), code=2, says=["api_base", "https"])


@pytest.mark.parametrize("route", ["token", "jobs"])
def test_malformed_json(sim, run, route):
    sim.post("fault", {"kind": "malformed", "route": route, "count": 0})
    done = run.cli("jobs")
    assert done.code == 5 and len(done.err.strip().splitlines()) == 1, done
    sim.post("reset")
    assert run.cli("jobs").code == 0


def test_a_mount_point_that_is_missing_is_made(make):
    instance = make()
    instance.environment["FSMVP_MOUNTPOINT"] = str(instance.folder / "deep" / "er" / "mnt")
    instance.start()
    assert os.path.isdir(instance.folder / "deep" / "er" / "mnt" / "Staged")


def test_a_mount_point_with_something_in_it(make):
    instance = make()
    instance.mount.mkdir()
    (instance.mount / "mine.txt").write_text("keep")
    refuses(instance, says=[str(instance.mount), "empty"])
    assert (instance.mount / "mine.txt").read_text() == "keep"


def test_a_mount_point_that_is_a_file(make):
    instance = make()
    instance.mount.write_text("keep")
    refuses(instance, says=str(instance.mount))


def test_a_mount_point_that_is_mounted_already(sim, make):
    first = make().start()
    second = make()
    second.environment["FSMVP_MOUNTPOINT"] = str(first.mount)
    done = second.cli("run", timeout=PATIENCE)
    assert done.code == 1 and str(first.mount) in done.err, done
    assert first.cli("status").code == 0 and "Staged" in os.listdir(first.mount)


def test_a_mount_point_that_is_somebody_elses(make):
    instance = make()
    instance.mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", instance.mount], check=True)
    try:
        done = instance.cli("run", timeout=PATIENCE)
        assert done.code == 1 and "mount" in done.err, done
        assert str(instance.mount) in mounts()
    finally:
        subprocess.run(["umount", instance.mount], check=True)


@pytest.mark.parametrize("variable", ["FSMVP_CACHE_DIR", "FSMVP_TEMP_DIR", "FSMVP_STATE_DIR"])
def test_a_folder_inside_a_fuse_mount(make, variable):
    first = make().start()
    second = make()
    second.environment[variable] = str(first.mount / "Staged")
    refuses(second, says=["FUSE", str(first.mount)])


def test_a_runtime_path_too_long_for_a_socket(make):
    instance = make()
    instance.environment["FSMVP_RUNTIME_DIR"] = str(instance.folder / ("x" * 90) / ("y" * 90))
    refuses(instance, says=["runtime", "long"])


def namespace(instance, prepare):
    """Runs `fsmvp run` in a mount namespace of its own that `prepare` changed."""
    instance.wrapper = ["unshare", "-m", "bash", "-c", f'{prepare}; exec "$@"', "bash"]


def wrapped(instance):
    return subprocess.run(
        [*instance.wrapper, FSMVP, "run"], env=instance.environment, capture_output=True, text=True, timeout=PATIENCE
    )


def test_no_dev_fuse(make):
    instance = make()
    namespace(
        instance,
        "mount --bind /dev/null /dev/fuse && umount /dev/fuse; mount -t tmpfs none /dev && mknod /dev/null c 1 3",
    )
    done = wrapped(instance)
    assert done.returncode == 1 and "/dev/fuse" in done.stderr and "modprobe" in done.stderr, done
    assert str(instance.mount) not in mounts()


def test_no_fusermount3(make):
    instance = make()
    instance.folder.chmod(0o777)
    namespace(
        instance,
        "mkdir /tmp/dev.$$ && mount -t tmpfs none /tmp/dev.$$ && mknod -m 666 /tmp/dev.$$/fuse c 10 229 && mount --bind /tmp/dev.$$/fuse /dev/fuse"
        " && touch /tmp/dev.$$/none && for f in $(type -ap fusermount3); do mount --bind /tmp/dev.$$/none $f; done",
    )
    instance.wrapper[-2] = instance.wrapper[-2].replace(
        'exec "$@"', 'exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"'
    )
    done = wrapped(instance)
    assert done.returncode == 1 and "fusermount3" in done.stderr and "fuse3" in done.stderr, done
    subprocess.run("rmdir /tmp/dev.*", shell=True, check=False)


CONFIGS = {
    "a typo": ("client_id = 'x'\nmountpoint = = 3\n", ["2"]),
    "an unknown key": ("\nmontpoint = '/x'\n", ["2", "montpoint", "mountpoint"]),
    "a number out of range": ("max_tiles = -3\n", ["1", "max_tiles"]),
    "a wrong type": ("client_id = 7\n", ["1", "client_id"]),
    "a wrong choice": ("fetch_mode = 'sometimes'\n", ["1", "fetch_mode", "temp-file"]),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_a_config_with(make, what):
    text, says = CONFIGS[what]
    instance = make()
    config = instance.folder / "config.toml"
    config.write_text(text)
    refuses(instance, "--config", str(config), code=2, says=[str(config), *says])


def test_a_config_that_is_not_there(make):
    instance = make()
    refuses(instance, "--config", "/no/such/config.toml", code=2, says="/no/such/config.toml")


def test_the_config_file_gives_credentials(sim, make):
    instance = make(FSMVP_CLIENT_ID="", FSMVP_CLIENT_SECRET="")
    config = instance.folder / "config.toml"
    config.write_text("client_id = 'demo-client'\nclient_secret = 'demo-secret'\n")
    config.chmod(0o600)
    instance.start("--config", str(config))
    assert instance.cli("jobs").code == 0


def test_an_empty_file_is_said_to_be_empty(sim, run):
    done = run.cli("stage", sim.add(0, "nothing.mp4"), "--recipient", "x")
    assert done.code == 0 and os.stat(done.out.rstrip("\n")).st_size == 0


def test_a_job_with_several_outputs_names_them(make):
    run = make(sim=None)
    run.start("--demo")
    job = next(job for job in run.cli("jobs", "--limit", "100", "--json").json["jobs"] if len(job["outputs"]) > 1)
    done = run.cli("stage", job["id"], "--recipient", "x")
    assert done.code in (1, 2) and job["outputs"][0]["fileId"] in done.err, done


def test_the_service_dies_and_comes_back(make):
    sim = Sim()
    try:
        run = make(sim=sim).start()
        file = sim.add(MiB)
        path = run.stage(file, "x")
    finally:
        sim.close()
    assert run.cli("jobs").code == 5
    assert os.stat(path).st_size == MiB
    assert run.cli("staged").code == 0
