/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The Internet checksum, repaired where words change: checksum.rs.
 */
#pragma once
#include <linux/types.h>

/* Folds carries into 16 bits, of a sum below 2^36. */
static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* RFC 1624 equation 3; byte order does not matter as long as it is one. Never 0xffff: checksum.rs. */
static __always_inline __u16 repair(__u16 check, __u16 old, __u16 new)
{
	return ~fold(0xffffULL + (__u16)~check + (__u16)~old + new);
}
