/* SPDX-License-Identifier: MIT OR Apache-2.0
 * Kernel twin of dex.rs: RFC 9326, direct export of flow and sequence number. */
#pragma once
#include "../twin.h"

#define SLOT4 SLOT_IOAM_EXPORT
#define SLOT6 SLOT_IOAM_EXPORT
#define EXPORTS

/* What is exported of a packet: the hop limit with which it leaves. */
static __always_inline __u32 exported(const struct hop *hop)
{
	return (__u8)(hop->ttl - 1);
}
