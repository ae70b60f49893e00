//! Keeps the committed code equal to the `.proto` file.
use std::path::Path;

fn generate(out: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = protox::compile(["danube/v1/coordinator.proto"], [root]).expect("the proto compiles");
    tonic_prost_build::configure().out_dir(out).build_transport(false).compile_fds(files).expect("code is generated");
}

/// `DANUBE_BLESS=1 cargo test -p danube-proto` writes the file again after a change of the proto.
#[test]
fn generated_code_is_current() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated/danube.v1.rs");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    generate(scratch.path());
    let fresh = std::fs::read_to_string(scratch.path().join("danube.v1.rs")).expect("generated");
    if std::env::var_os("DANUBE_BLESS").is_some() {
        std::fs::write(&committed, &fresh).expect("written");
        return;
    }
    let current = std::fs::read_to_string(&committed).expect("committed code");
    assert!(
        current == fresh,
        "proto/src/generated differs from the .proto file: run DANUBE_BLESS=1 cargo test -p danube-proto"
    );
}
