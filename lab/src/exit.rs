//! Exit codes, the only thing that scripts may rely on besides JSON.

use std::fmt;

/// How a verb ended. The numbers are part of the contract with users' scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; of a run: all effects met.
    Met = 0,
    /// A fault of ours.
    Internal = 1,
    /// Bad file or bad usage.
    Usage = 2,
    /// The host lacks a privilege or a feature.
    HostNotReady = 3,
    /// Refused by safety.
    Safety = 4,
    /// Refused by a policy or a signature.
    Policy = 5,
    /// Stopped by a person, a lost lease or a stop condition.
    Stopped = 6,
    /// An effect or an oracle was missed.
    Missed = 7,
    /// The run says nothing: its truth sources disagree, or packets leaked.
    Void = 8,
    /// Evidence is incomplete.
    Partial = 9,
    /// Interrupted, and everything removed.
    Interrupted = 130,
}

impl Exit {
    /// The process's exit status.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What a program of ours ended with; codes that are none of these are [`Exit::Internal`].
    pub fn from_code(code: u8) -> Self {
        let all = [
            Self::Met,
            Self::Usage,
            Self::HostNotReady,
            Self::Safety,
            Self::Policy,
            Self::Stopped,
            Self::Missed,
            Self::Void,
            Self::Partial,
            Self::Interrupted,
        ];
        all.into_iter().find(|e| e.code() == code).unwrap_or(Self::Internal)
    }

    /// An error that ends the program with this code.
    pub fn refuse(self, why: impl fmt::Display) -> anyhow::Error {
        anyhow::Error::new(Refused { exit: self, why: why.to_string() })
    }

    /// The code that an error asks for: that of the [`Refused`] in its chain, else
    /// [`Exit::Internal`].
    pub fn of(error: &anyhow::Error) -> Self {
        let refused = error.downcast_ref::<Refused>();
        refused
            .or_else(|| error.chain().find_map(|e| e.downcast_ref()))
            .map_or(Self::Internal, |r: &Refused| r.exit)
    }
}

/// An error that knows its exit code.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// The code.
    pub exit: Exit,
    /// What, where, and what to do.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn an_error_keeps_its_code_under_context() {
        let error = Err::<(), _>(Exit::HostNotReady.refuse("needs root")).context("cannot run");
        assert_eq!(Exit::of(&error.unwrap_err()), Exit::HostNotReady);
        assert_eq!(Exit::of(&anyhow::anyhow!("lost")), Exit::Internal);
        assert_eq!(Exit::Interrupted.code(), 130);
    }
}
