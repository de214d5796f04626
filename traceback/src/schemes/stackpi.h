/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of stackpi.rs: Yaar, Perrig, Song, IEEE JSAC 2006. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define USES_PORT

struct scheme {
	__u64 me; /* this router's address */
	__u64 n;  /* bits that a router pushes: 1 or 2 */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 n = scheme->n & 3, own = (__u32)mix2(hop->from, scheme->me) & ((1U << n) - 1);

	return (before << n | own) & 0xffff;
}
