/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of dpm.rs: Belenky, Ansari, IEEE Communications Letters 2003.
 *
 *  16     15                0
 * | half | half an address   |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_RESERVED
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 17
#define USES_PORT
#define DRAWS

struct scheme {
	__u64 address; /* this router's */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 half = hop->draw & 1;

	if (!hop->edge)
		return before;
	/* Without a branch, which a processor would guess wrong every other time. */
	return half << 16 | (scheme->address >> ((half - 1) & 16) & 0xffff);
}
