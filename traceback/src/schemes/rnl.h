/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of rnl.rs: Goodrich, CCS 2002.
 *
 *  19        10 9     8 7        0
 * | cord (10)  | index | word (8) |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_TOS_RESERVED
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 20
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 cord;
	__u64 me;
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 index = hop->draw & 3;

	if (hop->draw >= scheme->threshold)
		return before;
	return scheme->cord << 10 | index << 8 | (scheme->me >> (24 - 8 * index) & 0xff);
}
