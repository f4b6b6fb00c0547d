//! The fuzzer's seeds, and inputs close to them, hold in every run of the tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Fewest seeds of a target.
const SEEDS_MIN: usize = 8;
/// Most bytes of all seeds together: they are in everybody's checkout.
const SEEDS_BYTES_MAX: u64 = 200 * 1_024;
/// Inputs made of one seed: as many as have so many bytes together, within these bounds.
const NEIGHBOURS_BYTES: usize = 32 * 1_024;
const NEIGHBOURS_MIN: usize = 20;
const NEIGHBOURS_MAX: usize = 100;
/// Most bytes that one change repeats or takes away.
const PIECE_BYTES_MAX: usize = 40;

/// What readers trip over.
const TOKENS: [&[u8]; 24] = [
    b"\0",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b"\"",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"{",
    b"}",
    b"]",
    b",",
    b"=",
    b"/",
    b"-",
    b"null",
    b"1e400",
    b"9223372036854775808",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        const TARGETS: &[&str] = &[$(stringify!($name)),*];

        mod seeds_and_their_neighbours_hold_in {
            $(
                #[test]
                fn $name() {
                    super::replay(stringify!($name), super::targets::$name);
                }
            )*
        }
    };
}

targets!(
    signature_header,
    envelope,
    line,
    object_key,
    manifest,
    dead_letter,
    lake_object,
    settings,
    shop_file
);

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// The files of a folder by their names, in the order of those.
fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<(String, PathBuf)> = entries
        .map(|entry| {
            let entry = entry.expect("an entry of the folder");
            (entry.file_name().to_string_lossy().into_owned(), entry.path())
        })
        .collect();
    files.sort();
    files
}

/// Runs a target on every seed and on inputs made of it; the same ones each time.
fn replay(name: &str, target: fn(&[u8])) {
    let seeds: Vec<(String, Vec<u8>)> = files(&fuzz_folder().join("corpus").join(name))
        .into_iter()
        .map(|(file, path)| (file, fs::read(path).expect("a seed")))
        .collect();
    assert!(seeds.len() >= SEEDS_MIN, "{name} has {} seeds, {SEEDS_MIN} are the least", seeds.len());

    for (file, seed) in &seeds {
        hold(target, seed, || format!("{name}/{file}"));
        // By its name, so that another seed changes nothing about this one's neighbours.
        let start = file.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut random = fastrand::Rng::with_seed(start);
        let count = (NEIGHBOURS_BYTES / seed.len().max(1)).clamp(NEIGHBOURS_MIN, NEIGHBOURS_MAX);
        for number in 1..=count {
            let other = &seeds[random.usize(0..seeds.len())].1;
            let input = neighbour(&mut random, seed, other);
            hold(target, &input, || format!("neighbour {number} of {name}/{file}"));
        }
    }
}

/// Runs a target; if it fails, says on what.
fn hold(target: fn(&[u8]), input: &[u8], origin: impl FnOnce() -> String) {
    if let Err(failure) = std::panic::catch_unwind(|| target(input)) {
        eprintln!("failed on {}: {}", origin(), input.escape_ascii());
        std::panic::resume_unwind(failure);
    }
}

/// A seed with one to four changes.
fn neighbour(random: &mut fastrand::Rng, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..random.usize(1..=4) {
        let from = random.usize(0..=bytes.len());
        let until = bytes.len().min(from + random.usize(1..=PIECE_BYTES_MAX));
        match random.u8(0..8) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte ^= 1 << random.u8(0..8);
                }
            }
            2 => {
                if let Some(byte) = bytes.get_mut(from) {
                    *byte = random.u8(..);
                }
            }
            3 => drop(bytes.drain(from..until)),
            4 => {
                let piece = bytes[from..until].to_vec();
                insert(&mut bytes, until, &piece);
            }
            5 => insert(&mut bytes, from, TOKENS[random.usize(0..TOKENS.len())]),
            6 => bytes.truncate(from),
            _ => {
                bytes.truncate(from);
                bytes.extend_from_slice(&other[random.usize(0..=other.len())..]);
            }
        }
    }
    bytes
}

fn insert(bytes: &mut Vec<u8>, at: usize, piece: &[u8]) {
    let rest = bytes.split_off(at);
    bytes.extend_from_slice(piece);
    bytes.extend_from_slice(&rest);
}

#[test]
fn every_target_has_a_binary_and_seeds_and_is_replayed() {
    let folder = fuzz_folder();
    let replayed: BTreeSet<String> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    let without_extension = |(file, _): (String, PathBuf)| file.trim_end_matches(".rs").to_owned();
    let sources: BTreeSet<String> =
        files(&folder.join("fuzz_targets")).into_iter().map(without_extension).collect();
    let corpora: BTreeSet<String> = files(&folder.join("corpus")).into_iter().map(|(name, _)| name).collect();
    let manifest: toml::Table =
        fs::read_to_string(folder.join("Cargo.toml")).expect("fuzz/Cargo.toml").parse().expect("TOML");
    let binaries: BTreeSet<String> = manifest["bin"]
        .as_array()
        .expect("binaries")
        .iter()
        .filter_map(|binary| binary["name"].as_str().map(str::to_owned))
        .collect();

    assert_eq!(sources, replayed);
    assert_eq!(corpora, replayed);
    assert_eq!(binaries, replayed);
}

#[test]
fn the_seeds_stay_small() {
    let corpora = files(&fuzz_folder().join("corpus"));
    let seeds = corpora.iter().flat_map(|(_, folder)| files(folder));
    let bytes: u64 = seeds.map(|(_, path)| fs::metadata(path).expect("a seed").len()).sum();

    assert!(bytes <= SEEDS_BYTES_MAX, "{bytes} bytes of seeds, {SEEDS_BYTES_MAX} are the most");
}
