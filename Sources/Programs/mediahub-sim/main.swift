// The start of the program `mediahub-sim`: `MediaHubSimProgram` does the rest, and its exit code is the program's.

import Glibc
import MediaHubSim

exit(MediaHubSimProgram.run(Array(CommandLine.arguments.dropFirst())))
