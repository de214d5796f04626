/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of fms.rs: Savage et al., SIGCOMM 2000, section 4.4.
 *
 *  15    13 12       8 7              0
 * | offset | distance | fragment       |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 name;      /* address and hash interleaved; fragment 0 is the highest byte */
};

static __always_inline __u32 fragment_of(const volatile struct scheme *scheme, __u32 offset)
{
	return scheme->name >> (56 - 8 * offset) & 0xff;
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 offset = before >> 13 & 7, distance = before >> 8 & 31, fragment = before & 0xff;

	if (hop->draw < scheme->threshold) {
		/* The low bits are fair whatever the threshold, which fixes only the high ones. */
		offset = hop->draw & 7;
		return offset << 13 | fragment_of(scheme, offset);
	}
	if (distance == 0)
		fragment ^= fragment_of(scheme, offset);
	/* Saturates: a wrapped distance would let the attacker forge nearby links. */
	distance += distance < 31;
	return offset << 13 | distance << 8 | fragment;
}
