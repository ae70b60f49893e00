//! Steps in images: what an image says of itself holds, what a step does to it is gone with the step.
use crate::support::images::{Image, Registry, Tar};
use crate::support::run::Run;

#[test]
fn a_step_runs_as_its_image_says_and_leaves_nothing_in_it() {
    let registry = Registry::start();
    let config = serde_json::json!({
        "User": "node", "Env": ["PATH=/opt/bin:/bin", "COLOUR=red", "CI=no"], "WorkingDir": "/srv",
        "Entrypoint": ["/bin/false"], "Cmd": ["never"],
    });
    let image = Image::busybox().layer(Tar::new().dir("opt/bin", 0o755).gzip()).config(config);
    let digest = registry.put("team/app", "1", &image);
    let name = registry.name("team/app:1");
    let run = Run::body(&format!(
        r#"
step.run("id -u; id -g; echo $HOME $COLOUR $CI $PATH; pwd; echo x 2>/dev/null > /bin/mine || echo closed", name="asks", image="{name}")
step.run("id -u; echo $HOME; touch /made /workspace/made; rm /bin/cat", name="root", image="{name}", user="0")
step.run("ls /made 2>&1; cat /etc/passwd | wc -l; ls /workspace", name="again", image="{name}", user="0")
step.run("ls -d /usr/bin", name="host")
"#
    ));
    let end = run.end();
    end.succeeded();
    let told = format!("danube: image {name} is {digest}; fetched 2 of 2 layers, ");
    let log = run.log(1, 1);
    assert!(log.contains(&told), "{log}");
    assert!(log.ends_with("\n1000\n1001\n/home/node red true /opt/bin:/bin\n/workspace\nclosed\n"), "{log}");
    assert_eq!(run.log(2, 1), "0\n/root\n");
    assert_eq!(run.log(3, 1), "ls: /made: No such file or directory\n2\ndanubefile.py\nmade\n");
    assert_eq!(registry.times("/manifests/"), 1, "{:?}", registry.asked());
    assert_eq!(registry.times("/blobs/"), 3, "each layer and the config once: {:?}", registry.asked());
}

#[test]
fn layers_that_are_packed_with_zstd_are_unpacked() {
    let registry = Registry::start();
    let text: Vec<u8> = (0..200_000).flat_map(|n: u32| format!("{n}\n").into_bytes()).collect();
    let layer = Tar::new().dir("data", 0o755).file("data/numbers", 0o644, &text).zstd();
    assert!(layer.bytes.len() < text.len() * 3 / 4, "it is packed");
    registry.put("app", "1", &Image::busybox().layer(layer));
    let name = registry.name("app:1");
    let run = Run::body(&format!(r#"step.run("wc -l < /data/numbers", name="one", image="{name}")"#));
    run.end().succeeded();
    assert!(run.log(1, 1).ends_with("\n200000\n"), "{}", run.log(1, 1));
}

#[test]
fn an_image_without_a_shell_gets_one_lent() {
    let registry = Registry::start();
    let image = Image::new(vec![Tar::new().file("data", 0o644, b"its own\n").gzip()]);
    registry.put("bare", "latest", &image);
    let name = registry.name("bare");
    let run = Run::body(&format!(
        r#"step.run("read line < /data; echo got $line; test -e /bin/sh || echo none of its own", name="one", image="{name}")"#
    ));
    run.end().succeeded();
    assert!(run.log(1, 1).ends_with("\ngot its own\nnone of its own\n"), "{}", run.log(1, 1));
}

#[test]
fn a_user_that_the_image_does_not_have_is_named() {
    let registry = Registry::start();
    registry.put("app", "1", &Image::busybox().config(serde_json::json!({ "User": "nobody-here" })));
    let name = registry.name("app:1");
    let run = Run::body(&format!(r#"step.run("true", name="one", image="{name}")"#));
    let end = run.end();
    assert_eq!((end.code, end.step("one").exit_code()), (1, 125), "{end:?}");
    assert!(run.log(1, 1).contains("the image's user 'nobody-here' is not in its /etc/passwd"), "{}", run.log(1, 1));
}

#[test]
fn layouts_in_the_workspace_and_in_listed_directories_are_images() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Image::busybox().layout(&dir.path().join("there"));
    let made = Image::busybox().layer(Tar::new().file("mark", 0o644, b"made here\n").gzip());
    let run = Run::with(&[]);
    made.layout(&run.repo().join("img"));
    let listed = dir.path().join("there").display().to_string();
    let body = format!(
        r#"
step.run("cat /mark", name="dir", image="oci:./img")
step.run("cd img; tar -cf ../img.tar index.json oci-layout blobs", name="pack")
step.run("cat /mark", name="archive", image="oci-archive:img.tar")
step.run("echo listed", name="listed", image="oci:{listed}")
for name in ("oci:/etc", "oci:./none", "oci:../img", "oci:./img:1.0"):
    try: step.run("true", name="no", image=name)
    except StepFailed as e: print(e, flush=True)
"#
    );
    std::fs::write(run.repo().join("danubefile.py"), crate::support::run::pipeline(&body)).unwrap();
    let run = run.env("DANUBE_EXECUTOR__IMAGE_DIRS", &dir.path().display().to_string());
    let end = run.end();
    for (step, said) in [(1, "made here\n"), (3, "made here\n"), (4, "listed\n")] {
        assert!(run.log(step, 1).ends_with(said), "{step}: {} {end:?}", run.log(step, 1));
    }
    let log = run.log(0, 1);
    for said in ["is no directory from which jobs may take images", "none", "out of the workspace", "holds no '1.0'"] {
        assert!(log.contains(said), "{said}: {log}");
    }
}
