/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of fit.rs: Yaar, Perrig, Song, INFOCOM 2005.
 *
 *  15   14 13   12           0
 * | b | index  | fragment     |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS
#define SETS_TTL

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 c;         /* low five bits of a marked packet's TTL */
	__u64 hash;      /* of this router; fragment i begins at bit 13 i */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	/* The low bits are fair whatever the threshold, which fixes only the high ones. */
	__u32 index = hop->draw & 3;

	if (hop->draw >= scheme->threshold)
		return before;
	return (hop->ttl >> 5 & 1) << 15 | index << 13 | (scheme->hash >> 13 * index & 0x1fff);
}

static __always_inline __u8 ttl_after(const volatile struct scheme *scheme, const struct hop *hop)
{
	return hop->draw < scheme->threshold ? (hop->ttl & ~0x1f) | scheme->c : hop->ttl;
}
