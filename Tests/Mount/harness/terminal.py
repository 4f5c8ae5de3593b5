"""A terminal with a program in it: keys in, a screen out. pyte is the terminal's emulator."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte
from instance import FSMVP, PATIENCE, die_with_parent

UP, DOWN, RIGHT, LEFT = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D"
HOME, END, PAGE_UP, PAGE_DOWN = "\x1b[H", "\x1b[F", "\x1b[5~", "\x1b[6~"
ENTER, ESCAPE, BACKSPACE, CTRL_C, CTRL_U, CTRL_Z = "\r", "\x1b", "\x7f", "\x03", "\x15", "\x1a"

ENTERED, LEFT_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"


class Screen(pyte.Screen):
    """A screen with a rule of xterm and VTE that pyte lacks: a cursor that waits behind the last column for the next
    character stands on that column, so that erasing from there takes what was just written."""

    def erase_in_line(self, *arguments, **more):
        self.cursor.x = min(self.cursor.x, self.columns - 1)
        super().erase_in_line(*arguments, **more)


class Terminal:
    """`command` on a terminal of its own, whose controlling process it is."""

    def __init__(self, command, environment, columns=80, rows=24):
        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        # All that came.
        self.bytes = b""
        self.master, slave = pty.openpty()
        self._size(columns, rows)
        self.modes = termios.tcgetattr(slave)

        def prepare():
            die_with_parent()
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command,
            env={"TERM": "xterm-256color"} | environment,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=prepare,
        )
        # Kept: its modes are looked at after the program's end.
        self.slave = slave

    def _size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows):
        self._size(columns, rows)
        self.screen.resize(rows, columns)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds=0.05):
        """Takes what comes within so long; True where something did."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            piece = os.read(self.master, 65536)
        except OSError:
            return False
        self.bytes += piece
        # The emulator has one screen: begin anew where the program does.
        self.stream.feed(piece)
        return bool(piece)

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        return "\n".join(self.lines)

    def wait(self, claim, limit=PATIENCE, what=None):
        """Until `claim` (a text on the screen, or a function) is true."""
        holds = (lambda: claim in self.text) if isinstance(claim, str) else claim
        end = time.monotonic() + max(limit, PATIENCE)
        while not holds():
            assert time.monotonic() < end, f"{what or claim!r} did not come; the screen is\n{self.text}"
            self.read()
        return self

    def end(self, limit=PATIENCE):
        """Waits for the program's end; its exit code, negative for a signal."""
        end = time.monotonic() + limit
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end; the screen is\n{self.text}"
            self.read()
        while self.read(0.1):
            pass
        return self.process.returncode

    @property
    def is_restored(self):
        """The state before the program is back: its modes, the cursor, the other screen, no bracketed paste."""
        after = self.bytes.rsplit(ENTERED, 1)[-1]
        return (
            termios.tcgetattr(self.slave) == self.modes
            and LEFT_SCREEN in after
            and after.rfind(b"\x1b[?25h") > after.rfind(b"\x1b[?25l")
            and after.rfind(b"\x1b[?2004l") >= 0
        )

    @property
    def rest(self):
        """The text printed after the screen was left."""
        return self.bytes.rsplit(LEFT_SCREEN, 1)[-1].decode().replace("\r\n", "\n")

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def fsmvp(run, *arguments, columns=80, rows=24, **environment):
    return Terminal([FSMVP, *arguments], run.environment | environment, columns, rows)
