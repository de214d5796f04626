/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of amswide.rs: Song, Perrig, INFOCOM 2001, scheme I, in reserved room.
 *
 *  31     27 26                        0
 * | distance | hash of a link           |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ROOM
#define SLOT6 SLOT_ROOM
#define MARK_BITS 32
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 alone;     /* the router's hash when it writes, 27 bits */
	__u64 under;     /* and when it completes a link */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 distance = before >> 27, edge = before & 0x7ffffff;

	if (hop->draw < scheme->threshold)
		return scheme->alone & 0x7ffffff;
	if (distance == 0)
		edge ^= scheme->under & 0x7ffffff;
	/* Saturates: a wrapped distance would let the attacker forge nearby links. */
	distance += distance < 31;
	return distance << 27 | edge;
}
