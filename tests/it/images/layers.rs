//! Layers on disk: put together, shared, held by jobs, removed when nobody needs them, whole after a kill.
use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;

use danube::executor::{Executor, KeepLayers, Pinned, StepSpec};
use danube::model::image;

use crate::support::executor::{Box, spawn, spec};
use crate::support::images::{Layer, Tar, digest};

fn described(layer: &Layer) -> image::Layer {
    let packing = if layer.kind.ends_with("gzip") { image::Packing::Gzip } else { image::Packing::Tar };
    image::Layer { digest: layer.digest(), size: layer.bytes.len() as u64, diff_id: layer.diff_id.clone(), packing }
}

async fn add(this: &Box, layer: &Layer) {
    let path = this.dir.path().join(digest(&layer.bytes));
    fs::write(&path, &layer.bytes).unwrap();
    this.client.add_layer(described(layer), fs::File::open(&path).unwrap()).await.unwrap();
}

fn on(layers: &[&Layer], command: &str) -> StepSpec {
    let layers = layers.iter().map(|layer| layer.digest()).collect();
    StepSpec {
        pinned: Some(Pinned { digest: digest(b"m"), layers, user: None }),
        env: vec![("PATH".into(), "/bin".into())],
        ..spec(command)
    }
}

#[tokio::test]
async fn layers_lie_on_each_other_as_their_markers_say() {
    let this = Box::start();
    let job = this.job().await;
    let low = Tar::new().busybox().dir("a", 0o755).file("a/gone", 0o644, b"1").file("a/stays", 0o644, b"low\n");
    let low = low.dir("b", 0o755).file("b/hidden", 0o644, b"1").dir("c", 0o755).file("c/old", 0o644, b"1").gzip();
    let high = Tar::new()
        .dir("a", 0o755)
        .file("a/.wh.gone", 0o644, b"")
        .dir("b", 0o755)
        .file("b/.wh..wh..opq", 0o644, b"")
        .file("b/new", 0o644, b"1")
        .file(".wh.c", 0o644, b"")
        .dir("c", 0o700)
        .file("c/new", 0o644, b"1")
        .plain();
    for layer in [&low, &high] {
        add(&this, layer).await;
    }
    let (end, log) = this.run(this.at(job, 1), on(&[&low, &high], "ls /a /b /c; cat /a/stays; echo x > /a/mine")).await;
    assert_eq!((end.exit_code, log.as_str()), (0, "/a:\nstays\n\n/b:\nnew\n\n/c:\nnew\nlow\n"), "{end:?}");
    // Private, and thrown away.
    let (_, log) = this.run(this.at(job, 2), on(&[&low, &high], "ls /a; ls /danube /workspace")).await;
    assert_eq!(log, "stays\n/danube:\nfiles\ninit\nsh\n\n/workspace:\ndanubefile.py\nsrc\n");
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn an_image_with_the_same_layer_twice_starts() {
    let this = Box::start();
    let job = this.job().await;
    let low = Tar::new().busybox().dir("a", 0o755).file("a/mine", 0o644, b"low\n").gzip();
    let high = Tar::new().dir("a", 0o755).file("a/.wh.mine", 0o644, b"").file("a/more", 0o644, b"high\n").gzip();
    for layer in [&low, &high] {
        add(&this, layer).await;
    }
    // The uppermost of them counts: what another one took away between them is there again.
    for (step, layers, said) in
        [(1, vec![&low, &high, &low, &low], "mine\nmore\n"), (2, vec![&low, &high, &low, &high], "more\n")]
    {
        let digests: Vec<String> = layers.iter().map(|layer| layer.digest()).collect();
        assert!(this.client.hold_layers(job, digests).await.unwrap().is_empty());
        let (end, log) = this.run(this.at(job, step), on(&layers, "ls /a")).await;
        assert_eq!((end.exit_code, log.as_str()), (0, said), "{end:?}");
    }
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn a_slow_source_of_a_layer_holds_up_no_other_and_loses() {
    let this = Box::start();
    let layer = Tar::new().file("a", 0o644, &[7; 3 << 20]).plain();
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&layer.bytes[..1000]).unwrap();
    let client = danube::executor::remote::Client::new(&this.run.join("executor.sock"));
    let described = described(&layer);
    let slow = tokio::spawn(async move { client.add_layer(described, fs::File::from(OwnedFd::from(reader))).await });
    let tmp = this.dir.path().join("executor/images/tmp");
    while fs::read_dir(&tmp).unwrap().count() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let quick = tokio::time::timeout(std::time::Duration::from_secs(20), add(&this, &layer));
    quick.await.expect("it does not wait for the other");
    assert_eq!(this.client.layers().await.unwrap().len(), 1);
    let rest = layer.bytes[1000..].to_vec();
    std::thread::spawn(move || writer.write_all(&rest)).join().unwrap().unwrap();
    slow.await.unwrap().unwrap();
    assert_eq!((this.client.layers().await.unwrap().len(), fs::read_dir(&tmp).unwrap().count()), (1, 0));
    // Who has nothing of a layer is not told that it went well, though it is there.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(writer);
    let nothing = this.client.add_layer(self::described(&layer), fs::File::from(OwnedFd::from(reader))).await;
    assert!(nothing.unwrap_err().to_string().contains("bytes came"));
}

#[tokio::test]
async fn a_layer_stays_while_a_job_needs_it_and_goes_by_age_and_size() {
    let this = Box::start();
    let (one, two, three) = (
        Tar::new().file("one", 0o644, &[1; 1000]).gzip(),
        Tar::new().file("two", 0o644, &[2; 1000]).gzip(),
        Tar::new().busybox().gzip(),
    );
    for layer in [&one, &two, &three] {
        add(&this, layer).await;
    }
    let job = this.job().await;
    let missing = this.client.hold_layers(job, vec![three.digest(), digest(b"none")]).await.unwrap();
    assert_eq!(missing, [digest(b"none")]);
    let keep = |bytes, seconds| KeepLayers { bytes, seconds };
    assert!(this.client.evict_layers(keep(u64::MAX, 3600)).await.unwrap().is_empty());
    let gone = this.client.evict_layers(keep(this_size(&this).await - 1, 3600)).await.unwrap();
    assert_eq!(gone.len(), 1, "as little as is needed: {gone:?}");
    let gone = this.client.evict_layers(keep(0, 0)).await.unwrap();
    assert_eq!(gone.len(), 1, "not what a job needs: {gone:?}");
    assert_eq!(
        this.client.layers().await.unwrap().iter().map(|l| (l.digest.clone(), l.in_use)).collect::<Vec<_>>(),
        [(three.digest(), true)]
    );
    this.client.teardown(job).await.unwrap();
    assert_eq!(this.client.evict_layers(keep(0, 0)).await.unwrap().len(), 1);
}

async fn this_size(this: &Box) -> u64 {
    this.client.layers().await.unwrap().iter().map(|layer| layer.bytes).sum()
}

#[tokio::test]
async fn a_sender_that_dies_and_an_executor_that_dies_leave_no_half_layer() {
    let mut this = Box::start();
    let layer = Tar::new().file("big", 0o644, &[7; 3 << 20]).plain();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let half = layer.bytes[..layer.bytes.len() / 2].to_vec();
    let sending = std::thread::spawn(move || writer.write_all(&half));
    let error = this.client.add_layer(described(&layer), fs::File::from(OwnedFd::from(reader))).await.unwrap_err();
    sending.join().unwrap().unwrap();
    assert!(error.is_retryable() && error.to_string().contains("bytes came"), "{error}");
    let tmp = this.dir.path().join("executor/images/tmp");
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0);

    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&layer.bytes[..1000]).unwrap();
    let client = danube::executor::remote::Client::new(&this.run.join("executor.sock"));
    let adding = tokio::spawn(async move {
        client
            .add_layer(
                described(&Tar::new().file("big", 0o644, &[7; 3 << 20]).plain()),
                fs::File::from(OwnedFd::from(reader)),
            )
            .await
    });
    while fs::read_dir(&tmp).unwrap().count() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    this.child.kill().unwrap();
    this.child.wait().unwrap();
    assert!(adding.await.unwrap().is_err());
    let instance = this.run.file_name().unwrap().to_str().unwrap().to_owned();
    this.child = spawn(this.dir.path(), &this.run, &instance, 0);
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0, "half a layer is left");
    drop(writer);
    // The first question finds the way to the new one.
    assert!(this.client.layers().await.unwrap().is_empty());
    add(&this, &layer).await;
}

#[tokio::test]
async fn a_file_below_a_link_of_another_layer_is_told_and_not_put_in_its_way() {
    let this = Box::start();
    let job = this.job().await;
    let low =
        Tar::new().dir("usr", 0o755).dir("usr/lib", 0o755).file("usr/lib/libc", 0o644, b"1").symlink("lib", "usr/lib");
    let (low, high) = (low.gzip(), Tar::new().file("lib/more", 0o644, b"1").gzip());
    for layer in [&low, &high] {
        add(&this, layer).await;
    }
    let error = this.client.hold_layers(job, vec![low.digest(), high.digest()]).await.unwrap_err().to_string();
    assert!(error.contains("below /lib, which is a link in the layers beneath it"), "{error}");
    this.client.teardown(job).await.unwrap();
}

#[tokio::test]
async fn a_disk_without_room_is_told_and_keeps_nothing_of_the_layer() {
    let mut this = Box::start();
    // The same executor again, on a disk of its own that is small.
    this.client.leave().await.unwrap();
    let socket = this.run.join("executor.sock");
    drop(std::mem::replace(&mut this.client, danube::executor::remote::Client::new(&socket)));
    this.child.wait().unwrap();
    let place = this.dir.path().join("executor");
    fs::create_dir_all(&place).unwrap();
    let mounted =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "small"]).arg(&place).status();
    assert!(mounted.unwrap().success());
    let instance = this.run.file_name().unwrap().to_str().unwrap().to_owned();
    this.child = spawn(this.dir.path(), &this.run, &instance, 0);
    let large = Tar::new().file("a", 0o644, &[1; 6 << 20]).file("b", 0o644, &[2; 6 << 20]).gzip();
    let path = this.dir.path().join("large");
    fs::write(&path, &large.bytes).unwrap();
    let added = this.client.add_layer(described(&large), fs::File::open(&path).unwrap()).await;
    let left = fs::read_dir(place.join("images/tmp")).unwrap().count();
    let small = this.client.add_layer(described(&Tar::new().file("c", 0o644, b"c").gzip()), {
        fs::write(&path, Tar::new().file("c", 0o644, b"c").gzip().bytes).unwrap();
        fs::File::open(&path).unwrap()
    });
    let small = small.await;
    let _left = this.client.leave().await;
    drop(std::mem::replace(&mut this.client, danube::executor::remote::Client::new(&socket)));
    this.child.wait().unwrap();
    let unmounted = std::process::Command::new("umount").arg(&place).status();
    assert!(unmounted.unwrap().success());
    // Whoever clears away after the test asks one that answers.
    this.child = spawn(this.dir.path(), &this.run, &instance, 0);
    assert!(matches!(added, Err(danube::executor::ExecutorError::OutOfSpace(_))), "{added:?}");
    assert_eq!(left, 0, "half a layer takes what room there is");
    small.expect("there is room again");
}
