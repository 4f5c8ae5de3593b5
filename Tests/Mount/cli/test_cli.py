"""The contract of the command line, as scripts use it."""

import json
import os

import pytest
from instance import MiB, wait_until


def test_jobs_pages_and_searches(sim, run):
    for n in range(7):
        sim.add(1000 + n, f"holiday {n}.mp4")
    sim.add(5, "work.mov")
    everything = run.cli("jobs", "--limit", "1000", "--json").json
    assert set(everything) == {"jobs", "total", "start", "limit"}
    assert everything["total"] == len(everything["jobs"]) >= 8 and everything["start"] == 0
    job = everything["jobs"][0]
    assert set(job) == {"id", "name", "outputs"}
    assert set(job["outputs"][0]) == {"fileId", "name", "size", "contentType"}
    page = run.cli("jobs", "--start", "2", "--limit", "3", "--json").json
    assert (page["start"], page["limit"], len(page["jobs"]), page["total"]) == (2, 3, 3, everything["total"])
    assert [job["id"] for job in page["jobs"]] == [job["id"] for job in everything["jobs"][2:5]]
    found = run.cli("jobs", "--search", "HOLIDAY", "--json").json
    assert found["total"] == 7 and {job["name"] for job in found["jobs"]} == {f"holiday {n}.mp4" for n in range(7)}
    assert run.cli("jobs", "--search", "no such &=#thing", "--json").json["jobs"] == []
    assert run.cli("jobs", "--start", "100000", "--json").json["jobs"] == []
    table = run.cli("jobs", "--limit", "1000").out
    assert "holiday 3.mp4" in table and "work.mov" in table


def test_stage_prints_the_path_alone(sim, run):
    file = sim.add(MiB, "clip.mp4")
    done = run.cli("stage", file, "--recipient", "somebody")
    assert done.code == 0 and done.err == ""
    path = done.out.removesuffix("\n")
    assert "\n" not in path and path.startswith(f"{run.mount}/Staged/") and os.path.exists(path)
    item = run.cli("stage", file, "--recipient", "somebody", "--json").json
    keys = {
        "id",
        "path",
        "fileId",
        "name",
        "size",
        "recipient",
        "state",
        "tileRef",
        "openRef",
        "bytesFetched",
        "bytesServed",
    }
    assert keys <= set(item)
    assert (item["path"], item["fileId"], item["name"], item["size"]) == (path, file, "clip.mp4", MiB)
    assert (item["recipient"], item["tileRef"], item["openRef"], item["bytesServed"]) == ("somebody", 1, 0, 0)
    with open(path, "rb") as stream:
        stream.read()
        # A reply is counted once the kernel has it.
        wait_until(lambda: run.item(path)["bytesServed"] >= MiB, what="all bytes are counted")
        item = run.item(path)
        assert item["openRef"] == 1 and item["bytesServed"] >= MiB and item["bytesFetched"] == MiB
    assert run.item(path)["bytesServed"] >= MiB


def test_a_job_with_one_output_stands_for_its_file(sim, run):
    file = sim.add(1000, "clip.mp4")
    job = next(job for job in run.cli("jobs", "--json").json["jobs"] if job["outputs"][0]["fileId"] == file)
    assert run.cli("stage", job["id"], "--recipient", "x", "--json").json["fileId"] == file


def test_unstage_by_id_path_and_all(sim, run):
    items = [run.cli("stage", sim.add(1000), "--recipient", "x", "--json").json for _ in range(4)]
    assert run.cli("unstage", items[0]["id"]).code == 0
    assert run.cli("unstage", items[1]["path"]).code == 0
    assert [item["id"] for item in run.cli("staged", "--json").json] == [items[2]["id"], items[3]["id"]]
    assert run.cli("unstage", "--all").code == 0
    assert run.cli("staged", "--json").json == []
    assert run.cli("unstage", items[0]["id"]).code == 4


def test_status_and_trace(sim, run):
    path = run.stage(sim.add(4 * MiB), "x")
    with open(path, "rb") as stream:
        stream.read()
    status = run.cli("status", "--json").json
    assert status["pid"] == run.process.pid and status["mount"] == str(run.mount)
    assert set(status["shim"]) >= {"pid", "epoch", "restarts"} and status["uptimeSeconds"] >= 0
    assert status["shim"]["epoch"] == 1 and status["shim"]["restarts"] == 0
    with open(f"/proc/{status['shim']['pid']}/comm") as name:
        assert name.read().strip() == "fsmvp-shim"
    trace = run.cli("trace", "--json").json
    ops = {op["op"]: {segment["segment"]: segment for segment in op["segments"]} for op in trace["ops"]}
    total = ops["lookup"]["total"]
    assert total["count"] >= 3 and 0 < total["p50us"] <= total["p99us"] <= total["maxus"]
    reads = ops["read"]
    assert {"total", "local"} & set(reads)

    def counted():
        """The count of reads, which is written once the kernel has its answer."""
        ops = run.cli("trace", "--json").json["ops"]
        segments = next(op["segments"] for op in ops if op["op"] == "read")
        return sum(segment["count"] for segment in segments if segment["segment"] in ("total", "local"))

    wait_until(lambda: counted() >= 4, what="four reads")
    assert "lookup" in run.cli("trace").out
    assert str(run.mount) in run.cli("status").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["stage"],
        ["stage", "a" * 24],
        ["stage", "a" * 24, "--recipient"],
        ["stage", "a" * 24, "b", "--recipient", "x"],
        ["jobs", "--limit", "many"],
        ["jobs", "--limit", "0"],
        ["jobs", "--start", "-1"],
        ["jobs", "--frobnicate"],
        ["unstage"],
        ["frobnicate"],
        ["run", "--nonsense"],
    ],
)
def test_wrong_usage(run, arguments):
    done = run.cli(*arguments)
    assert done.code == 2 and done.out == "" and done.err.strip(), done


def test_no_control_plane(make):
    instance = make()
    for verb in (
        ["jobs"],
        ["stage", "a" * 24, "--recipient", "x"],
        ["staged"],
        ["unstage", "--all"],
        ["status"],
        ["trace"],
        ["stop"],
    ):
        done = instance.cli(*verb)
        assert done.code == 3 and done.out == "" and "fsmvp run" in done.err, (verb, done)


def test_nothing_of_that_name(sim, run):
    for verb in (
        ["stage", "f" * 24, "--recipient", "x"],
        ["stage", "../jobs", "--recipient", "x"],
        ["unstage", "nope"],
    ):
        done = run.cli(*verb)
        assert done.code == 4 and len(done.err.strip().splitlines()) == 1, (verb, done)


TAGS = [
    "a/b",
    "a&b=c",
    "a#b",
    "100%",
    "a+b",
    " spaced out ",
    "Jürgen 日本",
    "x" * 255,
    "..",
    ".",
    "a\\b",
    '"quoted"',
    "%2F",
    "é" * 127,
]


@pytest.mark.parametrize("tag", TAGS)
def test_recipients_reach_the_service_exactly(sim, run, tag):
    file = sim.add(70_000, "clip.mp4")
    item = run.cli("stage", file, "--recipient", tag, "--json").json
    assert item["recipient"] == tag.strip()
    folder = os.path.relpath(os.path.dirname(item["path"]), f"{run.mount}/Staged")
    assert "/" not in folder and folder not in (".", "..")
    with open(item["path"], "rb") as stream:
        assert stream.read() == sim.bytes(file, tag.strip())


@pytest.mark.parametrize("tag", ["", "   ", "a\nb", "x" * 256, "tab\there"])
def test_recipients_that_are_refused(sim, run, tag):
    done = run.cli("stage", sim.add(1000), "--recipient", tag)
    assert done.code in (1, 2) and "recipient" in done.err and len(done.err.strip().splitlines()) == 1, done
    assert run.cli("staged", "--json").json == []


def test_errors_of_the_api_are_json(run):
    import http.client
    import socket

    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(f"{run.runtime}/api.sock")
    connection.request("DELETE", "/api/v1/staged/nope")
    answer = connection.getresponse()
    error = json.loads(answer.read())["error"]
    assert answer.status == 404 and error["code"] and error["message"]
