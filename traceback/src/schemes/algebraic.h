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

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 x = (mix2(digest, 0x414c4745) >> 32) * 257 >> 32, me = scheme->me;
	__u32 routers = before >> 9 & 0x7f, y = before & 0x1ff;

	if (scheme->threshold ? hop->draw < scheme->threshold : hop->edge == 1)
		routers = y = 0;
	y = (y * x + (me >> 24)) % 257;
	y = (y * x + (me >> 16 & 0xff)) % 257;
	y = (y * x + (me >> 8 & 0xff)) % 257;
	y = (y * x + (me & 0xff)) % 257;
	/* Saturates: a wrapped number would let the attacker shorten paths. */
	routers += routers < 127;
	return routers << 9 | y;
}
