#include "fsmvp_wire.h"
