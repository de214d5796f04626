//! The library stays pure: nothing it depends on can do input or output.

/// Crates that `traceback` may depend on, each for what it computes alone.
const ALLOWED: [&str; 6] = ["hmac", "serde", "serde_json", "sha2", "siphasher", "thiserror"];

#[test]
fn depends_on_nothing_that_does_io() {
    let manifest = include_str!("../Cargo.toml");
    let section = manifest.split("[dependencies]").nth(1).expect("a list of dependencies");
    let section = section.split("\n[").next().expect("the list ends");
    let names: Vec<&str> = section
        .lines()
        .filter_map(|l| l.split(['.', ' ', '=']).next())
        .filter(|n| !n.is_empty())
        .collect();
    assert_eq!(names, ALLOWED);
}

#[test]
fn names_no_clock_file_socket_or_thread() {
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![source];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            files += 1;
            let banned = [
                "std::fs",
                "std::io",
                "std::thread",
                "std::time",
                "TcpStream",
                "UdpSocket",
                "std::env",
                "static mut",
            ];
            for word in banned {
                assert!(!text.contains(word), "{} names {word}", path.display());
            }
        }
    }
    assert!(files > 15, "only {files} files were read");
}
