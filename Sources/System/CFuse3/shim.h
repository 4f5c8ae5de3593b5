#pragma once
#include <fuse_lowlevel.h>
