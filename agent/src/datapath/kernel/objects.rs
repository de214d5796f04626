//! The compiled kernel programs, embedded in this binary by `build.rs`.

/// The programs of one scheme as ELF objects.
#[derive(Debug)]
pub struct Objects {
    /// Scheme id.
    pub id: &'static str,
    /// `mark.bpf.c`, for tc.
    pub mark: &'static [u8],
    /// `forward.bpf.c`, for XDP.
    pub forward: &'static [u8],
}

/// Every scheme that has a kernel twin, by id.
pub static OBJECTS: &[Objects] = &include!(concat!(env!("OUT_DIR"), "/twins.rs"));

/// The programs of a scheme.
pub fn of(id: &str) -> Option<&'static Objects> {
    OBJECTS.iter().find(|o| o.id == id)
}
