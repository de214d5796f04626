/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * The table that a router's step finds or makes entries in: table.rs. Entries are numbered from 1 in
 * the order of their making; the agent reads all of them when it is asked.
 */
#pragma once
#include "state.h"

#if defined(NEEDS) || defined(EXPORTS)
/* Memory is taken as entries are made: `max_entries`, which the agent sets, is far more than most need. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u32);
} table SEC(".maps");

/* Entries made, and the number of the last one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} made SEC(".maps");
#endif

#ifdef EXPORTS
/* Keeps the first value under a key, as long as there is room. */
__noinline int keep_first(__u64 key, __u32 value, struct counters *count)
{
	__u32 zero = 0;
	__u64 *last = bpf_map_lookup_elem(&made, &zero);

	if (!count || !last || bpf_map_lookup_elem(&table, &key))
		return 0;
	if (*last >= known()->entries)
		count->overfull++;
	else if (!bpf_map_update_elem(&table, &key, &value, BPF_NOEXIST))
		__sync_fetch_and_add(last, 1);
	return 0;
}
#endif

#ifdef NEEDS
/* The number of the entry under a key; 0 where the table is full. A function of its own, which the
 * verifier looks at once. */
__noinline __u32 find_cell(__u64 key, struct counters *count)
{
	__u32 zero = 0, *found = bpf_map_lookup_elem(&table, &key), number;
	__u64 *last = bpf_map_lookup_elem(&made, &zero);

	if (found)
		return *found;
	if (!count)
		return 0;
	if (!last || *last >= known()->entries) {
		count->overfull++;
		return 0;
	}
	number = __sync_fetch_and_add(last, 1) + 1;
	if (!bpf_map_update_elem(&table, &key, &number, BPF_NOEXIST))
		return number;
	/* Another processor was first; the number stays unused. */
	found = bpf_map_lookup_elem(&table, &key);
	return found ? *found : 0;
}
#endif
