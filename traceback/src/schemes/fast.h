/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of fast.rs: Paruchuri, Durresi, Barolli, AINA 2007.
 *
 *  24      22
 * | ASes (3) | slots, each: place (3) | hash |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_TOS_RESERVED
#define SLOT6 SLOT_ROOM
#define MARK_BITS 25
#define USES_PORT
#define DRAWS
#define TOP 22  /* of the count */
#define MOST 7  /* ASes of a path */

struct scheme {
	__u64 hash;  /* of this AS */
	__u64 slots; /* 1 or 2 */
	__u64 bits;  /* of a hash */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 slots = scheme->slots & 3, bits = scheme->bits & 31, ases = before >> TOP & 7;
	__u32 number = ases + 1, slot, at, kept = before & ((1 << TOP) - 1);

	if (!hop->edge && !hop->border)
		return before;
	if (hop->edge) {
		number = 1;
		kept = 0;
	} else if (ases == 0 || ases == MOST) {
		return kept;
	}
	/* The low bit is fair whatever the comparison, which looks at the high ones. */
	slot = number <= slots ? number - 1 : hop->draw & (slots - 1);
	if (number > slots && (__u64)hop->draw * number >= (__u64)slots << 32)
		return number << TOP | kept;
	at = (bits + 3) * (slots - 1 - slot) & 31;
	kept &= ~(((1U << ((bits + 3) & 31)) - 1) << at);
	return number << TOP | kept | (number << bits | (__u32)scheme->hash) << at;
}
