/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of pi.rs: Yaar, Perrig, Song, IEEE S&P 2003. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define USES_PORT

struct scheme {
	__u64 me; /* this router's address */
	__u64 n;  /* bits that a router writes: 1 or 2 */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 n = scheme->n & 3, at = (n == 1 ? hop->ttl & 15 : (hop->ttl & 7) * 2);
	__u32 mask = ((1U << n) - 1) << at;

	return (before & ~mask) | ((__u32)mix2(hop->from, scheme->me) << at & mask);
}
