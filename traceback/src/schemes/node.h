/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of node.rs: Savage et al., SIGCOMM 2000, section 4.2. The mark is an address. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ROOM
#define SLOT6 SLOT_ROOM
#define MARK_BITS 32
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	return hop->draw < scheme->threshold ? hop->me : before;
}
