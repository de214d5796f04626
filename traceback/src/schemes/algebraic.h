/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of algebraic.rs: Dean, Franklin, Stubblefield, NDSS 2001.
 *
 *  15          9 8                0
 * | routers (7) | value mod 257 (9) |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS
#define HASHES
#define USES_PORT

struct scheme {
	__u64 threshold; /* a draw below this starts anew; 0: only the edge does */
	__u64 me;
};

/* Modulo 257 for numbers below 2^42, by 2^16 = 1 and 2^8 = -1 and a reciprocal that is exact below
 * 1285: a division would cost more than all else. */
static __always_inline __u32 reduced(__u64 value)
{
	__u32 folded = (value & 0xffff) + (value >> 16 & 0xffff) + (value >> 32);
	__u32 rest = (folded & 0xff) + 4 * 257 - (folded >> 8);

	return rest - 257 * (rest * 16321 >> 22);
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u64 x = (mix2(digest, 0x414c4745) >> 32) * 257 >> 32, x2 = x * x, me = scheme->me;
	__u64 y = before & 0x1ff;
	__u32 routers = before >> 9 & 0x7f;

	if (scheme->threshold ? hop->draw < scheme->threshold : hop->edge == 1)
		y = routers = 0;
	/* Horner's rule written out, so that nothing waits for anything. */
	y = reduced(y * (x2 * x2) + (me >> 24) * (x2 * x) + (me >> 16 & 0xff) * x2 +
		    (me >> 8 & 0xff) * x + (me & 0xff));
	/* Saturates: a wrapped number would let the attacker shorten paths. */
	routers += routers < 127;
	return routers << 9 | y;
}
