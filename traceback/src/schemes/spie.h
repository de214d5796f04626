/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of spie.rs: Snoeren et al., SIGCOMM 2001; one page of a Bloom filter at a time. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_NONE
#define SLOT6 SLOT_NONE
#define HASHES
#define LOGS
#define MAX_CELLS 64 /* of one packet */

struct scheme {
	__u64 bits;   /* of a page, at most 2^32 */
	__u64 hashes; /* cells set for each packet */
};

/* Double hashing: Kirsch and Mitzenmacher, ESA 2006. */
struct walk {
	__u32 at, step;
};

static __always_inline struct walk start(__u64 salt, __u64 digest)
{
	__u64 both = mix2(digest, salt);

	return (struct walk){ both >> 32, both | 1 };
}

/* The next cell of the walk: a bit of the page, uniform over 0..bits without a division. */
static __always_inline __u32 cell(const volatile struct scheme *scheme, struct walk *walk)
{
	__u32 bit = walk->at * scheme->bits >> 32;

	walk->at += walk->step;
	return bit;
}
