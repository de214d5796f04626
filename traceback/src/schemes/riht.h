/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of riht.rs: Yang, Yang, IEEE TIFS 2012. All ones: some table was full. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_FLAGS_OFFSET
#define SLOT6 SLOT_ROOM
#define MARK_BITS 32
#define USES_PORT
#define NEEDS

struct scheme {
	__u64 none; /* nothing to know */
};

static __always_inline __u64 with_digit(const struct hop *hop, __u32 before)
{
	return (__u64)before * (hop->degree + 1U) + hop->link + 1;
}

/* The entry that the step needs, where the next digit does not fit. */
static __always_inline int need(const volatile struct scheme *scheme, const struct hop *hop,
				__u64 digest, __u32 before, __u64 *key)
{
	*key = (__u64)before << 16 | hop->link;
	return !hop->edge && before != ~0U && with_digit(hop, before) >= ~0U;
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u64 new = with_digit(hop, before);

	/* A border router's own mark: whatever the sender chose is wiped. */
	if (hop->edge)
		return 0;
	if (before == ~0U)
		return before;
	if (new < ~0U)
		return new;
	new = (__u64)hop->cell * (hop->degree + 1U);
	return hop->cell && new < ~0U ? new : ~0U;
}
