// The start of the program `fsmvp-tile`: `TileProgram` does the rest, and its exit code is the program's.

import Glibc

exit(TileProgram.main())
