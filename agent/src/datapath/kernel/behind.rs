//! What `bpf/behind.h` needs of the running kernel, by its BTF.

use aya::Btf;
use aya_obj::btf::BtfKind;
use std::sync::LazyLock;

/// The kernel's types, read once; `None` where it does not tell them.
pub static KERNEL: LazyLock<Option<Btf>> = LazyLock::new(|| Btf::from_sys_fs().ok());

/// Functions of the kernel that the program calls, and what stands in its place until it is loaded.
const CALLS: [(&str, u32); 2] =
    [("bpf_cast_to_kern_ctx", 0x6173_6831), ("bpf_rdonly_cast", 0x6173_6832)];
/// The first half of a call of a function of the kernel: `BPF_JMP | BPF_CALL`, `BPF_PSEUDO_KFUNC_CALL`.
const CALL: [u8; 4] = [0x85, 0x20, 0, 0];

/// Writes the functions' numbers into an object; returns the number of `struct tcx_entry`, or 0 where the
/// kernel lacks one of them.
pub fn prepare(object: &mut [u8]) -> u32 {
    let find = |name: &str, kind| {
        KERNEL.as_ref().and_then(|types| types.id_by_type_name_kind(name, kind).ok())
    };
    let numbers = CALLS.map(|(name, _)| find(name, BtfKind::Func));
    let entry = find("tcx_entry", BtfKind::Struct).filter(|_| numbers.iter().all(Option::is_some));
    for instruction in object.chunks_exact_mut(8).filter(|i| i[..4] == CALL) {
        for ((_, mark), number) in CALLS.iter().zip(numbers) {
            if instruction[4..] == mark.to_le_bytes() {
                let number = number.filter(|_| entry.is_some()).unwrap_or(0);
                instruction[4..].copy_from_slice(&number.to_le_bytes());
            }
        }
    }
    entry.unwrap_or(0)
}
