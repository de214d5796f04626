/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of stackpi.rs: Yaar, Perrig, Song, IEEE JSAC 2006. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define USES_PORT
#define USES_NEXT

struct scheme {
	__u64 me; /* this router's address */
	__u64 n;  /* bits that a router pushes: 1 or 2 */
	__u64 ahead; /* whether it writes for a next router that takes no part */
};

static __always_inline __u32 push(__u32 n, __u32 mark, __u32 from, __u32 to)
{
	return mark << n | ((__u32)mix2(from, to) & ((1U << n) - 1));
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 n = scheme->n & 3, after = push(n, before, hop->from, scheme->me);

	if (scheme->ahead && hop->legacy)
		after = push(n, after, scheme->me, hop->to);
	return after & 0xffff;
}
