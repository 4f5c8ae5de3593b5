/* stub */ typedef int fsmvp_stub_mount;
