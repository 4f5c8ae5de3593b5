"""Many clients at once against a plain map: no 500, no lost update, and events that tell all of it."""

import hashlib
import random
import threading

import pytest

from buckets import Bucket, api_socket, own_socket


def crowd(count, work):
    """Runs it on so many threads; the first failure is this one's."""
    failures = []

    def run(number):
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def replay(events):
    """The paths of a bucket by its events: each with the ETag of its file; None for a folder."""
    tree = {}
    for event in events:
        path = event["path"]
        if event["kind"] == "add":
            tree[path] = event["etag"]
        elif event["kind"] == "mkdir":
            tree[path] = None
        else:
            source = event.get("from", path)
            moved = {p: tree.pop(p) for p in list(tree) if p == source or p.startswith(source + "/")}
            tree.pop(path, None)
            if event["kind"] == "mv":
                tree |= {path + p[len(source) :]: etag for p, etag in moved.items()}
    return tree


@pytest.mark.timeout(300)
def test_concurrent_mutations_are_those_of_the_events(run):
    bucket = Bucket(own_socket(run))
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")

    def work(number):
        dice = random.Random(seed + number)
        mine = Bucket.__new__(Bucket)
        mine.connect, mine.headers, mine.id = (api_socket if number % 3 == 0 else own_socket)(run), {}, bucket.id

        def path():
            return "/" + "/".join(dice.choice("abc") for _ in range(dice.randint(1, 3)))

        for _ in range(40):
            kind = dice.randrange(8)
            if kind < 3:
                answer = mine.upload(path(), str(dice.randrange(9)).encode())
            elif kind == 3:
                answer = mine.post("mkdir", path=path())
            elif kind == 4:
                answer = mine.post("delete", path=path(), recursive=dice.random() < 0.7)
            elif kind == 5:
                answer = mine.patch(path(), dice.randrange(4), b"x")
            else:
                answer = mine.post(
                    "mv", source_path=path(), dest_path=path(), overwrite=dice.random() < 0.5
                )
            assert answer.status in (200, 400, 404, 409), answer

    crowd(10, work)
    events = bucket.events(0)
    assert [event["seq"] for event in events["events"]] == list(range(1, events["seq"] + 1))
    listed = {item["path"]: item["etag"] for item in bucket.post("ls", deep=True).json["items"]}
    assert listed == replay(events["events"]), f"seed {seed}"
    for path, content in bucket.tree().items():
        assert content is None or hashlib.sha256(content).hexdigest() == listed[path]
    heights = {event["height"] for event in events["events"]}
    assert heights == set(range(1, bucket.height + 1)), "each version has its events"


@pytest.mark.timeout(300)
def test_no_update_under_if_match_is_lost(run):
    bucket = Bucket(own_socket(run))
    bucket.upload("/n", b"0")

    def work(_):
        for _ in range(10):
            while True:
                now = bucket.cat("/n")
                answer = bucket.upload("/n", str(int(now.body) + 1).encode(), {"If-Match": now.headers["ETag"]})
                assert answer.status in (200, 412), answer
                if answer.status == 200:
                    break

    crowd(8, work)
    assert bucket.cat("/n").body == b"80"
    assert bucket.height == 81


def test_an_upload_that_is_cut_leaves_nothing(run):
    bucket = Bucket(own_socket(run))
    bucket.upload("/f", b"whole")
    for _ in range(5):
        connection = bucket.connect()
        connection.putrequest("POST", bucket.fs("/", "f"))
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"x" * 5000)
        connection.close()
    assert bucket.tree() == {"/f": b"whole"} and bucket.height == 1
