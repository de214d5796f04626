/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of fragments/mod.rs: what a router writes into a mark, and how it keeps one. Shared by
 * the twins of all schemes that mark with fragments.
 *
 *  15    13 12       8 7              0
 * | offset | distance | fragment       |
 */
#pragma once
#include "../../twin.h"

/* `name` is address and hash interleaved; fragment 0 is its highest byte. */
static __always_inline __u32 fragment_of(__u64 name, __u32 offset)
{
	return name >> (56 - 8 * offset) & 0xff;
}

static __always_inline __u32 written(__u64 name, __u32 draw)
{
	__u32 offset = draw & 7;

	return offset << 13 | fragment_of(name, offset);
}

static __always_inline __u32 carried(__u64 name, __u32 before, __u32 far)
{
	__u32 offset = before >> 13 & 7, distance = before >> 8 & 31, fragment = before & 0xff;

	if (distance == 0)
		fragment ^= fragment_of(name, offset);
	/* Saturates: a wrapped distance would let the attacker forge nearby links. */
	distance += distance < far;
	return offset << 13 | distance << 8 | fragment;
}
