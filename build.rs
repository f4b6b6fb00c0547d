//! Puts the prebuilt DuckDB library beside the binary and points the loader there, relative to the
//! binary itself, so that a folder with both can be moved. Says what `waybill --version` tells of the build.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=DUCKDB_LIB_DIR");
    tell_build();
    if env::var_os("CARGO_FEATURE_DUCKDB_FROM_SOURCE").is_some() {
        return;
    }

    let macos = env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "macos");
    let (library, origin) =
        if macos { ("libduckdb.dylib", "@loader_path") } else { ("libduckdb.so", "$ORIGIN") };
    let dir = PathBuf::from(env::var_os("DUCKDB_LIB_DIR").unwrap_or_else(|| ".duckdb".into()));
    let source = dir.join(library);
    println!("cargo:rerun-if-changed={}", source.display());
    if !source.exists() {
        println!("cargo:warning={} is missing: run `make duckdb` first", source.display());
        return;
    }

    // OUT_DIR is <target>/<profile>/build/waybill-<hash>/out; binaries are three folders up, tests in deps/.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    if let Some(profile_dir) = out.ancestors().nth(3) {
        copy_if_changed(&source, &profile_dir.join(library));
    }
    println!("cargo:rustc-link-arg=-Wl,-rpath,{origin}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{origin}/..");
}

/// Commit and instant are recorded when they are given, as `make dist` does, and git is not asked here: a build script
/// that watches git's files builds and links everything anew at each commit, and one that does not records a commit
/// that is not the one. The names do not begin with WAYBILL_: `cargo run` hands them to the program, which would
/// take them for misspelt settings.
fn tell_build() {
    for (given, told) in [("WAYBILL_COMMIT", "BUILT_FROM_COMMIT"), ("SOURCE_DATE_EPOCH", "BUILT_AT_SECONDS")]
    {
        println!("cargo:rerun-if-env-changed={given}");
        let value = env::var(given).unwrap_or_default();
        if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            println!("cargo:rustc-env={told}={value}");
        }
    }
    println!("cargo:rustc-env=BUILT_FOR_TARGET={}", env::var("TARGET").expect("cargo sets TARGET"));
}

fn copy_if_changed(source: &Path, target: &Path) {
    let size = |path: &Path| fs::metadata(path).map(|meta| meta.len()).ok();
    if size(source) == size(target) {
        return;
    }
    // Written under another name first: a running test may have the old one mapped.
    let fresh = target.with_extension("fresh");
    if let Err(error) = fs::copy(source, &fresh).and_then(|_| fs::rename(&fresh, target)) {
        println!("cargo:warning=cannot copy {} to {}: {error}", source.display(), target.display());
    }
}
