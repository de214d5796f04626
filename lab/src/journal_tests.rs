use super::*;

fn state(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("ashiato-journal-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    dir
}

#[test]
fn what_is_written_is_read_and_a_cut_line_is_left_out() {
    let state = state("cut");
    let mut journal = Journal::start(&state, "RUN1", Path::new("folder")).unwrap();
    let name = "ash-run1-r1".to_owned();
    journal
        .write(&[
            Entry::Namespace { name: name.clone() },
            Entry::Link { namespace: name.clone(), name: "p0".into() },
            Entry::Made { name: name.clone(), inode: 7 },
            Entry::Start { role: "agent".into() },
        ])
        .unwrap();
    let whole = Record::read(journal.dir()).unwrap();
    assert_eq!(whole.namespaces[&name], Some(7));
    assert_eq!(whole.links.len(), 1);
    assert!(whole.is_owned());
    journal.file.write_all(b"{\"entry\":\"namespace\",\"na").unwrap();
    assert_eq!(Record::read(journal.dir()).unwrap(), whole);
    assert!(!journal.is_stopped());
    whole.ask_to_stop().unwrap();
    assert!(journal.is_stopped());
    fs::remove_dir_all(state).unwrap();
}

#[test]
fn a_run_has_one_owner_and_a_plain_id() {
    let state = state("twice");
    Journal::start(&state, "RUN1", Path::new("x")).unwrap();
    assert!(Journal::start(&state, "RUN1", Path::new("x")).is_err());
    assert!(Journal::start(&state, "../x", Path::new("x")).is_err());
    fs::write(state.join("RUN1/journal.ndjson"), "rubbish\n").unwrap();
    let (good, bad) = records(&state);
    assert!(good.is_empty());
    assert!(bad[0].to_string().contains("does not name its owner"), "{}", bad[0]);
    fs::remove_dir_all(state).unwrap();
}
