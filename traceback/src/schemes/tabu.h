/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of tabu.rs: Ma, Computer Networks 50(18), 2006. Distance 31 says "no mark".
 */
#pragma once
#include "fragments/step.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 name;
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	if ((before >> 8 & 31) == 31 && hop->draw < scheme->threshold)
		return written(scheme->name, hop->draw);
	/* A mark never becomes "no mark". */
	return carried(scheme->name, before, 30);
}
