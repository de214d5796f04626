/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of recorder.rs: node append into room that the sender reserved. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_NONE
#define SLOT6 SLOT_NONE
#define RECORDS

struct scheme {
	__u64 index; /* the router's position in the map */
};

static __always_inline __u16 record(const volatile struct scheme *scheme)
{
	return scheme->index;
}
