/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The testbed's ranges: where its packets come from and go to. */
#pragma once
#include <linux/types.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* 198.18.0.0/15, RFC 2544. */
static __always_inline int in_range4(__be32 address)
{
	return (bpf_ntohl(address) >> 17) == (0xc6120000 >> 17);
}

/* 2001:2::/48, RFC 5180 with erratum 1752. */
static __always_inline int in_range6(const __be16 *address)
{
	return address[0] == bpf_htons(0x2001) && address[1] == bpf_htons(2) && !address[2];
}
