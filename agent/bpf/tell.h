/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Packets that the router tells an end of their way about. The program chooses them and hands their
 * heads to the agent, which writes and sends the messages: kernel/teller.rs. The program also counts the
 * messages that are owed, where they wait for packets that are wanted.
 */
#pragma once
#include "packet.h"
#include "state.h"

#ifdef SPEAKS
/* More than any message quotes: itrace/message.rs. */
#define HEAD_MOST 1280

/* One packet, as teller.rs reads it. */
struct told {
	__u64 at; /* nanoseconds since the run's zero */
	__u32 in, out; /* interfaces; `out` is 0 where the kernel decides later */
	__u32 draw, cell;
	__u32 len; /* of what there is of the packet */
	__u32 ttl; /* on arrival */
	__u8 head[HEAD_MOST];
};
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} told_about SEC(".maps");

/* Messages owed. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} owed SEC(".maps");

/* Keeps the account. Returns 1 where a message that was owed is paid with this packet. */
static __always_inline __u32 keep_account(int change)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&owed, &zero), now;

	if (!count || change == OWES_AS_BEFORE)
		return 0;
	if (change == OWES_MORE) {
		__sync_fetch_and_add(count, 1);
		return 0;
	}
	now = *(volatile __u64 *)count;
	/* Where another processor pays meanwhile, the next packet may pay this one. */
	return now && __sync_val_compare_and_swap(count, now, now - 1) == now;
}

static __always_inline void hand_over(struct view *v, const struct packet *p, const struct hop *hop,
				      struct counters *count)
{
	__u32 len = p->total < HEAD_MOST ? p->total : HEAD_MOST;
	struct told *told = bpf_ringbuf_reserve(&told_about, sizeof(*told), 0);
	__s64 since = bpf_ktime_get_ns() - known()->zero;

	if (!told) {
		count->overfull++;
		return;
	}
	told->at = since < 0 ? 0 : since;
	told->in = p->in;
	told->out = p->out;
	told->draw = hop->draw;
	told->cell = hop->cell;
	told->len = len;
	told->ttl = hop->ttl;
	if (len < 20 || load_some(v->ctx, ETH_HLEN, told->head, len, HEAD_MOST)) {
		bpf_ringbuf_discard(told, 0);
		return;
	}
	bpf_ringbuf_submit(told, 0);
}

static __always_inline void speak(struct view *v, const struct packet *p, struct hop *hop,
				  struct counters *count)
{
	__u64 to[2];

	hop->wanted = 1;
	if (scheme.intention) {
		hop->wanted = !destination(v, p, to) && wants(&scheme, to);
		hop->cell = keep_account(account(&scheme, hop));
	}
	if (told(&scheme, hop) != TO_NOBODY)
		hand_over(v, p, hop, count);
}
#endif
