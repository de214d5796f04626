// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The last gate before a sender's link, below its process: nothing leaves without a lease that is renewed,
// to or from addresses outside the testbed, faster than a whole run may send, or more than it may send in
// all. It stays when everything of ours is killed, and is closed then.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include "range.h"

// Fixed before loading.
struct setting {
	__u64 most;    // packets of one window, of all senders
	__u64 bits;    // bits of one window
	__u64 window;  // its length in ns
	__u64 budget;  // packets of the whole run
	__u64 windows; // windows of the whole run in which packets may leave
	__u64 narrow;  // whether `networks` says where packets may go
};
const volatile struct setting setting = {};

// Until when packets may leave, in ns of CLOCK_BOOTTIME: a host that slept wakes without a lease.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lease SEC(".maps");

// When the window under way began, packets and bits in it; packets and windows of the whole run.
struct used {
	__u64 since, packets, bits, sent, windows;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct used);
} used SEC(".maps");

// Networks inside the ranges: the longest match says whether packets may come from and go there. IPv4 is
// written as ::ffff:0:0/96.
struct network {
	__u32 length;
	__u8 address[16];
};
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, struct network);
	__type(value, __u32);
} networks SEC(".maps");

enum { PASSED, NO_LEASE, OUT_OF_SCOPE, TOO_FAST, SPENT, REASONS };
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

static __always_inline __u32 weigh(const struct __sk_buff *skb, __u64 now)
{
	__u32 zero = 0;
	struct used *run = bpf_map_lookup_elem(&used, &zero);
	__u64 begun;

	if (!run)
		return TOO_FAST;
	begun = run->since;
	/* One of several processors opens the next window. */
	if (now - begun >= setting.window &&
	    __sync_val_compare_and_swap(&run->since, begun, now) == begun) {
		run->packets = 0;
		run->bits = 0;
		__sync_fetch_and_add(&run->windows, 1);
	}
	if (__sync_fetch_and_add(&run->packets, 1) >= setting.most ||
	    __sync_fetch_and_add(&run->bits, 8ULL * skb->len) >= setting.bits)
		return TOO_FAST;
	if (run->windows > setting.windows || __sync_fetch_and_add(&run->sent, 1) >= setting.budget)
		return SPENT;
	return PASSED;
}

static __always_inline int is_allowed(const struct network *there)
{
	const __u32 *pass = bpf_map_lookup_elem(&networks, there);

	return pass && *pass;
}

static __always_inline int is_allowed4(const __u8 *address)
{
	struct network there = { .length = 128, .address = { [10] = 0xff, [11] = 0xff } };

	__builtin_memcpy(there.address + 12, address, 4);
	return is_allowed(&there);
}

static __always_inline int is_allowed6(const __u8 *address)
{
	struct network there = { .length = 128 };

	__builtin_memcpy(there.address, address, 16);
	return is_allowed(&there);
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
		if (setting.narrow && !(is_allowed4(ip + 12) && is_allowed4(ip + 16)))
			return decide(OUT_OF_SCOPE);
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		if ((void *)(ip + 40) > end || ip[0] >> 4 != 6)
			return decide(OUT_OF_SCOPE);
		if (stays_on_link(ip + 24) || is_discovery(ip, ip + 40, end))
			return TC_ACT_UNSPEC;
		if (!in_range6((void *)(ip + 8)) || !in_range6((void *)(ip + 24)))
			return decide(OUT_OF_SCOPE);
		if (setting.narrow && !(is_allowed6(ip + 8) && is_allowed6(ip + 24)))
			return decide(OUT_OF_SCOPE);
	} else {
		return decide(OUT_OF_SCOPE);
	}
	now = bpf_ktime_get_boot_ns();
	if (!until || now >= *(volatile __u64 *)until)
		return decide(NO_LEASE);
	return decide(weigh(skb, now));
}

char _license[] SEC("license") = "Dual MIT/GPL";
