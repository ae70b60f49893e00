//! Layers that mean harm: each is refused with its reason, or comes to nothing; none leaves anything.
use std::fs;

use danube::executor::{Executor, ExecutorError};
use danube::model::image;

use crate::support::executor::{Box, spec};
use crate::support::images::{Layer, Tar, digest};

/// What the executor says of a layer.
async fn add(this: &Box, layer: &Layer) -> Result<(), ExecutorError> {
    add_as(this, &described(layer), &layer.bytes).await
}

fn described(layer: &Layer) -> image::Layer {
    let packing = if layer.kind.ends_with("gzip") { image::Packing::Gzip } else { image::Packing::Tar };
    image::Layer { digest: layer.digest(), size: layer.bytes.len() as u64, diff_id: layer.diff_id.clone(), packing }
}

async fn add_as(this: &Box, layer: &image::Layer, bytes: &[u8]) -> Result<(), ExecutorError> {
    let path = this.dir.path().join("layer");
    fs::write(&path, bytes).unwrap();
    this.client.add_layer(layer.clone(), fs::File::open(&path).unwrap()).await
}

fn nothing_of(this: &Box) {
    let images = this.dir.path().join("executor/images");
    for name in ["tmp", "layers"] {
        let left: Vec<_> = fs::read_dir(images.join(name)).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test]
async fn layers_that_mean_harm_are_refused_and_leave_nothing() {
    let this = Box::start();
    let outside = this.dir.path().join("outside");
    fs::write(&outside, "theirs").unwrap();
    let long = "x".repeat(90);
    for (what, tar, reason) in [
        ("path traversal", Tar::new().file("../../outside", 0o644, b"x"), "leads out of the image"),
        ("traversal in the middle", Tar::new().file("a/../../b", 0o644, b"x"), "leads out of the image"),
        ("hard link to outside", Tar::new().hard_link("a", "../../../etc/passwd"), "leads out of the image"),
        ("hard link to nothing", Tar::new().hard_link("a", "/etc/shadow"), "which is not in the layer"),
        ("hard link to a directory", Tar::new().dir("d", 0o755).hard_link("a", "d"), "something else than a file"),
        ("whiteout of a parent", Tar::new().dir("d", 0o755).file("d/.wh...", 0o644, b""), "takes away a directory"),
        ("whiteout of itself", Tar::new().file("d/.wh..", 0o644, b""), "takes away a directory"),
        ("whiteout of nothing", Tar::new().file(".wh.", 0o644, b""), "takes away a directory"),
        (
            "a file as the root",
            Tar::new().file("./", 0o644, b"").entry(".", b'2', 0o777, "/etc", b""),
            "replaces the root",
        ),
        ("through a file", Tar::new().file("f", 0o644, b"").file("f/x", 0o644, b""), "no directory"),
        ("through a link to nowhere", Tar::new().symlink("l", "/none").file("l/x", 0o644, b""), "no directory"),
        ("a number that is none", Tar::new().entry(&long, b'x', 0o644, "", b"broken"), "damaged"),
        ("a name of 2 MiB", Tar::new().entry("n", b'L', 0o644, "", &vec![b'a'; 2 << 20]), "bytes; 65536 are read"),
    ] {
        let error = add(&this, &tar.gzip()).await.unwrap_err();
        assert!(matches!(error, ExecutorError::User(_)), "{what}: {error:?}");
        assert!(error.to_string().contains(reason), "{what}: {error}");
        nothing_of(&this);
    }
    assert_eq!(fs::read_to_string(&outside).unwrap(), "theirs");
}

#[tokio::test]
async fn what_is_not_the_layer_is_refused_and_leaves_nothing() {
    let this = Box::start();
    let good = Tar::new().file("a", 0o644, b"content").gzip();
    let layer = described(&good);
    let other = Tar::new().file("a", 0o644, b"another").gzip();
    let refused = |error: ExecutorError, reason: &str| assert!(error.to_string().contains(reason), "{error}");

    let mut same_size = good.bytes.clone();
    *same_size.last_mut().unwrap() ^= 1;
    refused(add_as(&this, &layer, &same_size).await.unwrap_err(), "what came has the digest sha256:");
    refused(add_as(&this, &layer, &good.bytes[..good.bytes.len() - 5]).await.unwrap_err(), "bytes came");
    let mut longer = good.bytes.clone();
    longer.push(0);
    refused(add_as(&this, &layer, &longer).await.unwrap_err(), "it is longer than");
    let lie = image::Layer { diff_id: other.diff_id.clone(), ..layer.clone() };
    refused(add_as(&this, &lie, &good.bytes).await.unwrap_err(), "the image's config says");
    let noise = b"no gzip at all".to_vec();
    let lie = image::Layer { digest: digest(&noise), size: noise.len() as u64, ..layer.clone() };
    refused(add_as(&this, &lie, &noise).await.unwrap_err(), "it can't be decompressed");
    let torn = good.bytes[..good.bytes.len() / 2].to_vec();
    let lie = image::Layer { digest: digest(&torn), size: torn.len() as u64, ..layer.clone() };
    refused(add_as(&this, &lie, &torn).await.unwrap_err(), "it ");
    for digest in ["sha256:../../etc", "sha256:", "md5:abc", "/etc"] {
        let lie = image::Layer { digest: digest.to_owned(), ..layer.clone() };
        refused(add_as(&this, &lie, &good.bytes).await.unwrap_err(), "no SHA-256 digest");
    }
    nothing_of(&this);
    add(&this, &good).await.expect("the right one is taken");
}

#[tokio::test]
async fn a_bomb_is_stopped_before_it_fills_the_disk() {
    let this = Box::start();
    // Two gibibytes of nothing in two megabytes.
    let mut tar = Tar::new().entry("zeros", b'0', 0o644, "", &[]).bytes();
    tar[124..136].copy_from_slice(b"20000000000\0");
    let sum: u32 =
        tar[..512].iter().enumerate().map(|(n, b)| if (148..156).contains(&n) { 32 } else { u32::from(*b) }).sum();
    tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    std::io::Write::write_all(&mut packer, &tar[..512]).unwrap();
    for _ in 0..2048 {
        std::io::Write::write_all(&mut packer, &zeros).unwrap();
    }
    let bytes = packer.finish().unwrap();
    let layer = Layer { kind: "application/vnd.oci.image.layer.v1.tar+gzip", diff_id: digest(b""), bytes };
    let ratio = (2_u64 << 30) / layer.bytes.len() as u64;
    let error = add(&this, &layer).await.unwrap_err();
    // A packer that is worse than its format can be does not reach the bound on the ratio; the digest is wrong then.
    let reason = if ratio > 500 { "as a bomb would" } else { "the image's config says" };
    assert!(error.to_string().contains(reason), "{ratio}: {error}");
    nothing_of(&this);
}

#[tokio::test]
async fn odd_layers_come_to_what_is_harmless_in_them() {
    let this = Box::start();
    let many = (0..100_000).fold(Tar::new().dir("many", 0o755), |tar, n| tar.file(&format!("many/{n}"), 0o644, b""));
    let tar = Tar::new()
        .busybox()
        .dir("etc", 0o755)
        // Resolved inside of the layer.
        .symlink("link", "/etc")
        .file("link/passwd", 0o644, b"root:x:0:0::/root:/bin/sh\n")
        .entry("dev/null0", b'3', 0o666, "", b"")
        .entry("dev/disk", b'4', 0o666, "", b"")
        .file("su", 0o4755, b"x")
        .symlink("bin/old", "nowhere")
        .file("bin/old", 0o755, b"new");
    let (odd, many) = (tar.gzip(), many.gzip());
    let job = this.job().await;
    for layer in [&odd, &many] {
        add(&this, layer).await.unwrap();
    }
    let mut spec = spec(
        "ls -l /etc/passwd | cut -c1-10; ls /dev/null0 /dev/disk 2>&1 | grep -c 'No such'; stat -c %a /su; \
        cat /bin/old; ls /many | wc -l; touch /many/new && echo writable",
    );
    let layers = vec![odd.digest(), many.digest()];
    assert!(this.client.hold_layers(job, layers.clone()).await.unwrap().is_empty());
    spec.pinned = Some(danube::executor::Pinned { digest: digest(b"m"), layers, user: None });
    spec.env = vec![("PATH".into(), "/bin".into())];
    let (end, log) = this.run(this.at(job, 1), spec).await;
    assert_eq!(end.exit_code, 0, "{log} {end:?}");
    assert_eq!(log, "-rw-r--r--\n2\n4755\nnew100000\nwritable\n");
    // On the machine, all of it belongs to users that nobody is.
    let fs_dir =
        this.dir.path().join("executor/images/layers").join(odd.digest().trim_start_matches("sha256:")).join("fs");
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::symlink_metadata(fs_dir.join("su")).unwrap());
    assert!(owner >= 0x7000_0000, "{owner}");
    this.client.teardown(job).await.unwrap();
}
