//! The form of an answer, for verbs whose answer is for a person or for a program.

/// Form of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Text for people.
    #[default]
    Table,
    /// JSON.
    Json,
}
