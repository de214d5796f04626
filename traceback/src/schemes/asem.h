/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of asem.rs: Gao, Ansari, Computer Networks 51(3), 2007.
 *
 *  24          20 19     16 15                     0
 * | TOS: distance | spared | Identification: edge   |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_TOS_RESERVED
#define SLOT6 SLOT_ROOM
#define MARK_BITS 25
#define USES_PORT
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 asn;
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 distance = before >> 20 & 31, spared = before & 15 << 16, edge = before & 0xffff;
	__u32 asn = scheme->asn & 0xffff;

	if (!hop->edge && !hop->border)
		return before;
	if (hop->edge || hop->draw < scheme->threshold)
		return spared | asn;
	if (distance == 0)
		edge ^= asn;
	/* Saturates: a wrapped distance would let the attacker forge nearby edges. */
	distance += distance < 31;
	return distance << 20 | spared | edge;
}
