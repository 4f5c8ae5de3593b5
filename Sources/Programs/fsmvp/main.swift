// The start of the program `fsmvp`: `Program` of `Commands` runs the verb, and `Run` of `Daemon` the control plane.
// There is no state here.

import Commands
import Daemon
import Glibc
import Wire

exit(Program.main(Program.Server(run: Run.main, abi: WireProtocol.abi), settings: SettingsCatalog.groups))
