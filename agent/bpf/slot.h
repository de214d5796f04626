/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The header bits that hold a mark, read and written with the checksum repaired: slot.rs.
 */
#pragma once
#include "packet.h"

/* Writes an aligned word of the IPv4 header. */
static __always_inline void set_word4(__u8 *ip, __u32 at, __u16 new)
{
	__u16 old = *(__u16 *)(ip + at);

	new = bpf_htons(new);
	if (old == new)
		return;
	*(__u16 *)(ip + 10) = repair(*(__u16 *)(ip + 10), old, new);
	*(__u16 *)(ip + at) = new;
}

/* Whether the packet's version of IP has the slot; `slot` is a constant, so all else falls away. */
static __always_inline int slot_fits(int slot, int v6)
{
	return slot == SLOT_NONE || (slot == SLOT_FLOW_LABEL) == !!v6;
}

static __always_inline __u32 slot_read(int slot, const __u8 *ip)
{
	__u32 id = be16(ip + 4), reserved = (__u32)(ip[6] >> 7) << 16;

	switch (slot) {
	case SLOT_ID:
		return id;
	case SLOT_ID_RESERVED:
		return reserved | id;
	case SLOT_ID_TOS_RESERVED:
		return (__u32)ip[1] << 17 | reserved | id;
	case SLOT_ID_FLAGS_OFFSET:
		return id << 16 | be16(ip + 6);
	case SLOT_FLOW_LABEL:
		return (__u32)(ip[1] & 15) << 16 | be16(ip + 2);
	}
	return 0;
}

static __always_inline void set_reserved(__u8 *ip, __u32 value)
{
	set_word4(ip, 6, (be16(ip + 6) & 0x7fff) | (value >> 16 & 1) << 15);
}

static __always_inline void slot_write(int slot, __u8 *ip, __u32 value)
{
	switch (slot) {
	case SLOT_ID:
		set_word4(ip, 4, value);
		break;
	case SLOT_ID_RESERVED:
		set_word4(ip, 4, value);
		set_reserved(ip, value);
		break;
	case SLOT_ID_TOS_RESERVED:
		set_word4(ip, 0, (be16(ip) & 0xff00) | (value >> 17 & 0xff));
		set_word4(ip, 4, value);
		set_reserved(ip, value);
		break;
	case SLOT_ID_FLAGS_OFFSET:
		set_word4(ip, 4, value >> 16);
		set_word4(ip, 6, value);
		break;
	case SLOT_FLOW_LABEL:
		ip[1] = (ip[1] & 0xf0) | (value >> 16 & 15);
		*(__be16 *)(ip + 2) = bpf_htons(value);
		break;
	}
}

static __always_inline void set_df(__u8 *ip)
{
	set_word4(ip, 6, be16(ip + 6) | 0x4000);
}
