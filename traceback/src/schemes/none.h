/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of none.rs: the control, which parses packets and leaves them alone. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_NONE
#define SLOT6 SLOT_NONE
