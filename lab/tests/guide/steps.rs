//! A guide's steps, read from its fences.

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Commands on a machine; with a code, what the last one must end with.
    Run { machine: String, code: Option<i32>, text: String },
    /// A file from one machine's folder into another's.
    Carry { from: String, file: String, to: String },
}

impl Step {
    /// The step without what is only said to people.
    pub(crate) fn without_comments(&self) -> Self {
        let Self::Run { machine, code, text } = self else { return self.clone() };
        let bare = |line: &str| line.split(" #").next().unwrap_or_default().trim_end().to_owned();
        let lines = text.lines().filter(|l| !l.starts_with('#')).map(bare);
        let text = lines.map(|l| l + "\n").collect();
        Self::Run { machine: machine.clone(), code: *code, text }
    }
}

/// All steps of a guide. Fences of other kinds are for people only.
pub(crate) fn read(guide: &str) -> Vec<Step> {
    let (mut steps, mut lines) = (vec![], guide.lines());
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
        let words: Vec<&str> = info.split_whitespace().collect();
        match words[..] {
            ["sh", machine, ref code @ ..] => {
                let text = body.iter().map(|l| format!("{l}\n")).collect();
                let code = code.first().map(|code| code.parse().expect("an exit code"));
                steps.push(Step::Run { machine: machine.into(), code, text });
            }
            ["sh"] => panic!("a fence does not say where it runs:\n{}", body.join("\n")),
            ["text", "carry"] => steps.extend(body.iter().map(|line| carry(line))),
            _ => {}
        }
    }
    steps
}

/// `director:two.toml -> lab-a`
fn carry(line: &str) -> Step {
    let (from, to) = line.split_once(" -> ").expect("a carry is MACHINE:FILE -> MACHINE");
    let (from, file) = from.split_once(':').expect("a carry is MACHINE:FILE -> MACHINE");
    Step::Carry { from: from.into(), file: file.into(), to: to.into() }
}
