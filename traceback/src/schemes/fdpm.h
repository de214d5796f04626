/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of fdpm.rs: Xiang, Zhou, Guo, TPDS 2009, without its load controller.
 *
 *  24        17   16      15             0
 * | TOS (8)     | marked | Identification |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_TOS_RESERVED
#define SLOT6 SLOT_ROOM
#define MARK_BITS 25
#define USES_PORT
#define DRAWS

struct scheme {
	__u64 address; /* this router's */
	__u64 a, s, d; /* bits of segment, index and digest */
	__u64 spared;  /* bits of TOS that stay */
	__u64 digest;  /* of the address */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 a = scheme->a & 31, s = scheme->s & 31, spared = scheme->spared & 31;
	__u32 address = scheme->address, index = hop->draw & ((1U << s) - 1);
	__u32 segment = address >> (a * index & 31) & ((1U << a) - 1);
	__u32 bits = ((__u32)scheme->digest << s | index) << a | segment;
	__u32 tos = bits >> 16 << spared | (before >> 17 & ((1U << spared) - 1));

	return hop->edge ? tos << 17 | 1 << 16 | (bits & 0xffff) : before;
}
