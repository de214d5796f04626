/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of authms.rs: Song, Perrig, INFOCOM 2001, section 5.
 *
 *  15     11 10       8 7              0
 * | distance | function | keyed hash    |
 */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define DRAWS
#define HASHES
#define USES_TIME
#define INTERVALS 128

struct scheme {
	__u64 threshold; /* a draw below this marks */
	__u64 interval;  /* of time, in nanoseconds */
	__u64 keys[2 * INTERVALS];
};

#define ROTATED(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUND(a, b, c, d) \
	a += b, b = ROTATED(b, 13) ^ a, a = ROTATED(a, 32), c += d, d = ROTATED(d, 16) ^ c, \
	a += d, d = ROTATED(d, 21) ^ a, c += b, b = ROTATED(b, 17) ^ c, c = ROTATED(c, 32)

/* SipHash-1-3 of digest, router, function and role, 14 bytes: Key::hash of authms/chain.rs. */
static __always_inline __u32 keyed_hash(const volatile __u64 *key, __u64 digest, __u32 router,
					__u32 function, __u64 completes)
{
	__u64 last = router | (__u64)function << 32 | completes << 40 | 14ULL << 56;
	__u64 a = key[0] ^ 0x736f6d6570736575ULL, b = key[1] ^ 0x646f72616e646f6dULL;
	__u64 c = key[0] ^ 0x6c7967656e657261ULL, d = key[1] ^ 0x7465646279746573ULL;

	d ^= digest, ROUND(a, b, c, d), a ^= digest;
	d ^= last, ROUND(a, b, c, d), a ^= last;
	c ^= 0xff, ROUND(a, b, c, d), ROUND(a, b, c, d), ROUND(a, b, c, d);
	return (a ^ b ^ c ^ d) & 0xff;
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u32 distance = before >> 11 & 31, function = before >> 8 & 7, hash = before & 0xff;
	__u64 interval = hop->at / scheme->interval;
	const volatile __u64 *key = scheme->keys + 2 * (interval & (INTERVALS - 1));

	/* Behind the chain's end nothing is marked. */
	if (interval < INTERVALS && hop->draw < scheme->threshold) {
		function = hop->draw & 7;
		return function << 8 | keyed_hash(key, digest, hop->me, function, 0);
	}
	if (interval < INTERVALS && distance == 0)
		hash ^= keyed_hash(key, digest, hop->me, function, 1);
	/* Saturates: a wrapped distance would let the attacker forge nearby links. */
	distance += distance < 31;
	return distance << 11 | function << 8 | hash;
}
