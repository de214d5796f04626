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
#define WAYS 256
#include "step.h"
#include "way.h"

#ifdef USES_NEXT
#define NEEDS_ROUTE known()->ahead
#else
#define NEEDS_ROUTE 0
#endif

// Whether routers pass packets with this address on: router/own.rs, routable4(). The first four bits tell of most
// that they do.
static __always_inline int routable4(const __u8 *a)
{
	if (!(0xc480U >> (a[0] >> 4) & 1))
		return 1;
	return a[0] != 127 && (a[0] & 0xf0) != 224 && !(a[0] == 169 && a[1] == 254) &&
	       *(const __u32 *)a != 0xffffffff;
}

static __always_inline int routable6(const __u8 *a)
{
	const __u64 *half = (const __u64 *)a;

	if (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80))
		return 0;
	return half[0] || bpf_be64_to_cpu(half[1]) > 1;
}

static __always_inline int is_routable(const struct view *v, int v6)
{
	const __u8 *ip = v->data + ETH_HLEN;

	if ((const void *)(ip + (v6 ? 40 : 20)) > v->end)
		return 0;
	return v6 ? routable6(ip + 8) && routable6(ip + 24)
		  : routable4(ip + 12) && routable4(ip + 16);
}

// As the kernel does: the checksum grows by what the TTL loses.
static __always_inline void lower_ttl(__u8 *ip)
{
	__u32 check = *(__u16 *)(ip + 10) + bpf_htons(0x100);

	*(__u16 *)(ip + 10) = check + (check >= 0xffff);
	ip[8]--;
}

static __always_inline int send(struct view *v, const struct packet *p, const struct way *way)
{
	__u8 *eth = v->data, *ip = v->data + ETH_HLEN;

	if ((void *)(ip + 20) > v->end)
		return XDP_DROP;
	if (p->v6)
		ip[7]--;
	else
		lower_ttl(ip);
	copy(eth, way->macs, sizeof(way->macs));
	return bpf_redirect(way->out, 0);
}

// What to do with a packet that the router would forward.
static __always_inline int forward(struct view *v, struct packet *p, const struct port *port,
				   struct own *own)
{
	struct counters *count = &own->counters;
	int answer = BPF_FIB_LKUP_RET_NO_NEIGH; // the kernel decides
	struct hop hop = {};
	struct way *way = 0;

	if (known()->forwards || NEEDS_ROUTE)
		answer = find_way(v, p, port, &way, own);
	if (known()->forwards && answer != BPF_FIB_LKUP_RET_SUCCESS &&
	    answer != BPF_FIB_LKUP_RET_NO_NEIGH) {
		if (answer == BPF_FIB_LKUP_RET_BLACKHOLE || answer == BPF_FIB_LKUP_RET_PROHIBIT ||
		    answer == BPF_FIB_LKUP_RET_UNREACHABLE)
			count->unroutable++;
		else // For this host, or for the kernel's slow path.
			count->local++;
		return XDP_PASS;
	}
	if (!port->silent) {
		fill_hop(&hop, p, p->ttl, port, v->ctx->ingress_ifindex, way ? way->out : 0);
		timed_step(v, p, &hop, count);
	}
	count->forwarded++;
	if (!known()->forwards || answer != BPF_FIB_LKUP_RET_SUCCESS || p->options)
		return XDP_PASS;
	return send(v, p, way);
}

// An IP packet that came to this router's address on the link.
static __always_inline int take_packet(struct view *v, const struct port *port,
				       struct own *own, int v6)
{
	struct counters *count = &own->counters;
	struct packet p = {};

	if (!parse(v, &p, v6)) {
		count->malformed++;
		return XDP_DROP;
	}
	if (!is_routable(v, v6)) {
		count->local++;
		return XDP_PASS;
	}
	if (p.ttl <= 1) {
		// The kernel drops it and tells the sender.
		count->expired++;
		return XDP_PASS;
	}
	return forward(v, &p, port, own);
}

// The port at which the frame came in, if it is for that: in promiscuous mode others come by, too.
static __always_inline const struct port *port_of(const struct view *v, __u32 interface)
{
	struct port *port = bpf_map_lookup_elem(&ports, &interface);
	const __u8 *eth = v->data;

	return port && port->known && *(const __u32 *)eth == *(const __u32 *)port->mac &&
		       *(const __u16 *)(eth + 4) == *(const __u16 *)(port->mac + 4)
	       ? port : 0;
}

SEC("xdp.frags")
int mark_and_forward(struct xdp_md *ctx)
{
	struct own *kept = own();
	struct counters *count;
	const struct port *port;
	struct view v;

	if (!kept)
		return XDP_PASS;
	count = &kept->counters;
	count->received++;
	look(&v, ctx);
	if (v.data + ETH_HLEN > v.end) {
		count->malformed++;
		return XDP_DROP;
	}
	port = port_of(&v, ctx->ingress_ifindex);
	// Each version by itself: what is known about one is not asked again at every turn.
	if (port && *(__be16 *)(v.data + 12) == bpf_htons(ETH_P_IP))
		return take_packet(&v, port, kept, 0);
	if (port && *(__be16 *)(v.data + 12) == bpf_htons(ETH_P_IPV6))
		return take_packet(&v, port, kept, 1);
	count->local++;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
