"""The region of a running instance, looked at from outside (fsmvp_wire.h says where things are)."""

import mmap
import struct

from instance import descriptors_of

WORDS, HANDLES, WAITING = 1, 4, 9
SLOT_STATES = "FREE FILLING LOCAL SUBMITTED TAKEN DONE CANCELLED CANCEL_DONE".split()
WAITING_STATES = "FREE FILLING WAITING MOVING".split()
HANDLE_STATES = "FREE FILLING OPENING OPEN RELEASED".split()


class Region:
    """Maps it by way of a shim's descriptor; what is read is a snapshot of a moving thing."""

    def __init__(self, shim):
        for number, target in descriptors_of(shim).items():
            if "fsmvp-region" in target:
                with open(f"/proc/{shim}/fd/{number}", "r+b") as file:
                    self.memory = mmap.mmap(file.fileno(), 0)
                return
        raise AssertionError(f"process {shim} has no region")

    def close(self):
        self.memory.close()

    def word(self, offset):
        return struct.unpack_from("<Q", self.memory, offset)[0]

    @property
    def active(self):
        return self.word(40) & 0xFFFFFFFF

    @property
    def standby(self):
        return self.word(48) & 0xFFFFFFFF

    @property
    def control(self):
        return self.word(56) & 0xFFFFFFFF

    @property
    def epoch(self):
        return self.word(64)

    @property
    def heartbeat(self):
        return self.word(72)

    @property
    def outage_ms(self):
        return self.word(2544) / 1e6

    def _rows(self, section, names, size):
        offset, count, stride = struct.unpack_from("<QII", self.memory, 224 + 16 * section)
        high = struct.unpack_from("<I", self.memory, {WORDS: 88, HANDLES: 92, WAITING: 2756}[section])[0]
        found = {}
        for index in range(min(high, count)):
            state = self.word(offset + index * stride) & 0xFFFFFFFF
            if state:
                found[index] = names[state] if state < len(names) else state
        return found

    def slots(self):
        """Every slot that is not FREE: index and state."""
        return self._rows(WORDS, SLOT_STATES, 8)

    def waiting(self):
        """Every waiting row that is not FREE."""
        return self._rows(WAITING, WAITING_STATES, 384)

    def handles(self):
        return self._rows(HANDLES, HANDLE_STATES, 128)
