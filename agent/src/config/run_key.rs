//! The run's key as a file writes it.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use traceback::invariant::Key;

/// The run's key, written as two hexadecimal words: TOML's integers are too short for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunKey(pub Key);

impl Serialize for RunKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [format!("{:016x}", self.0.0), format!("{:016x}", self.0.1)].serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RunKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let [first, second] = <[String; 2]>::deserialize(deserializer)?;
        let word = |text: &str| {
            u64::from_str_radix(text, 16).map_err(|_| {
                de::Error::custom(format!("{text:?} is no word of up to 16 hexadecimal digits"))
            })
        };
        Ok(Self(Key(word(&first)?, word(&second)?)))
    }
}
