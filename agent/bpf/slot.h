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

/* The first eight bytes of a header as one little-endian number: of IPv4, TOS in bits 8 to 15,
 * Identification in 32 to 47, flags and fragment offset in 48 to 63; of IPv6, the flow label in 8 to 31. */
#define DF (0x40ULL << 48)
#define RESERVED_AT 55

static __always_inline __u16 word_of(__u64 head, __u32 byte)
{
	return __builtin_bswap16(head >> 8 * byte);
}

static __always_inline __u64 with_word(__u64 head, __u32 byte, __u16 word)
{
	return (head & ~(0xffffULL << 8 * byte)) | (__u64)__builtin_bswap16(word) << 8 * byte;
}

static __always_inline __u32 slot_read(int slot, __u64 head)
{
	__u32 id = word_of(head, 4), reserved = (head >> RESERVED_AT & 1) << 16;

	switch (slot) {
	case SLOT_ID:
		return id;
	case SLOT_ID_RESERVED:
		return reserved | id;
	case SLOT_ID_TOS_RESERVED:
		return (__u32)(head >> 8 & 0xff) << 17 | reserved | id;
	case SLOT_ID_FLAGS_OFFSET:
		return id << 16 | word_of(head, 6);
	case SLOT_FLOW_LABEL:
		return word_of(head, 2) | (__u32)(head >> 8 & 15) << 16;
	}
	return 0;
}

/* The header's beginning with another value in the slot. */
static __always_inline __u64 slot_write(int slot, __u64 head, __u32 value)
{
	switch (slot) {
	case SLOT_ID_TOS_RESERVED:
		head = (head & ~0xff00ULL) | (__u64)(value >> 17 & 0xff) << 8;
		/* fallthrough */
	case SLOT_ID_RESERVED:
		head = (head & ~(1ULL << RESERVED_AT)) | (__u64)(value >> 16 & 1) << RESERVED_AT;
		/* fallthrough */
	case SLOT_ID:
		return with_word(head, 4, value);
	case SLOT_ID_FLAGS_OFFSET:
		return with_word(with_word(head, 4, value >> 16), 6, value);
	case SLOT_FLOW_LABEL:
		return with_word((head & ~0xf00ULL) | (value >> 16 & 15) << 8, 2, value);
	}
	return head;
}

/* Writes the header's beginning, which was `old`; all at once, because a checksum that is repaired word
 * by word costs more than the mark. `slot` is all that differs. */
static __always_inline void set_head(__u8 *ip, int v6, int slot, __u64 old, __u64 new)
{
	__u64 sum = *(__u16 *)(ip + 10);

	*(__u64 *)ip = new;
	if (v6)
		return;
	sum += (old >> 32) + (__u32)(~new >> 32);
	/* Only one slot begins before the Identification. */
	if (slot == SLOT_ID_TOS_RESERVED)
		sum += (__u64)(__u32)old + (__u32)~new;
	*(__u16 *)(ip + 10) = remainder(sum);
}
