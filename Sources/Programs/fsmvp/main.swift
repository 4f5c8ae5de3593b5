import Commands
import Daemon
import Glibc
import Wire

exit(Program.main(Program.Server(run: Run.main, abi: WireProtocol.abi), settings: SettingsCatalog.groups))
