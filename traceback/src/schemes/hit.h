/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of hit.rs: Gong, Sarac, TPDS 2008.
 *
 *  15            1   0
 * | name (15)     | logged |
 */
#pragma once
#include "../pages.h"

#define SLOT4 SLOT_ID
#define SLOT6 SLOT_FLOW_LABEL
#define MARK_BITS 16
#define USES_PORT
#define HASHES
#define LOGS

struct scheme {
	__u64 bits;   /* of a page, at most 2^32 */
	__u64 hashes; /* cells set for each logged packet */
	__u64 name;   /* of this router */
};

static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	/* Whatever a host wrote is no router's name. */
	int valid = !hop->edge && (before >> 1 & 0x7fff) == (__u32)(hop->from * 0x9e3779b9U) >> 17;

	return scheme->name << 1 | (valid && !(before & 1));
}

/* A packet is logged under its neighbour, where the mark says so, and every fragment. */
static __always_inline int log_key(const struct hop *hop, __u32 mark, __u64 *digest)
{
	*digest += addend(hop->from);
	return hop->fragment || mark & 1;
}
