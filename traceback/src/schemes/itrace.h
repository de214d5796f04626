/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of itrace.rs: none, since programs in the kernel send no packets of their own. It says
 * what the step would need. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_NONE
#define SLOT6 SLOT_NONE
#define DRAWS
