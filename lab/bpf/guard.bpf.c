// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The last gate before a sender's link, below its process: nothing leaves without a lease that is renewed,
// to or from addresses outside the testbed, or faster than a whole run may send. It stays when everything
// of ours is killed, and is closed then.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define WINDOW 100000000ULL /* in ns, over which packets are counted */

// Fixed before loading.
struct setting {
	__u64 most; // packets of one window, of all senders
};
const volatile struct setting setting = {};

// Until when packets may leave, in ns of CLOCK_BOOTTIME: a host that slept wakes without a lease.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lease SEC(".maps");

// The window under way, and packets in it.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} window SEC(".maps");

enum { PASSED, NO_LEASE, OUT_OF_SCOPE, TOO_FAST, REASONS };
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, __u64);
} counts SEC(".maps");

static __always_inline int decide(__u32 reason)
{
	__u64 *count = bpf_map_lookup_elem(&counts, &reason);

	if (count)
		++*count;
	return reason == PASSED ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

/* 198.18.0.0/15, RFC 2544. */
static __always_inline int in_range4(__be32 address)
{
	return (bpf_ntohl(address) >> 17) == (0xc6120000 >> 17);
}

/* 2001:2::/48, RFC 5180 with erratum 1752. */
static __always_inline int in_range6(const __be16 *address)
{
	return address[0] == bpf_htons(0x2001) && address[1] == bpf_htons(2) && !address[2];
}

/* Neighbours are found without a lease, and by addresses of the link. */
static __always_inline int is_discovery(const __u8 *ip, const __u8 *icmp, const void *end)
{
	return ip[6] == 58 && (void *)(icmp + 1) <= end && *icmp >= 133 && *icmp <= 136;
}

/* Link-local addresses and groups, which no router passes on: kernels join groups by themselves. */
static __always_inline int stays_on_link(const __u8 *to)
{
	return (to[0] == 0xff && (to[1] & 15) == 2) || (to[0] == 0xfe && (to[1] & 0xc0) == 0x80);
}

static __always_inline int is_too_fast(__u64 now)
{
	__u32 first = 0, second = 1;
	__u64 *since = bpf_map_lookup_elem(&window, &first);
	__u64 *packets = bpf_map_lookup_elem(&window, &second);
	__u64 begun;

	if (!since || !packets)
		return 1;
	begun = *since;
	/* One of several processors opens the next window. */
	if (now - begun >= WINDOW && __sync_val_compare_and_swap(since, begun, now) == begun)
		*packets = 0;
	return __sync_fetch_and_add(packets, 1) >= setting.most;
}

SEC("classifier")
int guard(struct __sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *until = bpf_map_lookup_elem(&lease, &zero), now;
	const __u8 *ip;
	const void *end;

	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return TC_ACT_UNSPEC;
	bpf_skb_pull_data(skb, ETH_HLEN + 41);
	ip = (void *)(long)skb->data + ETH_HLEN;
	end = (void *)(long)skb->data_end;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if ((void *)(ip + 20) > end || ip[0] >> 4 != 4 ||
		    !in_range4(*(__be32 *)(ip + 12)) || !in_range4(*(__be32 *)(ip + 16)))
			return decide(OUT_OF_SCOPE);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip + 40) > end || ip[0] >> 4 != 6)
			return decide(OUT_OF_SCOPE);
		if (stays_on_link(ip + 24) || is_discovery(ip, ip + 40, end))
			return TC_ACT_UNSPEC;
		if (!in_range6((void *)(ip + 8)) || !in_range6((void *)(ip + 24)))
			return decide(OUT_OF_SCOPE);
	} else {
		return decide(OUT_OF_SCOPE);
	}
	now = bpf_ktime_get_boot_ns();
	if (!until || now >= *(volatile __u64 *)until)
		return decide(NO_LEASE);
	return decide(is_too_fast(now) ? TOO_FAST : PASSED);
}

char _license[] SEC("license") = "Dual MIT/GPL";
