"""Before there are credentials: the page that shows how to set them, and the way from there to the first job."""

import pytest
from control_api import WebAPI, open_web, unix
from instance import MiB


@pytest.fixture
def fresh(sim, make):
    """An instance as a new user has it: no credentials anywhere, and of the environment only what names its folders
    and the service."""

    def fresh(**environment):
        run = make(**environment)
        for name in ("FSMVP_CLIENT_ID", "FSMVP_CLIENT_SECRET"):
            run.environment.pop(name, None)
        return run

    return fresh


CREDENTIALS = 'client_id = "demo-client"\nclient_secret = "demo-secret"\n'


def write(run, text):
    config = run.folder / ".fuse-stream-mvp" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text(text)
    config.chmod(0o600)
    return config


def test_without_credentials_and_without_a_page_it_does_not_start_and_says_what_would(fresh):
    for environment in ({}, {"FSMVP_WEB": "false"}):
        done = fresh(**environment).cli("run", timeout=20)
        assert done.code == 1 and done.out == "" and len(done.err.strip().splitlines()) == 1, done
        for word in ("client_id", "client_secret", "--demo", "web = true"):
            assert word in done.err, done


def test_from_no_credentials_to_a_first_read(sim, fresh):
    run = fresh()
    config = write(run, "web = true\n")
    run.start()
    web = WebAPI(run)
    assert (
        web.get("/readyz").json == {"status": "ready"}
        and list(run.mount.iterdir()) != []
        and list((run.mount / "Staged").iterdir()) == []
    )
    service = run.cli("status", "--json").json["service"]
    assert service == {"state": "missing", "host": sim.base.split("/")[2], "configFile": str(config)}
    file = sim.add(MiB, "first.bin")
    for method, target, body in [
        ("GET", "/api/v1/jobs", None),
        ("GET", "/api/v1/jobs/x", None),
        ("POST", "/api/v1/staged", {"file": file, "recipient": "x"}),
    ]:
        answer = unix(run, method, target, body)
        assert answer.status == 503 and answer.code == "no_credentials", answer
        for word in ("client_id", "client_secret", str(config), "fsmvp reload"):
            assert word in answer.json["error"]["message"], answer
    jobs = run.cli("jobs")
    assert jobs.code == 5 and "client_secret" in jobs.err and len(jobs.err.strip().splitlines()) == 1, jobs
    # Still none, or half of them: it goes on waiting.
    assert run.cli("reload").code == 0
    write(run, 'web = true\nclient_id = "demo-client"\n')
    assert run.cli("reload").code == 0
    assert run.cli("status", "--json").json["service"]["state"] == "missing"
    session = web.session()
    write(run, "web = true\n" + CREDENTIALS)
    assert run.cli("reload").code == 0
    assert run.cli("status", "--json").json["service"]["state"] == "set"
    assert web.ask("GET", "/api/v1/jobs", headers=session).status == 200
    with open(run.stage(file), "rb") as stream:
        assert stream.read() == sim.bytes(file, "somebody")
    # Once they are there, a reload does not lose them.
    write(run, "web = true\n")
    done = run.cli("reload")
    assert done.code == 1 and "credentials" in done.err, done
    assert run.cli("jobs").code == 0


def test_what_was_staged_before_is_kept_while_there_are_no_credentials(sim, fresh):
    run = fresh()
    write(run, CREDENTIALS)
    run.start()
    file = sim.add(MiB, "kept.bin")
    path = run.stage(file)
    item = run.item(path)
    demo_free = sorted(entry.name for entry in run.state.iterdir())
    assert run.stop() == 0
    write(run, "web = true\n")
    run.start()
    assert [kept["id"] for kept in run.cli("staged", "--json").json] == [item["id"]]
    with pytest.raises(OSError), open(path, "rb") as stream:
        stream.read()
    assert sorted(entry.name for entry in run.state.iterdir()) == demo_free
    write(run, "web = true\n" + CREDENTIALS)
    assert run.cli("reload").code == 0
    with open(path, "rb") as stream:
        assert stream.read() == sim.bytes(file, "somebody")


def test_another_service_takes_a_new_start(sim, fresh):
    run = fresh()
    del run.environment["FSMVP_API_BASE"]
    write(run, "web = true\n")
    run.start()
    assert run.cli("status", "--json").json["service"]["host"] == "api.xvid.com"
    write(run, f'web = true\napi_base = "{sim.base}"\n' + CREDENTIALS)
    done = run.cli("reload")
    assert done.code == 1 and "the service" in done.err and "fsmvp stop" in done.err, done
    assert run.stop() == 0
    run.start()
    assert run.cli("jobs").code == 0


def test_the_demo_says_so(make):
    run = make(sim=None)
    run.start("--demo")
    service = run.cli("status", "--json").json["service"]
    assert service["state"] == "demo" and service["host"].startswith("127.0.0.1:")
    open_web(run)
    run.says("fsmvp jobs")
    text = run.log.read_text()
    page, terminal = text.index("fsmvp ui"), text.index("fsmvp jobs")
    assert page < terminal and str(run.mount) in text


def test_a_demo_without_a_page_does_not_name_it(make):
    run = make(sim=None, FSMVP_WEB="false")
    run.start("--demo")
    assert "fsmvp ui" not in run.log.read_text()
