/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Pages of a hash log. One page is open; when it has taken its packets, the program that fills it
 * opens the next one if that is free. The agent takes closed pages away and frees them; it also
 * closes a page whose epoch ends. Nothing waits, and no packet is missed: a program writes into the
 * page that was open when it began, and the agent reads a page only after all programs that may
 * have begun before it was closed have ended.
 */
#pragma once
#include "state.h"

#define PAGES 8
#define BATCH 16

enum { PAGE_FREE = 0, PAGE_USED = 1 };
struct page {
	__u64 salt;
	__u64 told;   /* packets that processors told each other of, in batches */
	__u64 limit;  /* packets after which it closes */
	__u64 opened; /* when, CLOCK_MONOTONIC in ns, by the coarse clock; 0 while it is free */
	__u64 state;
};
struct pages {
	__u64 open; /* number of the open page */
	struct page each[PAGES];
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pages);
} pages SEC(".maps");

/* The cells of all pages, 64 to a word, and behind those of each page the number of its packets; once for
 * each processor, whose copies the agent puts together, or once for all where there is not the memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} cells SEC(".maps");

#ifdef LOGS
static __always_inline void open_next(struct pages *all, __u32 now)
{
	__u32 next = (now + 1) & (PAGES - 1);
	struct page *page = &all->each[next];

	if (page->state != PAGE_FREE)
		return;
	/* One of several programs wins; so may the agent. */
	if (__sync_val_compare_and_swap(&all->open, now, next) == now) {
		page->opened = bpf_ktime_get_coarse_ns();
		page->state = PAGE_USED;
	}
}

/* Sets a bit. On its own copy a processor needs no atomic operation, which would cost more than all
 * else; programs on one processor do not interrupt each other. */
static __always_inline void set_cell(__u32 at, __u64 bit)
{
	__u64 *word = bpf_map_lookup_elem(&cells, &at);

	if (!word)
		return;
	if (known()->own_cells)
		*word |= bit;
	else if (!(*word & bit))
		__sync_fetch_and_or(word, bit);
}

/* Counts a packet. Returns how many there are if that may close the page, else 0: an atomic addition for
 * each packet would cost as much as two cells, so processors tell each other once in a batch. */
static __always_inline __u64 count_one(struct page *page, __u32 at)
{
	__u64 *packets = bpf_map_lookup_elem(&cells, &at);

	if (!packets)
		return 0;
	if (!known()->own_cells)
		return __sync_fetch_and_add(packets, 1) + 1;
	if (++*packets % BATCH)
		return 0;
	return __sync_fetch_and_add(&page->told, BATCH) + BATCH;
}

static __always_inline void log_digest(struct counters *count, __u64 digest)
{
	__u64 bits = scheme.bits, hashes = scheme.hashes;
	__u32 zero = 0, number, base, words = (bits + 63) / 64;
	struct pages *all = bpf_map_lookup_elem(&pages, &zero);
	struct page *page;
	struct walk walk;
	__u64 packets;

	if (!all)
		return;
	number = *(volatile __u64 *)&all->open & (PAGES - 1);
	page = &all->each[number];
	walk = start(page->salt, digest);
	base = number;
	if (known()->own_cells)
		base += bpf_get_smp_processor_id() * PAGES;
	base *= words + 1;
	/* The verifier knows the setting, so it counts to no more than MAX_CELLS. */
	for (__u64 i = 0; i < hashes; i++) {
		__u32 bit = cell(bits, &walk);

		set_cell(base + (bit >> 6), 1ULL << (bit & 63));
	}
	packets = count_one(page, base + words);
	if (packets > page->limit)
		count->overfull += known()->own_cells ? BATCH : 1;
	if (packets >= page->limit)
		open_next(all, number);
}
#endif
