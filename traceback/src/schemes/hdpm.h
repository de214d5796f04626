/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of hdpm.rs: Belenky, Ansari, PACRIM 2003; the layout is segments.rs.
 *
 *  16                                  0
 * | digest (d) | index (s) | segment (a) |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_RESERVED
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 17
#define USES_PORT
#define DRAWS

struct scheme {
	__u64 address;    /* this router's */
	__u64 a, s, d, f; /* bits of segment, index and digest; digest functions */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 a = scheme->a & 31, s = scheme->s & 31, address = scheme->address;
	__u32 index = hop->draw & ((1U << s) - 1), function = (hop->draw >> 16) * scheme->f >> 16;
	__u32 segment = address >> (a * index & 31) & ((1U << a) - 1);
	__u32 own = mix2(address, function) >> ((64 - scheme->d) & 63);

	return hop->edge ? (own << s | index) << a | segment : before;
}
