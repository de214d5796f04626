/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Cells of a page of a hash log, for twins that say LOGS: schemes/pages.rs. */
#pragma once
#include "twin.h"

#define MAX_CELLS 64 /* of one packet */

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
static __always_inline __u32 cell(__u64 bits, struct walk *walk)
{
	__u32 bit = walk->at * bits >> 32;

	walk->at += walk->step;
	return bit;
}
