/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of ioam.rs: RFC 9197 section 4.4, a node's data of a pre-allocated trace. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_IOAM_TRACE
#define SLOT6 SLOT_IOAM_TRACE
#define MARK_BITS 32

struct scheme {
	__u64 node; /* 24 bits: the router's position in the map, plus one */
};

/* The hop limit is that of the leaving packet. */
static __always_inline __u32 mark(const volatile struct scheme *scheme, const struct hop *hop,
				  __u64 digest, __u32 before)
{
	return (__u32)(__u8)(hop->ttl - 1) << 24 | scheme->node;
}
