/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of fms6.rs: Savage et al., SIGCOMM 2000, section 7.
 *
 * | offset | distance (5) | fragment (width) |   20 bits
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_FLOW_LABEL
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 20
#define DRAWS

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 fragments; /* of a name */
	__u64 width;     /* bits of a fragment */
	__u64 name[32];  /* by offset; zeros where there is none */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 width = scheme->width & 31, fragment = before & ((1U << width) - 1);
	__u32 distance = before >> width & 31, offset = before >> (width + 5) & 31;

	if (hop->draw < scheme->threshold) {
		/* The low bits are fair whatever the threshold, which fixes only the high ones. */
		offset = (hop->draw & 0xffff) * (__u32)scheme->fragments >> 16 & 31;
		return offset << (width + 5) | (__u32)scheme->name[offset];
	}
	if (distance == 0)
		fragment ^= scheme->name[offset];
	/* Saturates: a wrapped distance would let the attacker forge nearby links. */
	distance += distance < 31;
	return (offset << 5 | distance) << width | fragment;
}
