/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of ams2.rs: Song, Perrig, INFOCOM 2001, scheme II.
 *
 *  15     11 10       8 7              0
 * | distance | function | hash          |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 alone;     /* the router's eight hashes when it writes; function 0 is the lowest byte */
	__u64 under;     /* and when it completes a link */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 distance = before >> 11 & 31, function = before >> 8 & 7, edge = before & 0xff;

	if (hop->draw < scheme->threshold) {
		/* The low bits are fair whatever the threshold, which fixes only the high ones. */
		function = hop->draw & 7;
		return function << 8 | (scheme->alone >> 8 * function & 0xff);
	}
	if (distance == 0)
		edge ^= scheme->under >> 8 * function & 0xff;
	/* Saturates: a wrapped distance would let the attacker forge nearby links. */
	distance += distance < 31;
	return distance << 11 | function << 8 | edge;
}
