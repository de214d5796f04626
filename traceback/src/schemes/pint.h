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
};

static __always_inline __u32 one_digest(const volatile struct scheme *scheme,
					const struct hop *hop, __u64 base, __u32 old)
{
	__u32 number = hop_number(hop), act = mix2(base, number) >> 32, own;
	int layer0 = base >> 32 < scheme->tau;

	if (layer0 ? (__u64)act * number >> 32 : act >= scheme->p)
		return old;
	own = mix2(base, 1ULL << 32 | hop->me) & 0xff;
	return layer0 ? own : old ^ own;
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	if (hop_number(hop) == 1)
		before = 0;
	return one_digest(scheme, hop, mix2(digest, 0x50494e54), before >> 8 & 0xff) << 8 |
	       one_digest(scheme, hop, mix2(digest, 0x50494e55), before & 0xff);
}
