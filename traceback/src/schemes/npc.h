/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of npc.rs: Tseng, Chen, Hsieh, IEEE Communications Letters 8(7), 2004.
 * Distance 31 says "no mark".
 */
#pragma once
#include "fragments/step.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS

struct scheme {
	__u64 share; /* p of 2^32 */
	__u64 name;
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	/* Of 2^32 packets, those that routers before this one have marked. */
	__u64 marked = (__u64)(__u32)(hop_number(hop) - 1) * scheme->share, all = 1ULL << 32;

	if ((before >> 8 & 31) == 31 && marked < all &&
	    hop->draw * (all - marked) >> 32 < scheme->share)
		return written(scheme->name, hop->draw);
	/* A mark never becomes "no mark". */
	return carried(scheme->name, before, 30);
}
