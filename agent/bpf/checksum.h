/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The Internet checksum, repaired where words change: checksum.rs.
 */
#pragma once
#include <linux/types.h>

/* The remainder of a sum below 2^36 after division by 0xffff. */
static __always_inline __u16 remainder(__u64 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum + (sum >= 0xffff);
}

/* RFC 1624 equation 3; byte order does not matter as long as it is one. Never 0xffff: checksum.rs. */
static __always_inline __u16 repair(__u16 check, __u16 old, __u16 new)
{
	return remainder((__u64)check + old + (__u16)~new);
}
