/* stub */ typedef int fsmvp_stub_disk;
