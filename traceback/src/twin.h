/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * What every kernel twin builds on: the hop, the packet's identity, and the hashes. The same
 * definitions as scheme/hop.rs and invariant.rs; the twins' tests prove them equal. Compiled for the
 * kernel by agent/build.rs and for the host by tests. Little-endian machines only, as the agent is.
 */
#pragma once
#include <linux/types.h>

/* The kernel's headers mean a mere hint by it. */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

/* Where a mark lives (slot.rs). A header sets SLOT4 and SLOT6 to one of these. */
#define SLOT_NONE 0
#define SLOT_ID 1
#define SLOT_ID_RESERVED 2
#define SLOT_ID_TOS_RESERVED 3
#define SLOT_ID_FLAGS_OFFSET 4
#define SLOT_FLOW_LABEL 5
#define SLOT_ROOM 6
#define SLOT_IOAM_TRACE 7
#define SLOT_IOAM_EXPORT 8

/* One packet's visit to one router, on arrival, before the TTL is lowered. */
struct hop {
	__u64 at;     /* nanoseconds since the run's zero; only where the header sets USES_TIME */
	__u32 me;     /* this router's address, host order */
	__u32 from;   /* the neighbour that sent the packet, 0 for a host */
	__u32 draw;   /* 32 random bits; only where the header sets DRAWS */
	__u32 to;     /* the router that gets it next, 0 for a host; where the header sets USES_NEXT and
		       * some neighbour takes no part */
	__u32 cell;   /* what the table holds under the key that the step needs; 1: a message is owed */
	__u16 port;   /* index of the ingress port */
	__u16 degree; /* links to other routers */
	__u16 link;   /* rank of `from` among the neighbours */
	__u8 ttl;
	__u8 edge;    /* 1 where the ingress port faces hosts */
	__u8 border;  /* 1 where `from` belongs to another autonomous system */
	__u8 fragment;
	__u8 legacy;  /* 1 where `to` takes no part; where the header sets USES_NEXT */
	__u8 wanted;  /* 1 where the destination asks for messages; where the header sets SPEAKS */
};

/* To whom a message goes, and what becomes of those owed: where a header sets SPEAKS. */
enum { TO_NOBODY, TO_SOURCE, TO_DESTINATION };
enum { OWES_AS_BEFORE, OWES_MORE, PAYS };

/* Finaliser of SplitMix64 (Stafford's mix 13). */
static __always_inline __u64 mix(__u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* What mix2 adds for its second word. */
static __always_inline __u64 addend(__u64 b)
{
	return 0x9e3779b97f4a7c15ULL * (b + 1);
}

static __always_inline __u64 mix2(__u64 a, __u64 b)
{
	return mix(a + addend(b));
}

/* Number of this hop from the sender, 1 for the first router. */
static __always_inline __u8 hop_number(const struct hop *hop)
{
	__u32 ttl = hop->ttl, start = ttl <= 64 ? 64 : ttl <= 128 ? 128 : 255;

	return start - ttl + 1;
}

#define WORDS 8 /* of the longest invariant */

/* One word under its key: the product of both halves. */
static __always_inline __u64 nh(__u64 word, const volatile __u32 *key)
{
	return (__u64)((__u32)word + key[0]) * ((__u32)(word >> 32) + key[1]);
}

/* NH of UMAC in two lanes over `n` words, a constant where it is called: invariant.rs. `keys` are the
 * halves of its keys, the lower ones first. */
static __always_inline __u64 hash_words(const volatile __u32 *keys, const __u64 *words, __u32 n)
{
	__u64 first = 0, second = 0;

#pragma unroll
	for (__u32 i = 0; i < n; i++) {
		first += nh(words[i], keys + 2 * i);
		second += nh(words[i], keys + 2 * i + 2);
		/* Word by word: all at once would need more registers than there are. */
		asm volatile("" : "+r"(first), "+r"(second));
	}
	return first + second * 0x9e3779b97f4a7c15ULL;
}
