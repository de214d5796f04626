/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of ams1.rs: Song, Perrig, INFOCOM 2001, scheme I.
 *
 *  15     11 10                  0
 * | distance | hash of a link     |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 alone;     /* the router's hash when it writes, 11 bits */
	__u64 under;     /* and when it completes a link */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 distance = before >> 11 & 31, edge = before & 0x7ff;

	if (hop->draw < scheme->threshold)
		return scheme->alone & 0x7ff;
	if (distance == 0)
		edge ^= scheme->under & 0x7ff;
	/* Saturates: a wrapped distance would let the attacker forge nearby links. */
	distance += distance < 31;
	return distance << 11 | edge;
}
