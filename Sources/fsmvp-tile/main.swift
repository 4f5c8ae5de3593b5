import Glibc

exit(TileProgram.main())
