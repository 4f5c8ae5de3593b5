"""A reader's jump to the tail of a file and back, as browsers and players make them: what it costs the stream beside
it."""

from instance import MiB
from results import Row, at_most, shown
from rivals import rclone
from stage import dd, instance, reader, settle, signed_link, simulator

TOTAL = 40 * MiB
EACH = 16 * MiB


def probed(path, size, is_probed):
    """Seconds of the main stream."""
    if not is_probed:
        return dd(path)
    process = reader("probe", path, size)
    try:
        taken = dd(path)
        process.terminate()
        out, _ = process.communicate(timeout=10)
    finally:
        process.kill()
        process.wait()
    assert out, "the probe jumped nowhere"
    return taken


def tail_probe(bench):
    size = (64 if bench.quick else 256) * MiB
    alone, beside = {}, {}
    with simulator(rate=TOTAL, rate_per_connection=EACH, first_byte_delay_ms=20) as sim:
        file = sim.add(size, "clip.mp4")

        def by_rclone(tag, is_probed):
            with rclone({"clip.mp4": signed_link(sim, file, tag)}, "full") as mount:
                return probed(mount.path("clip.mp4"), size, is_probed)

        def by_us(mode):
            def read(tag, is_probed):
                with instance(sim, mode) as run:
                    return probed(run.stage(file, tag), size, is_probed)

            return read

        modes, rows = bench.modes()
        contestants = {mode: by_us(mode) for mode in modes} | {"rclone mount, full cache": by_rclone}
        for number in range(bench.rounds(3)):
            for name, read in bench.turns(contestants.items(), number):
                for is_probed in (True, False) if number % 2 else (False, True):
                    settle()
                    kept = beside if is_probed else alone
                    kept.setdefault(name, []).append(read(f"{name} {number} {is_probed}", is_probed))
            print(
                f"  round {number + 1}: "
                + ", ".join(
                    f"{name} {shown(alone[name][-1])} s alone, {shown(beside[name][-1])} s probed" for name in alone
                ),
                flush=True,
            )
    for name in contestants:
        slower = [(one / other - 1) * 100 for one, other in zip(beside[name], alone[name])]
        rows.append(
            Row(
                f"stream beside a probe of the tail, {name}",
                "s",
                beside[name],
                "the same without a probe",
                alone[name],
                slower,
                "% longer",
                at_most(5) if name in modes else None,
            )
        )
    return rows
