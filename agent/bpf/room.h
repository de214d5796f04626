/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Room that the sender reserved for records of 16 bits, and whose sum never changes: room.rs.
 */
#pragma once
#include "packet.h"

#define OPTION4 158
#define OPTION6 0x3e
#define HEAD 6
#define UDP_HLEN 8
#define MAGIC 0x41534849 /* "ASHI" */

struct room {
	__u32 used;    /* offset of the byte that counts, from the IP header; 0 where there is no room */
	__u32 records; /* that fit */
	__u8 *first; /* where the first two lie in the linear part, else 0; until a helper moves it */
};

static __always_inline struct room room_at(__u32 used, __u32 len)
{
	return (struct room){ used, (len - HEAD) / 2, 0 };
}

/* A search through options that begin at `at` and end before `end`. */
struct search {
	void *ctx;
	__u32 at, end;
	int v6;
	struct room found;
};

/* One option; 1 ends the search. A callback, because the verifier would follow every way through a
 * loop whose steps differ in length. */
static long look_at_option(__u32 i, struct search *search)
{
	__u32 at = search->at, len;
	int v6 = search->v6;
	__u8 head[2];

	if (at + 1 >= search->end || at > FARTHEST || LOAD(search->ctx, ETH_HLEN + at, head, 2))
		return 1;
	if (!v6 && head[0] == 0)
		return 1;
	len = v6 ? (head[0] == 0 ? 1 : 2 + head[1]) : head[0] == 1 ? 1 : head[1];
	if ((!v6 && head[0] != 1 && len < 2) || at + len > search->end)
		return 1;
	if (head[0] == (v6 ? OPTION6 : OPTION4) && len >= HEAD) {
		search->found = room_at(at + 2, len);
		return 1;
	}
	search->at = at + len;
	return 0;
}

/* Where the room is and how many records it holds, as one number; 0 where there is none. A function
 * of its own, because the verifier then looks at it once, whatever led here. */
__noinline __u64 find_option(CTX *ctx, __u32 at, __u32 end, __u32 v6)
{
	struct search search = { .ctx = ctx, .at = at, .end = end, .v6 = v6 };

	bpf_loop(v6 ? 2048 : 40, look_at_option, &search, 0);
	return (__u64)search.found.records << 32 | search.found.used;
}

static __always_inline struct room in_options(const struct view *v, __u32 at, __u32 end, int v6)
{
	__u64 found = find_option(v->ctx, at, end, v6);

	return (struct room){ found, found >> 32, 0 };
}

/* Behind the header of UDP and the first bytes of its payload. */
static __always_inline struct room find_payload(const struct view *v, const struct packet *p)
{
	struct room room = {};
	__u32 at = p->l4 + UDP_HLEN, left = p->total - at, magic;
	__u8 *payload = v->data + ETH_HLEN + (at & (2 * FARTHEST - 1)), *first = 0;
	__u8 head[2] __attribute__((aligned(2)));

	if (p->proto != UDP || p->fragment || at + PAYLOAD + 2 > p->total || at >= 2 * FARTHEST)
		return room;
	if ((void *)(payload + PAYLOAD + HEAD + 4) <= v->end) {
		copy(&magic, payload, 4);
		copy(head, payload + PAYLOAD, 2);
		first = payload + PAYLOAD + HEAD;
	} else if (take(v, at, &magic, 4) || take(v, at + PAYLOAD, head, 2)) {
		return room;
	}
	if (magic != bpf_htonl(MAGIC) || head[0] != OPTION4 || head[1] < HEAD ||
	    PAYLOAD + head[1] > left)
		return room;
	room = room_at(at + PAYLOAD + 2, head[1]);
	room.first = first;
	return room;
}

static __always_inline struct room find_room(const struct view *v, struct packet *p)
{
	struct room room = {};

	if (p->options) {
		__u8 len = 0;

		if (!p->v6)
			room = in_options(v, 20, p->l4, 0);
		else if (!LOAD(v->ctx, ETH_HLEN + 41, &len, 1))
			room = in_options(v, 42, 48 + 8 * len, 1);
	}
	return room.used ? room : find_payload(v, p);
}

/* Makes up for what other words of the room lose: `loss` is the sum of old words and of the complements
 * of new ones. Order of bytes does not matter as long as it is one. */
static __always_inline __u16 balanced(__u16 balance, __u64 loss)
{
	return remainder(balance + loss);
}

/* The first two records, if the packet has them. */
static __always_inline int get_room(const struct view *v, const struct room *room, __be32 *bits)
{
	if (room->records < 2)
		return -1;
	if (!room->first)
		return room->used > FARTHEST * 3 ? -1 : take(v, room->used + HEAD - 2, bits, 4);
	copy(bits, room->first, 4);
	return 0;
}

/* Writes them, which are known to lie in the packet. */
static __always_inline void set_room(struct view *v, const struct room *room, __be32 old, __be32 new)
{
	__u64 loss = (__u64)old + (__u32)~new;
	__u32 at = room->used + 2;
	__u16 balance;

	if (room->first) {
		*(__be32 *)room->first = new;
		*(__u16 *)(room->first - 2) = balanced(*(__u16 *)(room->first - 2), loss);
	} else if (!take(v, at, &balance, 2)) {
		put(v, at, balanced(balance, loss));
		put(v, at + 2, new);
		put(v, at + 4, new >> 16);
	}
}

/* Where all that changes when a record is appended lies in the linear part, there is no need to look each
 * time. */
static __always_inline int push_linear(struct room *room, __u8 *to, __u16 record)
{
	__u16 *used = (__u16 *)(room->first - 4), *balance = (__u16 *)(room->first - 2);
	int fits = (*used & 0xff) < room->records;
	__u16 old = *used, new = fits ? old + 1 : old | 1 << 8;
	__u64 loss = old + (__u16)~new;

	*used = new;
	if (fits) {
		loss += *(__u16 *)to + (__u16)~record;
		*(__u16 *)to = record;
	}
	*balance = balanced(*balance, loss);
	return fits;
}

/* Appends a record. Returns whether there was room; says so in the packet where there was not. */
static __always_inline int push_record(struct view *v, struct packet *p, __u16 record)
{
	struct room room = find_room(v, p);
	__u16 old, new, was, balance;
	__u64 loss;
	__u32 at;
	int fits;

	record = bpf_htons(record);
	if (room.first) {
		__u8 *to = room.first + 2 * room.first[-4];

		if ((void *)(to + 2) <= v->end)
			return push_linear(&room, to, record);
	}
	if (!room.used || room.used > FARTHEST * 3 || take(v, room.used, &old, 2) ||
	    take(v, room.used + 2, &balance, 2))
		return 0;
	at = room.used + HEAD - 2 + 2 * (old & 0xff);
	fits = (old & 0xff) < room.records && !take(v, at, &was, 2);
	new = fits ? old + 1 : old | 1 << 8;
	loss = old + (__u16)~new;
	put(v, room.used, new);
	if (fits) {
		loss += was + (__u16)~record;
		put(v, at, record);
	}
	put(v, room.used + 2, balanced(balance, loss));
	return fits;
}
