/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * One router's step on one packet: At::forward_known of vantage/at.rs. SCHEME names the twin's header.
 */
#pragma once
#include SCHEME
#include "slot.h"
#include "state.h"

#ifndef MARK_BITS
#define MARK_BITS 0
#endif
#if MARK_BITS > 0 || defined(RECORDS) || defined(LOGS) || defined(SPEAKS)
/* The twin's own settings: struct scheme of its header. */
const volatile struct scheme scheme = {};
#endif
#include "digest.h"
#include "log.h"
#include "room.h"
#include "table.h"
#include "tell.h"
#include "trace.h"

#ifdef SETS_TTL
/* The twin says which TTL the packet shall seem to have had on arrival; by LOWERED it is lower here. */
static __always_inline void set_ttl(__u8 *ip, int v6, const struct hop *hop, struct counters *count)
{
	__u8 ttl = ttl_after(&scheme, hop);

	if (ttl == hop->ttl)
		return;
	ttl = (ttl < 2 ? 2 : ttl) - LOWERED;
	if (v6)
		ip[7] = ttl;
	else
		set_word4(ip, 8, ttl << 8 | ip[9]);
	count->ttl_changed++;
}
#endif

#if MARK_BITS > 0
/* The bits of a slot that are the mark's. */
static const __u32 mask = MARK_BITS == 32 ? ~0U : (1U << (MARK_BITS & 31)) - 1;

/* The twin's step, with the entry of the table that it needs. */
static __always_inline __u32 next_mark(struct hop *hop, __u64 digest, __u32 before,
				       struct counters *count)
{
#ifdef NEEDS
	__u64 key;

	if (need(&scheme, hop, digest, before, &key))
		hop->cell = find_cell(key, count);
#endif
	return mark(&scheme, hop, digest, before);
}

/* Writes a mark into reserved room; returns what stands there now. */
static __always_inline __u32 write_room(struct view *v, struct packet *p, struct hop *hop,
				       __u64 digest, struct counters *count)
{
	struct room room = find_room(v, p);
	__u32 bits, after;
	__be32 old;

	if (get_room(v, &room, &old)) {
		count->no_slot++;
		return 0;
	}
	bits = bpf_ntohl(old);
	after = next_mark(hop, digest, bits & mask, count) & mask;
	if (after == (bits & mask))
		return after;
	if (!p->df && v->data + ETH_HLEN + 20 <= v->end) {
		__u64 *head = v->data + ETH_HLEN;

		set_head((void *)head, 0, SLOT_ID, *head, *head | DF);
		count->df_set++;
	}
	set_room(v, &room, old, bpf_htonl((bits & ~mask) | after));
	count->marked++;
	return after;
}

/* Writes node data into an IOAM trace: push_node of ioam.rs. */
static __always_inline __u32 write_trace(struct view *v, struct packet *p, struct hop *hop,
					 __u64 digest, struct counters *count)
{
	__u32 at = find_ioam(v, p, IOAM_CHANGING), flags, data;
	__u16 word;

	if (!at || at > FARTHEST || take(v, at + 6, &word, 2)) {
		count->no_slot++;
		return 0;
	}
	flags = bpf_ntohs(word);
	if ((flags & IOAM_OVERFLOW) || !(flags & IOAM_REMAINING)) {
		put(v, at + 6, bpf_htons(flags | IOAM_OVERFLOW));
		count->no_room++;
		return 0;
	}
	data = next_mark(hop, digest, 0, count);
	put(v, at + 6, bpf_htons(flags - 1));
	at += IOAM_TRACE_HEAD + 4 * ((flags & IOAM_REMAINING) - 1);
	put(v, at, bpf_htons(data >> 16));
	put(v, at + 2, bpf_htons(data));
	count->marked++;
	return 0;
}

/* Returns the mark that the packet carries now. */
static __always_inline __u32 write_mark(struct view *v, struct packet *p,
					struct hop *hop, __u64 digest, struct counters *count)
{
	__u8 *ip = v->data + ETH_HLEN;
	int slot = p->v6 ? SLOT6 : SLOT4;
	__u32 bits, after;
	__u64 head, next;

	if (slot == SLOT_ROOM)
		return write_room(v, p, hop, digest, count);
	if (slot == SLOT_IOAM_TRACE)
		return write_trace(v, p, hop, digest, count);
	if (!slot_fits(slot, p->v6) || (void *)(ip + 20) > v->end) {
		count->no_slot++;
		return 0;
	}
	head = *(__u64 *)ip;
	bits = slot_read(slot, head);
	if (p->fragment && slot != SLOT_FLOW_LABEL) {
		/* A mark would break its reassembly. */
		count->fragments_skipped++;
		return bits & mask;
	}
	after = next_mark(hop, digest, bits & mask, count) & mask;
#ifdef SETS_TTL
	set_ttl(ip, p->v6, hop, count);
	head = *(__u64 *)ip; /* IPv6's hop limit is in it */
#endif
	if (after == (bits & mask))
		return after;
	next = slot_write(slot, head, (bits & ~mask) | after);
	count->marked++;
	if (slot != SLOT_ID_FLAGS_OFFSET && !p->df) {
		/* Nobody may fragment it behind the mark. */
		next |= DF;
		count->df_set++;
	}
	set_head(ip, p->v6, slot, head, next);
	return after;
}
#endif

#ifdef EXPORTS
/* Exports a packet that asks for it, under its flow and number: dex.rs. */
static __always_inline void export_packet(struct view *v, struct packet *p, const struct hop *hop,
					  struct counters *count)
{
	__u32 at = find_ioam(v, p, IOAM_CONSTANT), id[2];

	if (!at || at > FARTHEST || take(v, at + 12, id, 8)) {
		count->no_slot++;
		return;
	}
	keep_first((__u64)bpf_ntohl(id[0]) << 32 | bpf_ntohl(id[1]), exported(hop), count);
}
#endif

#ifdef DRAWS
/* Multiplication with carry (MWC64X by Thomas), seeded by the kernel: a call of its generator for each
 * packet would cost more than the rest of the step. */
static __always_inline __u32 draw(struct counters *count)
{
	__u64 state = count->chance;
	__u32 value, carry;

	if (!state)
		state = (__u64)bpf_get_prandom_u32() << 32 | bpf_get_prandom_u32() | 1;
	value = state;
	carry = state >> 32;
	count->chance = value * 4294883355ULL + carry;
	return value ^ carry;
}
#endif

static __always_inline void step(struct view *v, struct packet *p, struct hop *hop,
				 struct counters *count)
{
	if (!p->v6 && SLOT4 == SLOT_ID_FLAGS_OFFSET)
		p->fragment = p->later_fragment = 0; /* they are the mark's */
	hop->fragment = p->fragment != 0;
#if defined(HASHES)
	__u64 digest = digest_of(v, p);
#elif defined(DRAWS)
	__u64 digest = known()->keyed ? digest_of(v, p) : 0;
#elif MARK_BITS > 0
	__u64 digest = 0;
#endif
#ifdef USES_TIME
	__s64 since = bpf_ktime_get_coarse_ns() - known()->zero;

	hop->at = since < 0 ? 0 : since;
#endif
#ifdef DRAWS
	hop->draw = known()->keyed ? mix2(digest ^ known()->draws, hop->me) >> 32
				  : draw(count);
#endif
#if MARK_BITS > 0
	__u32 now = write_mark(v, p, hop, digest, count);
#else
	__u32 now = 0;
#endif
#ifdef EXPORTS
	export_packet(v, p, hop, count);
#endif
#ifdef SPEAKS
	speak(v, p, hop, count);
#endif
#ifdef RECORDS
	count->no_room += !push_record(v, p, record(&scheme));
#endif
#ifdef LOGS
	if (log_key(hop, now, &digest))
		log_digest(count, digest);
#endif
	(void)now;
}

/* The same, with one step in so many timed. What two looks at the clock cost is in it; the twin of `none`,
 * which does nothing between them, tells how much that is. */
static __always_inline void timed_step(struct view *v, struct packet *p, struct hop *hop,
				       struct counters *count)
{
	__u64 before = 0;

	if (known()->every && !count->timer--) {
		count->timer = known()->every - 1;
		before = bpf_ktime_get_ns();
	}
	step(v, p, hop, count);
	if (before)
		record_time(bpf_ktime_get_ns() - before);
}

/* `in` and `out` are interfaces, `port` is what is known of the former; `out` is 0 where it is not known. */
static __always_inline void fill_hop(struct hop *hop, struct packet *p, __u8 ttl,
				     const struct port *port, __u32 in, __u32 out)
{
#ifdef SPEAKS
	p->in = in;
	p->out = out;
#endif
	hop->me = known()->me;
	hop->degree = known()->degree;
	hop->ttl = ttl;
#ifdef USES_PORT
	if (port && port->known) {
		hop->from = port->from;
		hop->port = port->index;
		hop->edge = port->edge;
		hop->link = port->link;
		hop->border = port->border;
	}
#endif
#ifdef USES_NEXT
	struct port *next = known()->ahead ? bpf_map_lookup_elem(&ports, &out) : 0;

	if (next && next->known) {
		hop->to = next->from;
		hop->legacy = next->legacy;
	}
#endif
}
