"""The traces of a running instance that other processes of the same user can read."""

from instance import MiB, descriptors_of

SECRETS = {
    "https_proxy": "http://jane:pa55word@127.0.0.1:9",
    "ALL_PROXY": "jane:pa55word@127.0.0.1:9",
    "GITHUB_TOKEN": "pa55word-token",
    "AWS_SECRET_ACCESS_KEY": "pa55word-key",
}


def readable(pid):
    """All that /proc shows of how a process was started."""
    return b"".join(open(f"/proc/{pid}/{name}", "rb").read() for name in ("environ", "cmdline"))


def assert_no_secret(run):
    status = run.cli("status", "--json").json
    for pid in (status["pid"], status["shim"]["pid"], status["shim"].get("standbyPid")):
        if pid:
            shown = readable(pid)
            assert b"demo-secret" not in shown and b"pa55word" not in shown, pid
            assert not [target for target in descriptors_of(pid).values() if "fsmvp-secrets" in target]
    return status


def test_no_secret_stays_in_the_environment_of_any_process_and_a_reload_hands_it_on(sim, make):
    run = make(**SECRETS)
    run.start()
    pid = assert_no_secret(run)["pid"]
    for count in (1, 2):
        done = run.cli("reload")
        assert done.code == 0, done
        status = assert_no_secret(run)
        assert status["pid"] == pid and status["reload"]["count"] == count
        # The next image has the credentials: a token and a link are got with them.
        file = sim.add(MiB)
        with open(run.stage(file, "tag"), "rb") as stream:
            assert stream.read() == sim.bytes(file, "tag")
