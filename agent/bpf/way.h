/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Ways that packets take: what the kernel's tables say (bpf_fib_lookup), kept for a few ticks of the
 * kernel's clock, since a look-up costs as much as all the rest of the program. One place for each
 * destination, in a table of each processor. Nobody has to wipe it: what is old is asked anew, also where
 * the agent sleeps or hangs. Answers are kept only while the agent says that destination and port of arrival
 * decide alone (tables.rs), so that sources, which senders forge, do not fill the table.
 */
#pragma once
#include "packet.h"
#include "state.h"

#define AF_INET 2
#define AF_INET6 10

/* Asks the kernel where the packet would go. */
static __always_inline int ask(struct view *v, struct packet *p, struct bpf_fib_lookup *to)
{
	const __u8 *ip = v->data + ETH_HLEN;

	to->ifindex = v->ctx->ingress_ifindex;
	to->l4_protocol = p->proto;
	to->tot_len = p->total;
	if (known()->by_ports && (p->proto == TCP || p->proto == UDP)) {
		parse_transport(v, p);
		to->sport = p->ports;
		to->dport = p->ports >> 16;
	}
	/* The verifier forgets what was checked; the compiler must not know that it was. */
	asm volatile("" : "+r"(ip));
	if (p->v6) {
		if ((void *)(ip + 40) > v->end)
			return BPF_FIB_LKUP_RET_NOT_FWDED;
		to->family = AF_INET6;
		to->flowinfo = *(const __be32 *)ip & bpf_htonl(0x0fffffff);
		copy(to->ipv6_src, ip + 8, 16);
		copy(to->ipv6_dst, ip + 24, 16);
	} else {
		if ((void *)(ip + 20) > v->end)
			return BPF_FIB_LKUP_RET_NOT_FWDED;
		to->family = AF_INET;
		to->tos = ip[1];
		to->ipv4_src = *(const __be32 *)(ip + 12);
		to->ipv4_dst = *(const __be32 *)(ip + 16);
	}
	return bpf_fib_lookup(v->ctx, to, sizeof(*to), 0);
}

/* By halves of words: on the stack, unlike in a packet, words must be aligned. */
static __always_inline void copy_macs(__u8 *to, const struct bpf_fib_lookup *from)
{
	for (int i = 0; i < 6; i += 2) {
		*(__u16 *)(to + i) = *(const __u16 *)(from->dmac + i);
		*(__u16 *)(to + 6 + i) = *(const __u16 *)(from->smac + i);
	}
}

/* Asks, and writes down what the answer is good for. A function of its own, out of the way of packets whose
 * way is known. */
static __noinline int ask_anew(CTX *ctx, struct packet *p, struct way *way, __u64 kept)
{
	struct bpf_fib_lookup to __attribute__((aligned(8))) = {};
	struct view v;
	int answer;

	look(&v, ctx);
	answer = ask(&v, p, &to);
	way->in = ctx->ingress_ifindex;
	way->until = bpf_jiffies64() + kept;
	way->mtu = 0;
	way->out = 0;
	if (destination(&v, p, way->to))
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	if (answer == BPF_FIB_LKUP_RET_NO_NEIGH)
		way->out = to.ifindex;
	if (answer != BPF_FIB_LKUP_RET_SUCCESS)
		return answer;
	way->out = to.ifindex;
	way->mtu = to.mtu_result;
	copy_macs(way->macs, &to);
	return answer;
}

static __always_inline __u32 place_of(const __u64 *to, __u32 in)
{
	return ((to[0] ^ to[1] ^ in) * 0x9e3779b97f4a7c15ULL >> 32) * WAYS >> 32;
}

/* The kernel's answer, BPF_FIB_LKUP_RET_..., and the way where there is one. */
static __always_inline int find_way(struct view *v, const struct packet *p, const struct port *port,
				    struct way **found, struct own *own)
{
	__u64 to[2];
	__u32 in = v->ctx->ingress_ifindex;
	struct packet asked;
	struct way *way;

	if (destination(v, p, to))
		return BPF_FIB_LKUP_RET_NOT_FWDED;
	/* Where nothing is kept, any place will do. */
	way = &own->ways[known()->kept ? place_of(to, in) : 0];
	/* Else the compiler would find it anew for each field. */
	barrier_var(way);
	*found = way;
	if (known()->kept && !((way->to[0] ^ to[0]) | (way->to[1] ^ to[1]) | (way->in ^ in)) &&
	    bpf_jiffies64() < way->until && p->total <= way->mtu)
		return BPF_FIB_LKUP_RET_SUCCESS;
	own->counters.asked++;
	asked = *p;
	return ask_anew(v->ctx, &asked, way, port->by_destination ? known()->kept : 0);
}
