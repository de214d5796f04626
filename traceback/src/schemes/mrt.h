/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of mrt.rs: Malliga, Tamilarasi, WSEAS 2008. 0: some log was full; 2 and 3 begin a number. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_FLAGS_OFFSET
#define SLOT6 SLOT_ROOM
#define MARK_BITS 32
#define USES_PORT
#define HASHES
#define NEEDS

struct scheme {
	__u64 none; /* nothing to know */
};

static __always_inline __u64 push(__u32 number, const struct hop *hop)
{
	return (__u64)number * (hop->degree < 2 ? 2 : hop->degree) + hop->link;
}

/* The log entry that the step needs, where the next digit does not fit. */
static __always_inline int need(const volatile struct scheme *scheme, const struct hop *hop,
				__u64 digest, __u32 before, __u64 *key)
{
	*key = (mix2(digest, 0x4d525421) | 1ULL << 32) >> 32 << 32 | before;
	return !hop->edge && before >= 2 && push(before, hop) >> 32;
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u64 new = push(before, hop);

	/* Whatever the sender chose is wiped. */
	if (hop->edge)
		return 2;
	if (before < 2)
		return 0;
	if (new >> 32)
		new = hop->cell ? push(3, hop) : 0;
	return new;
}
