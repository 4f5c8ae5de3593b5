"""docs/openapi.json, held to by real answers: what a generator finds (schemathesis), what ends or replaces the
processes by hand, and events."""

import http.client
import json
import os
import re
import subprocess
import sys

import buckets
import pytest
from control_api import JSON, check, check_answer, document, events, open_web, unix
from instance import PATIENCE, MiB, file_id, wait_until

# They end or replace what is tested, or have no end themselves; and buckets are another listener's.
BY_HAND = r"/(stop|reload|shim/.*|events)$|^/api/v0/|^/_status/"
# Endpoints that answer 501, and one that waits.
NOT_GENERATED = r"/(publish|latest-published|share|shares|unshare|ping|events)$"


@pytest.fixture
def web(run):
    return open_web(run)


def with_examples(sim, web):
    """The document with ids that exist, so that more than refusals is looked at."""
    described = document()
    files = [sim.add(100_000 + index, f"video {index}.mp4") for index in range(6)]
    items = [
        web.ask("POST", "/api/v1/staged", {"file": file, "recipient": "x"}, web.bearer | JSON).json
        for file in files[:5]
    ]
    job = web.ask("GET", "/api/v1/jobs?limit=1", headers=web.bearer).json["jobs"][0]["id"]
    paths = described["paths"]

    def examples(path, method, place, *values):
        parameter = next(p for p in paths[path][method]["parameters"] if p["name"] == place)
        parameter["examples"] = {f"example{index}": {"value": value} for index, value in enumerate(values)}

    examples("/api/v1/jobs/{id}", "get", "id", job)
    examples("/api/v1/staged/{id}", "get", "id", items[0]["id"])
    examples("/api/v1/staged/{id}", "patch", "id", items[0]["id"])
    examples("/api/v1/staged/{id}", "delete", "id", items[1]["id"])
    examples("/api/v1/staged", "patch", "path", items[2]["path"])
    examples("/api/v1/staged", "delete", "path", items[3]["path"])
    body = paths["/api/v1/staged"]["post"]["requestBody"]["content"]["application/json"]
    body["examples"] = {"example": {"value": {"file": files[5], "recipient": "Jane at the agency", "warm": True}}}
    return described


# Many requests, one after the other: a busy machine takes long.
@pytest.mark.timeout(900)
def test_a_generator_finds_no_answer_that_is_not_described(sim, web, tmp_path):
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(with_examples(sim, web)))
    done = subprocess.run(
        [
            os.path.join(os.path.dirname(sys.executable), "schemathesis"),
            "run",
            str(described),
            "--url",
            web.base,
            "-H",
            f"Authorization: {web.bearer['Authorization']}",
            "--exclude-path-regex",
            BY_HAND,
            "--seed",
            "20",
            "--max-examples",
            "12",
            "--phases",
            "examples,coverage,fuzzing",
            "--continue-on-failure",
            "--output-truncate",
            "false",
            "--request-timeout",
            str(PATIENCE),
        ],
        cwd=tmp_path,
        env=os.environ | {"NO_COLOR": "1", "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis")},
        capture_output=True,
        text=True,
        timeout=800,
    )
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found and int(found[1]) > 300 and found[1] == found[2], done.stdout[-3000:]
    assert web.run.process.poll() is None


@pytest.mark.timeout(900)
def test_a_generator_finds_no_answer_of_the_bucket_server_that_is_not_described(make, tmp_path):
    run = make(FSMVP_BUCKET_LISTEN="127.0.0.1:0", FSMVP_BUCKET_TOKEN="a-token-of-the-test").start()
    token = "Authorization: Bearer a-token-of-the-test"
    bucket = buckets.Bucket(buckets.tcp(run), headers=dict([token.split(": ")]))
    for name in ("one", "two", "three"):
        assert bucket.upload(f"/folder/{name}.txt", name.encode()).status == 200
    described = document()
    for path, operations in described["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                given = {"bucket_id": bucket.id, "path": "/folder/one.txt"}.get(parameter["name"])
                if path.startswith("/api/v0/") and given:
                    parameter["examples"] = {"one": {"value": given}}
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if path.startswith("/api/v0/bucket/"):
                content["examples"] = {
                    "folder": {"value": {"bucket_id": bucket.id, "path": "/folder"}},
                    "file": {"value": {"bucket_id": bucket.id, "path": "/folder/two.txt"}},
                }
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(described))
    done = subprocess.run(
        [
            os.path.join(os.path.dirname(sys.executable), "schemathesis"),
            "run",
            str(path),
            "--url",
            f"http://{buckets.listen(run)}",
            "-H",
            token,
            "--include-path-regex",
            r"^/api/v0/|^/_status/",
            "--exclude-path-regex",
            NOT_GENERATED,
            # A patch at a far offset is 507, which is right and looks like a failure; names and paths have rules that
            # a pattern does not say.
            "--exclude-method",
            "PATCH",
            "--exclude-checks",
            "positive_data_acceptance,negative_data_rejection",
            "--seed",
            "20",
            "--max-examples",
            "12",
            "--phases",
            "examples,coverage,fuzzing",
            "--continue-on-failure",
            "--output-truncate",
            "false",
            "--request-timeout",
            str(PATIENCE),
        ],
        cwd=tmp_path,
        env=os.environ | {"NO_COLOR": "1", "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis")},
        capture_output=True,
        text=True,
        timeout=800,
    )
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr
    found = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert found and int(found[1]) > 200 and found[1] == found[2], done.stdout[-3000:]
    assert run.process.poll() is None


# Many requests, one after the other: a busy machine takes long.
@pytest.mark.timeout(900)
def test_the_generator_would_find_one(web, tmp_path):
    """A test that cannot fail is none: of a key that is promised and does not come, it says so."""
    described = document()
    described["components"]["schemas"]["Status"]["required"].append("promised")
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(described))
    done = subprocess.run(
        [
            os.path.join(os.path.dirname(sys.executable), "schemathesis"),
            "run",
            str(path),
            "--url",
            web.base,
            "--include-path",
            "/api/v1/status",
            "-H",
            f"Authorization: {web.bearer['Authorization']}",
            "--seed",
            "20",
            "--max-examples",
            "2",
            "--phases",
            "coverage,fuzzing",
        ],
        cwd=tmp_path,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 1 and "promised" in done.stdout, done.stdout


def test_what_is_described_has_every_key_that_comes(sim, web):
    """The other direction: no answer has a key that is not described, with something of everything there."""
    run = web.run
    path = run.stage(sim.add(4 * MiB, "open.bin"), "alice")
    run.stage(sim.add(MiB), "bob")
    with open(path, "rb") as stream:
        stream.read(MiB)
        for target in (
            "status",
            "jobs?limit=5",
            "staged",
            "cache",
            "trace",
            "config",
            "log",
            "recipients",
            f"staged/{run.item(path)['id']}",
            "jobs/" + unix(run, "GET", "/api/v1/jobs?limit=1").json["jobs"][0]["id"],
        ):
            answer = web.ask("GET", f"/api/v1/{target}", headers=web.bearer)
            assert answer.status == 200, answer
            check_answer(answer, "GET", f"/api/v1/{target}")
            assert unix(run, "HEAD", f"/api/v1/{target}").body == b""
    assert web.ask("GET", "/api/v1/recipients", headers=web.bearer).json == ["bob", "alice"]
    for probe in ("/healthz", "/readyz"):
        check_answer(web.get(probe), "GET", probe)
    item = web.ask("DELETE", f"/api/v1/staged?path={path}".replace(" ", "%20"), headers=web.bearer)
    check(item.json, "Item")
    check_answer(web.ask("DELETE", "/api/v1/staged", headers=web.bearer), "DELETE", "/api/v1/staged")
    check_answer(web.ask("DELETE", "/api/v1/cache", headers=web.bearer), "DELETE", "/api/v1/cache")


def test_one_job_and_one_item(sim, run):
    file = sim.add(1000, "clip.mp4")
    job = next(job for job in unix(run, "GET", "/api/v1/jobs").json["jobs"] if job["outputs"][0]["fileId"] == file)
    assert unix(run, "GET", f"/api/v1/jobs/{job['id']}").json == job
    item = run.cli("stage", file, "--recipient", "x", "--json").json
    assert unix(run, "GET", f"/api/v1/staged/{item['id']}").json["path"] == item["path"]
    for target, code in (
        (f"jobs/{file_id(0)}", "no_such_file"),
        ("jobs/..%2Ffiles", "no_such_file"),
        ("staged/nope", "no_such_item"),
        ("staged/..", "no_such_item"),
    ):
        answer = unix(run, "GET", f"/api/v1/{target}")
        assert answer.status == 404 and answer.code == code, answer


def test_recipients_are_remembered_over_restarts_until_they_are_forgotten(sim, run):
    for tag in ("a", "b/ü & <i>", "a", "c"):
        run.stage(sim.add(1000), tag)
    assert unix(run, "GET", "/api/v1/recipients").json == ["c", "a", "b/ü & <i>"]
    assert run.stop() == 0
    run.start()
    assert unix(run, "GET", "/api/v1/recipients").json == ["c", "a", "b/ü & <i>"]
    assert run.cli("stop", "--forget").code == 0
    run.process.wait(PATIENCE)
    run.start()
    assert unix(run, "GET", "/api/v1/recipients").json == []


def test_the_settings_are_those_of_the_start_and_tell_no_secret(sim, make):
    run = make()
    run.configure('max_tiles = 7\nproxy = "http://user:hush@127.0.0.1:9"\nno_proxy = "127.0.0.1"\n').start()
    config = unix(run, "GET", "/api/v1/config")
    assert config.json == run.cli("config", "--json").json
    assert "hush" not in config.body.decode() and "demo-secret" not in config.body.decode()
    entry = next(entry for entry in config.json if entry["key"] == "max_tiles")
    assert entry == {"key": "max_tiles", "value": "7", "source": f"{run.folder}/config.toml:1"}
    run.configure("max_tiles = 8\n")
    assert unix(run, "GET", "/api/v1/config").json == config.json


def test_the_level_of_the_log_can_be_set(sim, run):
    assert unix(run, "GET", "/api/v1/log").json == {"level": "info"}
    run.stage(sim.add(1000))
    assert " debug " not in run.log.read_text()
    assert unix(run, "PUT", "/api/v1/log", {"level": "debug"}).json == {"level": "debug"}
    assert (
        unix(run, "GET", "/api/v1/log").json == {"level": "debug"}
        and run.cli("status", "--json").json["logLevel"] == "debug"
    )
    run.stage(sim.add(1000))
    wait_until(lambda: " debug " in run.log.read_text(), what="a line of that level")
    unix(run, "PUT", "/api/v1/log", {"level": "error"})
    for body in ({"level": "loud"}, {}, {"level": 1}, None):
        answer = unix(run, "PUT", "/api/v1/log", body)
        assert answer.status == 400 and answer.code == "invalid"
    assert unix(run, "GET", "/api/v1/log").json == {"level": "error"}


def test_orders_about_the_programs_are_answered_as_described(run, web):
    for target in ("/api/v1/shim/restart", "/api/v1/shim/kill"):
        answer = web.ask("POST", target, headers=web.bearer)
        assert answer.status == 200, answer
        check_answer(answer, "POST", target)
    check_answer(unix(run, "POST", "/api/v1/login"), "POST", "/api/v1/login")
    answer = web.ask("POST", "/api/v1/reload", headers=web.bearer)
    assert answer.status == 202, answer
    count = check_answer(answer, "POST", "/api/v1/reload")["count"]

    def status():
        try:
            return web.ask("GET", "/api/v1/status", headers=web.bearer).json
        except (OSError, http.client.HTTPException):  # the image is being replaced
            return {}

    wait_until(lambda: status().get("reload") == {"count": count, "state": "done"}, what="the reload is done")
    check(status(), "Status")
    answer = web.ask("POST", "/api/v1/stop", {"forget": True}, web.bearer | JSON)
    assert answer.status == 202, answer
    check_answer(answer, "POST", "/api/v1/stop")
    assert run.process.wait(PATIENCE) == 0


def test_events_are_as_described(sim, run, web):
    listener = events(web)
    assert listener.answer.headers["Content-Type"] == "text/event-stream"
    schemas = {
        "snapshot": "Snapshot",
        "item": "Item",
        "gone": "Gone",
        "status": "Status",
        "cache": "Cache",
        "latency": "Latency",
        "notice": "Notice",
    }

    def hear(wanted):
        """Up to the first event of that name, each held to what is said of it."""
        for name, data in listener:
            check(data, schemas[name])
            if name == wanted:
                return data
        raise AssertionError(f"the events end before {wanted}")

    hear("snapshot")
    path = run.stage(sim.add(2 * MiB), "x")
    assert hear("item")["path"] == path
    hear("status")
    with open(path, "rb") as stream:
        stream.read()
    # Some of these may be of the time before the read.
    while sum(hear("latency")["counts"]) == 0:
        pass
    while hear("cache")["bytes"] == 0:
        pass
    run.cli("shim", "kill")
    assert hear("notice")["code"] == "shim_replaced"
    run.cli("unstage", "--all")
    assert path.count(hear("gone")["id"]) == 1
    listener.close()


def test_readiness_tells_what_is_the_matter(sim, make):
    run = make(FSMVP_STANDBY="false").start()
    assert unix(run, "GET", "/readyz").json == {"status": "ready"}
    listener = events(open_web(run))
    os.kill(run.shim_pid(), 9)
    seen = set()

    def ready():
        answer = unix(run, "GET", "/readyz")
        check_answer(answer, "GET", "/readyz")
        assert answer.status == (200 if answer.json["status"] == "ready" else 503)
        seen.add(answer.json["status"])
        return answer.status == 200 and run.cli("status", "--json").json["shim"]["epoch"] == 2

    wait_until(ready, what="the next shim serves")
    assert seen <= {"ready", "replacing"}
    listener.close()
