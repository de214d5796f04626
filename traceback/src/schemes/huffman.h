/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of huffman.rs: Choi, Dai, ISPAN 2004. 0: some log was full; 2 and 3 begin a number. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_ID_FLAGS_OFFSET
#define SLOT6 SLOT_ROOM
#define MARK_BITS 32
#define USES_PORT
#define HASHES
#define NEEDS

struct scheme {
	__u64 bits;   /* k, of the short words */
	__u64 shorts; /* u, how many there are */
};

/* Of D links, the first u = 2^(k+1) - D have words of k bits, the others of k + 1. Without branches, each of
 * which would double what the verifier has to see. */
static __always_inline __u64 push(const volatile struct scheme *scheme, __u32 number, __u32 link)
{
	__u32 bits = scheme->bits & 15, shorts = scheme->shorts, rest = link - shorts;
	__u32 is_long = 1 - (rest >> 31), pick = 0 - is_long;
	__u32 word = ((rest & 1) << bits) + shorts + (rest >> 1);

	return (__u64)number << (bits + is_long) | (word & pick) | (link & ~pick);
}

/* The log entry that the step needs, where the next word does not fit. */
static __always_inline int need(const volatile struct scheme *scheme, const struct hop *hop,
				__u64 digest, __u32 before, __u64 *key)
{
	*key = (mix2(digest, 0x4d525421) | 1ULL << 32) >> 32 << 32 | before;
	return !hop->edge && before >= 2 && push(scheme, before, hop->link) >> 32;
}

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	__u64 new = push(scheme, before, hop->link);

	/* Whatever the sender chose is wiped. */
	if (hop->edge)
		return 2;
	if (before < 2)
		return 0;
	if (new >> 32)
		new = hop->cell ? push(scheme, 3, hop->link) : 0;
	return new;
}
