// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The lab's own wires for routers whose packets the kernel's stack never sees: every link runs
// through a namespace where a program passes frames from one end to the other and counts what goes
// to each router, outside the agents under test.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

// Fixed before loading.
struct setting {
	__u32 flows;	// numbers of the plan's flows are below this
	__u32 payload4; // where the payload of the plan's packets begins in a frame, by version of IP
	__u32 payload6;
	__u32 magic; // first word of that payload, as it lies in memory
};
const volatile struct setting setting = {};

// By interface: the other end in the low half, and in the high half the position of the router that
// is there, plus one; 0 for a host.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} ends SEC(".maps");

// Packets by router and flow; one more cell for each router counts flows that the plan does not have.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} passed SEC(".maps");

static __always_inline void count(struct xdp_md *ctx, __u32 router)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 words[2], at, cell;
	__u16 kind;
	__u64 *packets;

	if (data + ETH_HLEN > end)
		return;
	kind = bpf_ntohs(*(__be16 *)(data + 12));
	at = kind == ETH_P_IP ? setting.payload4 : kind == ETH_P_IPV6 ? setting.payload6 : 0;
	if (!at || bpf_xdp_load_bytes(ctx, at, words, sizeof(words)) || words[0] != setting.magic)
		return;
	cell = bpf_ntohl(words[1]);
	if (cell > setting.flows)
		cell = setting.flows;
	cell += router * (setting.flows + 1);
	packets = bpf_map_lookup_elem(&passed, &cell);
	if (packets)
		*packets += 1;
}

SEC("xdp.frags")
int wire(struct xdp_md *ctx)
{
	__u32 interface = ctx->ingress_ifindex;
	__u64 *end = bpf_map_lookup_elem(&ends, &interface);

	if (!end || !*end)
		return XDP_DROP;
	if (*end >> 32)
		count(ctx, (*end >> 32) - 1);
	return bpf_redirect(*end & 0xffffffff, 0);
}

// A host's interface takes redirected frames only where a program sits.
SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
