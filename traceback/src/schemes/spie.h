/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of spie.rs: Snoeren et al., SIGCOMM 2001; one page of a Bloom filter at a time. */
#pragma once
#include "../pages.h"

#define SLOT4 SLOT_NONE
#define SLOT6 SLOT_NONE
#define HASHES
#define LOGS

struct scheme {
	__u64 bits;   /* of a page, at most 2^32 */
	__u64 hashes; /* cells set for each packet */
};

/* Every packet is logged, under its own digest. */
static __always_inline int log_key(const struct hop *hop, __u32 mark, __u64 *digest)
{
	return 1;
}
