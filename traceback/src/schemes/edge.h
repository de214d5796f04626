/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of edge.rs: Savage et al., SIGCOMM 2000, section 4.3.
 *
 *  31     26 25        13 12         0
 * | distance | start      | end       |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ROOM
#define SLOT6 SLOT_ROOM
#define MARK_BITS 32
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 name;      /* position in the map + 1, or 0 for none */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 distance = before >> 26, links = before & 0x3ffffff;

	if (scheme->name && hop->draw < scheme->threshold)
		return scheme->name << 13;
	if (distance == 0)
		links = (links & ~0x1fffU) | scheme->name;
	/* Saturates: a wrapped distance would let the attacker forge nearby links. */
	distance += distance < 63;
	return distance << 26 | links;
}
