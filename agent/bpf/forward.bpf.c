// SPDX-License-Identifier: MIT OR Apache-2.0
//
// Datapath xdp: marks or logs frames before the kernel sees them, and either forwards them by the
// kernel's own tables or leaves that to the kernel. Whatever needs more than a table look-up (error
// messages, address resolution, options, fragmentation) goes to the kernel.
#define CTX struct xdp_md
#define LENGTH(ctx) bpf_xdp_get_buff_len(ctx)
#define LOAD(ctx, at, to, len) bpf_xdp_load_bytes(ctx, at, to, len)
#define STORE(ctx, at, from, len) bpf_xdp_store_bytes(ctx, at, from, len)
#define LOWERED 0 /* by nobody yet, from the TTL on arrival */
#include "step.h"

#ifdef USES_NEXT
#define NEEDS_ROUTE setting.ahead
#else
#define NEEDS_ROUTE 0
#endif

#define AF_INET 2
#define AF_INET6 10

// Whether routers pass packets with this address on: router.rs, routable().
static __always_inline int routable4(const __u8 *a)
{
	return (a[0] & 0xf0) != 224 && a[0] != 127 && !(a[0] == 169 && a[1] == 254) &&
	       *(const __u32 *)a != 0xffffffff;
}

static __always_inline int routable6(const __u8 *a)
{
	const __u64 *half = (const __u64 *)a;

	if (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80))
		return 0;
	return half[0] || bpf_be64_to_cpu(half[1]) > 1;
}

static __always_inline int is_routable(const __u8 *ip, int v6)
{
	return v6 ? routable6(ip + 8) && routable6(ip + 24)
		  : routable4(ip + 12) && routable4(ip + 16);
}

// Asks the kernel where the packet would go.
static __always_inline int route(struct view *v, struct packet *p, struct bpf_fib_lookup *to)
{
	const __u8 *ip = v->data + ETH_HLEN;

	to->ifindex = v->ctx->ingress_ifindex;
	to->l4_protocol = p->proto;
	to->tot_len = p->total;
	if (setting.by_ports && (p->proto == TCP || p->proto == UDP)) {
		parse_transport(v, p);
		to->sport = p->ports;
		to->dport = p->ports >> 16;
	}
	// The verifier forgets what was checked; the compiler must not know that it was.
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

// By halves of words: on the stack, unlike in a packet, words must be aligned.
static __always_inline void copy_mac(__u8 *to, const __u8 *from)
{
	for (int i = 0; i < 6; i += 2)
		*(__u16 *)(to + i) = *(const __u16 *)(from + i);
}

static __always_inline int send(struct view *v, const struct packet *p, struct bpf_fib_lookup *to)
{
	__u8 *eth = v->data, *ip = v->data + ETH_HLEN;

	if ((void *)(ip + 20) > v->end)
		return XDP_DROP;
	if (p->v6)
		ip[7]--;
	else
		set_word4(ip, 8, be16(ip + 8) - 0x100);
	copy_mac(eth, to->dmac);
	copy_mac(eth + 6, to->smac);
	return bpf_redirect(to->ifindex, 0);
}

// What to do with a packet that the router would forward.
static __always_inline int forward(struct view *v, struct packet *p, struct hop *hop,
				   struct counters *count)
{
	struct bpf_fib_lookup to __attribute__((aligned(8))) = {};
	int answer = BPF_FIB_LKUP_RET_NO_NEIGH;

	if (setting.forwards || NEEDS_ROUTE)
		answer = route(v, p, &to);
	if (!setting.forwards && answer != BPF_FIB_LKUP_RET_SUCCESS &&
	    answer != BPF_FIB_LKUP_RET_NO_NEIGH) {
		// The kernel decides, and the next router stays unknown.
		answer = BPF_FIB_LKUP_RET_NO_NEIGH;
		to.ifindex = 0;
	}
	if (answer == BPF_FIB_LKUP_RET_BLACKHOLE || answer == BPF_FIB_LKUP_RET_UNREACHABLE ||
	    answer == BPF_FIB_LKUP_RET_PROHIBIT) {
		count->unroutable++;
		return XDP_PASS;
	}
	if (answer != BPF_FIB_LKUP_RET_SUCCESS && answer != BPF_FIB_LKUP_RET_NO_NEIGH) {
		// For this host, or for the kernel's slow path.
		count->local++;
		return XDP_PASS;
	}
	if (!is_silent(v->ctx->ingress_ifindex)) {
		fill_hop(hop, p, p->ttl, v->ctx->ingress_ifindex, to.ifindex);
		timed_step(v, p, hop, count);
	}
	count->forwarded++;
	if (!setting.forwards || answer == BPF_FIB_LKUP_RET_NO_NEIGH || p->options)
		return XDP_PASS;
	look(v, v->ctx);
	return send(v, p, &to);
}

// Whether the frame is for this interface: in promiscuous mode others come by, too.
static __always_inline int is_ours(const struct view *v, __u32 interface)
{
	struct port *port = bpf_map_lookup_elem(&ports, &interface);
	const __u8 *eth = v->data;

	return port && port->known && *(const __u32 *)eth == *(const __u32 *)port->mac &&
	       *(const __u16 *)(eth + 4) == *(const __u16 *)(port->mac + 4);
}

SEC("xdp.frags")
int mark_and_forward(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct counters *count = bpf_map_lookup_elem(&counters, &zero);
	struct packet p = {};
	struct hop hop = {};
	struct view v;
	__u16 ethertype;

	look(&v, ctx);
	if (!count)
		return XDP_PASS;
	count->received++;
	if (v.data + ETH_HLEN > v.end) {
		count->malformed++;
		return XDP_DROP;
	}
	ethertype = be16(v.data + 12);
	if ((ethertype != ETH_P_IP && ethertype != ETH_P_IPV6) || !is_ours(&v, ctx->ingress_ifindex)) {
		count->local++;
		return XDP_PASS;
	}
	if (!parse(&v, ethertype, &p)) {
		count->malformed++;
		return XDP_DROP;
	}
	if (v.data + ETH_HLEN + (p.v6 ? 40 : 20) > v.end || !is_routable(v.data + ETH_HLEN, p.v6)) {
		count->local++;
		return XDP_PASS;
	}
	if (p.ttl <= 1) {
		// The kernel drops it and tells the sender.
		count->expired++;
		return XDP_PASS;
	}
	return forward(&v, &p, &hop, count);
}

char _license[] SEC("license") = "Dual MIT/GPL";
