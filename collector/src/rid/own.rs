//! What RID and IODEF have no place for, in `AdditionalData` of our own format.

use crate::iodef::Extension;
use crate::xml::{BadDocument, parsed};
use std::str::FromStr;

/// The format's name, `formatid` of every `AdditionalData` that is ours.
const FORMAT: &str = "ashiato.exchange/1";

/// A value of our own.
pub(super) fn own(name: &str, dtype: &str, value: impl ToString) -> Extension {
    Extension {
        value: value.to_string(),
        name: Some(name.into()),
        dtype: dtype.into(),
        formatid: Some(FORMAT.into()),
        ..Extension::default()
    }
}

/// Our own values among others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a>(pub(super) &'a [Extension]);

impl<'a> Own<'a> {
    /// All of a name.
    pub(super) fn all(self, name: &'static str) -> impl Iterator<Item = &'a Extension> {
        self.0.iter().filter(move |value| {
            value.formatid.as_deref() == Some(FORMAT) && value.name.as_deref() == Some(name)
        })
    }

    /// The one of a name, where there is one.
    pub(super) fn one(self, name: &'static str) -> Result<Option<&'a str>, BadDocument> {
        let mut all = self.all(name);
        let first = all.next();
        if all.next().is_some() {
            return Err(BadDocument::twice(name, "AdditionalData"));
        }
        Ok(first.map(|value| value.value.as_str()))
    }

    /// The one of a name, read.
    pub(super) fn parse<T: FromStr>(self, name: &'static str) -> Result<Option<T>, BadDocument> {
        self.one(name)?.map(|text| parsed(name, text)).transpose()
    }

    /// The one of a name as text, empty where there is none.
    pub(super) fn text(self, name: &'static str) -> Result<String, BadDocument> {
        Ok(self.one(name)?.unwrap_or_default().to_owned())
    }
}
