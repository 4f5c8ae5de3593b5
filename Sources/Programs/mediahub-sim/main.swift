import Glibc
import MediaHubSim

exit(MediaHubSimProgram.run(Array(CommandLine.arguments.dropFirst())))
