#pragma once
// As in CLibevent: the C library decides first which of its names there are.
#include <features.h>

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
