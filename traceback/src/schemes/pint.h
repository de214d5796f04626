/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of pint.rs: Ben Basat et al., SIGCOMM 2020, two digests of 8 bits.
 *
 *  15             8 7              0
 * | instance 0     | instance 1     |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define HASHES

struct scheme {
	__u64 tau; /* draws below this go to layer 0 */
	__u64 p;   /* draws below this take part in layer 1 */
	__u64 own; /* what mix2 adds for this router's name */
};

/* One instance takes the upper or the lower half of what is hashed for both. Without branches: they
 * would follow chance, and a processor that guesses wrong every other time loses more than it computes. */
static __always_inline __u32 one_digest(const volatile struct scheme *scheme, __u64 number,
					__u32 layer, __u32 act, __u32 own, __u32 old)
{
	__u64 layer0 = (layer - scheme->tau) >> 63; /* 1 where layer < tau */
	__u64 overwrites = ((act * number >> 32) - 1) >> 63, xors = (act - scheme->p) >> 63;
	__u64 acts = (layer0 & overwrites) | (~layer0 & xors);

	return old ^ (-acts & (own ^ (-layer0 & old)) & 0xff);
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u64 number = hop_number(hop), layer = mix2(digest, 2ULL << 32);
	__u64 act = mix2(digest, number), own = mix(digest + scheme->own);
	__u32 first, second;

	if (number == 1)
		before = 0;
	first = one_digest(scheme, number, layer >> 32, act >> 32, own, before >> 8);
	second = one_digest(scheme, number, layer, act, own >> 8, before & 0xff);
	return first << 8 | second;
}
