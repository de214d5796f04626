/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A packet's identity: a keyed hash over what nobody on the way changes. See invariant.rs.
 */
#pragma once
#include "packet.h"
#include "state.h"

/* The first bytes of the payload as words, zeros behind its end. */
static __always_inline void payload_words(const struct view *v, const struct packet *p, __u64 *to)
{
	__u32 left = p->total - p->payload, at = bounded(p->payload), odd;
	const __u8 *from = v->data + ETH_HLEN + at, *last;

	if (left >= PAYLOAD && (const void *)(from + PAYLOAD) <= v->end) {
		to[0] = *(const __u64 *)from;
		to[1] = *(const __u64 *)(from + 8);
		to[2] = *(const __u64 *)(from + 16);
		return;
	}
	to[0] = to[1] = to[2] = 0;
	/* A packet may end with its transport header. */
	if (!left)
		return;
	if (left > PAYLOAD)
		left = PAYLOAD;
	/* Verifiers before Linux 6.8 forget it on the way, and would let nobody read behind a pointer that far. */
	barrier_var(left);
	left &= 31;
	/* The last bytes come with those before them, of which there are headers at least. */
	last = from + left - 8;
	if ((const void *)(last + 8) > v->end) {
		load_some(v->ctx, ETH_HLEN + at, to, left, PAYLOAD);
		return;
	}
	odd = 64 - 8 * (left & 7);
	if (left >= 8 && (const void *)(from + 8) <= v->end)
		to[0] = *(const __u64 *)from;
	if (left >= 16 && (const void *)(from + 16) <= v->end)
		to[1] = *(const __u64 *)(from + 8);
	if (left < 8)
		to[0] = *(const __u64 *)last >> odd;
	else if (left > 8 && left < 16)
		to[1] = *(const __u64 *)last >> odd;
	else if (left > 16 && left < 24)
		to[2] = *(const __u64 *)last >> odd;
}

static __always_inline __u64 digest_of(const struct view *v, struct packet *p)
{
	const __u8 *ip = v->data + ETH_HLEN;
	__u64 words[8], what;

	parse_transport(v, p);
	what = p->proto | (__u64)p->ports << 32;
	if (p->v6) {
		if ((const void *)(ip + 40) > v->end)
			return 0;
		copy(words, ip + 8, 32);
		words[4] = what;
		payload_words(v, p, words + 5);
		return hash_words(known()->keys, words, 8);
	}
	if ((const void *)(ip + 20) > v->end)
		return 0;
	copy(words, ip + 12, 8);
	words[1] = what;
	payload_words(v, p, words + 2);
	return hash_words(known()->keys, words, 5);
}
