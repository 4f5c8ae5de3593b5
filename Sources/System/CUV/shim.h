/* libuv's header, for `EventLoop`, and for the shim in the tests (CShim). Nothing is added. */
#pragma once
#include <uv.h>
