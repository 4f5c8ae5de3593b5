/* libfuse's header, for the shim as the Swift package builds it for its tests (CShim). Nothing is added. */
#pragma once
#include <fuse_lowlevel.h>
